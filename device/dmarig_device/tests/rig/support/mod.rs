//! A rig without thread or event loop, and the two who talk to it: a mock QEMU and a mock harness.
pub mod mock_qemu;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use control_api::{Client, ClientError, FunctionName, Method};
use dmarig_device::{ClientId, Event, Next, Options, Readiness, Rig, assemble, replay_folder};
use recording::log::LogEnd;
use tempfile::TempDir;

pub use mock_qemu::{MockQemu, eventfd, take_count};

/// How long an answer that is sure to come is awaited.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// Control clients that are served; more than any test has one after the other.
const MAX_CLIENTS: u32 = 40;
/// A rig that has work for so many steps does not come to rest.
const MAX_STEPS: usize = 100_000;

/// The rig, with a clock of its own.
pub struct Bench {
    pub folder: Rc<TempDir>,
    recording: TempDir,
    /// How the recording's log ends; nothing if it is whole.
    pub expected_end: Option<LogEnd>,
    pub rig: Rig,
    pub now: Instant,
}

impl Bench {
    /// A rig with both functions and a control socket.
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    /// The same with other options.
    pub fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = Rc::new(tempfile::tempdir().expect("folder"));
        let recording = tempfile::tempdir().expect("folder");
        let mut options = Options {
            socket: vec![folder.path().join("dut")],
            control_function: Some(folder.path().join("control-function")),
            control: Some(folder.path().join("control")),
            device: Vec::new(),
            record: Some(recording.path().into()),
            record_limit: 64,
            no_message_dma: false,
            die_with_parent: None,
            no_sandbox: true,
            sandbox_probe: None,
            log: "off".into(),
        };
        change(&mut options);
        let rig = assemble::rig(&options).expect("sockets");
        Self {
            folder,
            recording,
            expected_end: None,
            rig,
            now: Instant::now(),
        }
    }

    /// Serves every socket and lets the engine work until nothing is left to do.
    pub fn pump(&mut self) {
        for _ in 0..3 {
            for event in all_events() {
                self.step(event);
            }
            let mut n_steps = 0;
            while self.step(Event::Tick) == Next::Now {
                n_steps += 1;
                assert!(n_steps < MAX_STEPS, "the rig does not come to rest");
            }
        }
    }

    /// One step at the bench's time.
    pub fn step(&mut self, event: Event) -> Next {
        self.rig.step(event, self.now)
    }

    /// Lets time pass.
    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.pump();
    }

    /// A mock QEMU on a function's socket, after the version exchange.
    pub fn connect(&mut self, name: FunctionName) -> MockQemu {
        let path = self.function_path(name);
        let mut qemu = MockQemu::connect(&path);
        qemu.negotiate(self);
        qemu
    }

    /// Another mock QEMU on the DUT's socket in place of this one.
    pub fn reconnect(&mut self, old: MockQemu) -> MockQemu {
        drop(old);
        self.pump();
        self.connect(FunctionName::DUT0)
    }

    /// A control client.
    pub fn harness(&mut self) -> Harness {
        let path = self.folder.path().join("control");
        let client = Client::connect(&path).expect("connect");
        self.pump();
        Harness { client }
    }

    /// Tells the rig, as epoll would, that the control client of this number, from 1, hung up.
    pub fn hang_up_control_client(&mut self, number: u32) {
        let readiness = Readiness {
            hung_up: true,
            ..Readiness::default()
        };
        self.step(Event::ControlReady(
            ClientId::from_number(number),
            readiness,
        ));
        self.pump();
    }

    /// The folder of the recording.
    pub fn recording(&self) -> &Path {
        self.recording.path()
    }

    /// The path of a function's socket.
    pub fn function_path(&self, name: FunctionName) -> PathBuf {
        self.folder.path().join(match name {
            FunctionName::Control => "control-function".into(),
            FunctionName::DUT0 => "dut".into(),
            FunctionName::Dut(number) => format!("dut{number}"),
        })
    }
}

/// Whatever a test did to the rig, its recording does the same again without the test.
impl Drop for Bench {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.rig.shut_down();
        for (name, report) in replay_folder(self.recording.path()).expect("a replay") {
            assert!(report.is_identical(), "{name}: {report:#?}");
            assert_eq!(report.end, self.expected_end, "{name}");
        }
    }
}

fn all_events() -> impl Iterator<Item = Event> {
    let ready = Readiness {
        readable: true,
        writable: true,
        hung_up: false,
    };
    let functions = [
        FunctionName::DUT0,
        FunctionName::Dut(1),
        FunctionName::Control,
    ];
    let of_functions = functions
        .into_iter()
        .flat_map(move |name| [Event::Connect(name), Event::Ready(name, ready)]);
    let of_clients = (1..=MAX_CLIENTS)
        .map(move |number| Event::ControlReady(ClientId::from_number(number), ready));
    of_functions
        .chain([Event::ControlConnect])
        .chain(of_clients)
}

/// A control client that lets the rig work while it waits.
pub struct Harness {
    pub client: Client,
}

impl Harness {
    /// Calls a method and takes its answer.
    pub fn call<M: Method>(&mut self, bench: &mut Bench, params: &M) -> M::Result {
        self.try_call(bench, params).expect(M::NAME)
    }

    /// Calls a method and takes its answer or error.
    pub fn try_call<M: Method>(
        &mut self,
        bench: &mut Bench,
        params: &M,
    ) -> Result<M::Result, ClientError> {
        let pending = self.client.send(params, PATIENCE)?;
        bench.pump();
        self.client.wait(pending, PATIENCE)
    }

    /// Calls a method that must fail, and returns the error's code and text.
    pub fn refused<M: Method>(&mut self, bench: &mut Bench, params: &M) -> (i64, String)
    where
        M::Result: std::fmt::Debug,
    {
        let error = self.try_call(bench, params).expect_err(M::NAME);
        (error.code().expect("an answer"), error.to_string())
    }
}
