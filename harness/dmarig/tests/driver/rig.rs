//! [`Rig`]: one boot of QEMU, device process and guest for a test, without the runner between.

use std::ffi::OsString;
use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use contract::{DriverKind, GuestMemory, Profile, Remapping, Step, StepResult};
use control_api::request::{FaultsLoad, MailboxCall, MailboxWaitAttached};
use control_api::{Client, FunctionName};
use cpio::newc;
use dmarig::faults::Faults;
use dmarig::guest::nt;
use dmarig::mailbox;
use dmarig_abi::mailbox::{RESPONSE_STORED, ResponseHeader};
use dmarig_abi::operation::{OP_FETCH_STORED, SLOT_NONE};
use qemu::command_line::VfioUserFunction;
use qemu::console::{ConsoleReader, GuestEventKind, GuestExit};
use qemu::{Accel, ChildProcess, ChildSpec, CommandLine, ConsoleLine, Listener};
use serde_json::Value;
use zerocopy::FromBytes;

/// The binary whose parts are tested; it also ends children whose test has died.
pub const DMARIG: &str = env!("CARGO_BIN_EXE_dmarig");
/// How long any single step may take.
const DEADLINE: Duration = Duration::from_secs(20);
const DEADLINE_MS: u32 = 20_000;

/// What makes a boot special.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup<'a> {
    /// The driver.
    pub driver: DriverKind,
    /// More words for the kernel's command line.
    pub words: &'a str,
    /// Text of the device file.
    pub device_file: Option<&'a str>,
    /// Programs for AddDevice and START_DEVICE.
    pub add_device: &'a [Step],
    /// As above.
    pub start_device: &'a [Step],
}

impl Setup<'_> {
    /// Nothing but the driver.
    pub const fn of(driver: DriverKind) -> Self {
        Self {
            driver,
            words: "",
            device_file: None,
            add_device: &[],
            start_device: &[],
        }
    }

    /// The driver's file name.
    const fn image(self) -> &'static str {
        match self.driver {
            DriverKind::Wdm => "dmarig.sys",
            DriverKind::Kmdf => "dmarig-kmdf.sys",
        }
    }
}

/// A booted guest whose driver reads the mailbox. Dropping it ends the processes.
pub struct Rig {
    qemu: ChildProcess,
    _device: ChildProcess,
    client: Client,
    com1: UnixStream,
    _qmp: UnixStream,
    console: Receiver<ConsoleLine>,
    events: Vec<Value>,
    _folder: tempfile::TempDir,
}

/// The results of a program, and where it ran.
pub struct Ran {
    /// IRQL of the program.
    pub irql: u32,
    /// One of `RESPONSE_*`.
    pub outcome: u16,
    /// One for each step; none when the program was not run.
    pub results: Vec<StepResult>,
}

impl Ran {
    fn decode(response: &[u8], steps: &[Step]) -> Self {
        let (header, _) = ResponseHeader::read_from_prefix(response).expect("a header");
        let results = mailbox::decode(response, steps).unwrap_or_default();
        Self {
            irql: header.irql,
            outcome: header.outcome,
            results,
        }
    }

    /// The outcomes of all steps.
    pub fn outcomes(&self) -> Vec<u16> {
        self.results
            .iter()
            .map(|result| result.result.outcome)
            .collect()
    }
}

impl Rig {
    /// Boots and waits for the driver.
    pub fn boot(setup: Setup<'_>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let listen = |name: &str| Listener::bind(&path(name), "a console").expect("a socket");
        let (debugcon, com1, qmp) = (listen("con"), listen("com1"), listen("qmp"));
        write_archive(&path("boot.cpio"), setup);

        let device = start_device(folder.path(), setup.device_file);
        let mut client = connect(&path("ctl"));
        let command_line = CommandLine {
            accel: Accel::Tcg,
            memory_mib: nt::memory_mib(GuestMemory::Low),
            kernel: image("nt-kernel.elf"),
            initrd: Some(path("boot.cpio")),
            append: nt::command_line(
                Remapping::On,
                &Profile::DEFAULT,
                setup.image(),
                None,
                &Faults::default(),
            ) + " "
                + setup.words,
            functions: [("control", "cf"), ("dut0", "dut0")]
                .map(|(id, socket)| VfioUserFunction {
                    id: id.into(),
                    socket: path(socket),
                })
                .into(),
            hot_plug: false,
            reply_timeout_ms: None,
            debugcon: debugcon.path().into(),
            com1: com1.path().into(),
            qmp: qmp.path().into(),
        };
        let binary = qemu::binary::find(None)
            .expect("dmarig doctor has found it")
            .path;
        let arguments = command_line.arguments().expect("short paths");
        let qemu = spawn("QEMU", &binary, arguments, folder.path());
        let accept = |listener: &Listener| {
            listener
                .accept("QEMU", DEADLINE, || true)
                .expect("QEMU connects")
        };
        let (debugcon, com1, qmp) = (accept(&debugcon), accept(&com1), accept(&qmp));
        let drain = com1.try_clone().expect("a descriptor");
        thread::spawn(move || ConsoleReader::new(drain, None).for_each(drop));
        let (sender, console) = channel();
        thread::spawn(move || {
            ConsoleReader::new(debugcon, None).for_each(|line| drop(sender.send(line)));
        });
        attach(&mut client);
        let mut rig = Self {
            qemu,
            _device: device,
            client,
            com1,
            _qmp: qmp,
            console,
            events: Vec::new(),
            _folder: folder,
        };
        // The control function may be up before the device under test is.
        rig.await_event(|event| is_pnp(event, "dut0", "START_DEVICE"));
        rig
    }

    /// Waits until the driver reads the mailbox (again).
    pub fn await_attached(&mut self) {
        attach(&mut self.client);
    }

    /// Runs a program in a context, in whatever way it ends.
    pub fn run_in(&mut self, context: u16, steps: &[Step]) -> Ran {
        let response = self.call(mailbox::encode(context, steps).expect("a short program"));
        Ran::decode(&response, steps)
    }

    /// Runs a program in the control thread.
    pub fn run(&mut self, steps: &[Step]) -> Ran {
        self.run_in(dmarig_abi::mailbox::CONTEXT_CONTROL_THREAD, steps)
    }

    /// Leaves a program for a context that comes by itself.
    pub fn store(&mut self, context: u16, steps: &[Step]) {
        assert_eq!(self.run_in(context, steps).outcome, RESPONSE_STORED);
    }

    /// What the stored program of a context gave, if it has run.
    pub fn fetch(&mut self, context: u16, steps: &[Step]) -> Option<Ran> {
        let mut fetch = Step::ping(0);
        fetch.operation.opcode = OP_FETCH_STORED;
        fetch.operation.dst = SLOT_NONE;
        fetch.operation.a = context.into();
        let ran = self.run(&[fetch]);
        let result = ran.results.first().expect("the fetch was run");
        (!result.data.is_empty()).then(|| Ran::decode(&result.data, steps))
    }

    /// Sends the raw bytes of a program.
    pub fn call(&mut self, program: Vec<u8>) -> Vec<u8> {
        let call = MailboxCall {
            program,
            timeout_ms: DEADLINE_MS,
        };
        self.client
            .call(&call, DEADLINE)
            .expect("the driver answers")
            .response
    }

    /// Begins a program, whose end is not waited for; then a command; then takes the response.
    pub fn call_with_command(&mut self, program: Vec<u8>, line: &str) -> Vec<u8> {
        let call = MailboxCall {
            program,
            timeout_ms: DEADLINE_MS,
        };
        let pending = self.client.send(&call, DEADLINE).expect("sent");
        self.command(line);
        self.client
            .wait(pending, DEADLINE)
            .expect("the driver answers")
            .response
    }

    /// The control socket.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// Gives the guest's PnP manager a command, which must succeed.
    pub fn command(&mut self, line: &str) {
        assert_eq!(self.command_status(line), "0x0", "{line}");
    }

    /// Gives a command, and tells its status.
    pub fn command_status(&mut self, line: &str) -> String {
        writeln!(self.com1, "{line}").expect("the guest reads");
        let answer = self.await_event(|event| event["event"] == "command" && event["line"] == line);
        answer["status"].as_str().expect("a text").to_owned()
    }

    /// Loads fault rules into the device.
    pub fn load_faults(&mut self, rules: &str) {
        let load = FaultsLoad {
            function: FunctionName::DUT0,
            rules: rules.to_owned(),
        };
        self.client.call(&load, DEADLINE).expect("a rule file");
    }

    /// Shuts down; nothing may be left, and nothing odd have been seen.
    pub fn finish(mut self) {
        writeln!(self.com1, "shutdown").expect("the guest reads");
        let leaks = self.await_event(|event| event["event"] == "leaks");
        let counts = leaks.as_object().expect("an object").iter();
        let left: Vec<_> = counts
            .filter(|(key, n)| *key != "event" && **n != "0x0")
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
        let status = self.qemu.wait(DEADLINE).expect("QEMU ends");
        assert_eq!(GuestExit::from_status(status), GuestExit::Clean);
        let odd = |event: &&Value| {
            ["finding", "bugcheck", "panic"]
                .iter()
                .any(|o| event["event"] == *o)
        };
        assert_eq!(self.events.iter().find(odd), None);
    }

    /// Gives a command under which the guest ends with a finding.
    pub fn end_with(mut self, line: &str, finding: &str) {
        writeln!(self.com1, "{line}").expect("the guest reads");
        self.await_event(|event| event["event"] == "finding" && event["id"] == finding);
        let status = self.qemu.wait(DEADLINE).expect("QEMU ends");
        assert_eq!(GuestExit::from_status(status), GuestExit::BugCheck);
    }

    fn await_event(&mut self, mut is_it: impl FnMut(&Value) -> bool) -> Value {
        let end = Instant::now() + DEADLINE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let line = self.console.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("no such event; seen: {:#?}", self.events));
            let ConsoleLine::Event(event) = line else {
                continue;
            };
            assert!(
                !matches!(event.kind, GuestEventKind::Malformed { .. }),
                "{event:?}"
            );
            self.events.push(event.raw.clone());
            if is_it(&event.raw) {
                return event.raw;
            }
        }
    }
}

fn is_pnp(event: &Value, device: &str, irp: &str) -> bool {
    event["event"] == "pnp" && event["device"] == device && event["irp"] == irp
}

fn attach(client: &mut Client) {
    let wait = MailboxWaitAttached {
        timeout_ms: DEADLINE_MS,
    };
    client
        .call(&wait, DEADLINE)
        .expect("the driver reads the mailbox");
}

/// A built guest image: two folders above the binary, as Cargo and xtask lay them out.
fn image(name: &str) -> PathBuf {
    let target = Path::new(DMARIG)
        .ancestors()
        .nth(2)
        .expect("target/profile/dmarig");
    target.join("guest").join(name)
}

fn write_archive(path: &Path, setup: Setup<'_>) {
    use dmarig_abi::mailbox::{CONTEXT_ADD_DEVICE, CONTEXT_START_DEVICE};
    let program = |context, steps| mailbox::encode(context, steps).expect("a short program");
    let mut files = vec![(
        format!("drivers/{}", setup.image()),
        fs::read(image(setup.image())).expect("built"),
    )];
    if !setup.add_device.is_empty() {
        let bytes = program(CONTEXT_ADD_DEVICE, setup.add_device);
        files.push(("programs/add-device.bin".to_owned(), bytes));
    }
    if !setup.start_device.is_empty() {
        let bytes = program(CONTEXT_START_DEVICE, setup.start_device);
        files.push(("programs/start-device.bin".to_owned(), bytes));
    }
    let mut archive = Vec::new();
    for (number, (name, content)) in (1..).zip(&files) {
        let size = u32::try_from(content.len()).expect("a small file");
        let entry = newc::Builder::new(name)
            .ino(number)
            .mode(0o100_644)
            .nlink(1);
        let mut writer = entry.write(&mut archive, size);
        writer.write_all(content).expect("into memory");
        writer.finish().expect("into memory");
    }
    newc::trailer(&mut archive).expect("into memory");
    fs::write(path, archive).expect("the folder is writable");
}

fn start_device(folder: &Path, device_file: Option<&str>) -> ChildProcess {
    let path = |name: &str| folder.join(name);
    let mut arguments: Vec<OsString> = Vec::new();
    for (option, name) in [
        ("--socket", "dut0"),
        ("--control-function", "cf"),
        ("--control", "ctl"),
    ] {
        arguments.extend([option.into(), path(name).into()]);
    }
    if let Some(text) = device_file {
        fs::write(path("device.toml"), text).expect("the folder is writable");
        arguments.extend(["--device".into(), path("device.toml").into()]);
    }
    let binary = Path::new(DMARIG).with_file_name("dmarig-device");
    spawn("device process", &binary, arguments, folder)
}

fn spawn(
    name: &'static str,
    program: &Path,
    arguments: Vec<OsString>,
    logs: &Path,
) -> ChildProcess {
    let spec = ChildSpec {
        name,
        program: program.into(),
        arguments,
        cpu: None,
        tether: DMARIG.into(),
        stderr_log: logs.join(name),
    };
    ChildProcess::spawn(&spec).expect("it starts")
}

fn connect(socket: &Path) -> Client {
    let end = Instant::now() + DEADLINE;
    loop {
        match Client::connect(socket) {
            Ok(client) => return client,
            Err(error) => assert!(Instant::now() < end, "{error}"),
        }
        thread::sleep(Duration::from_millis(2));
    }
}
