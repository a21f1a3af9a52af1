//! [`Machine`]: the processes of one boot and the channels to them. Dropping it ends them.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use control_api::{Client, ClientError, FunctionName};
use qemu::command_line::CommandLineError;
use qemu::console::{ConsoleReader, Tap, TappedStream, tap};
use qemu::listener::ListenError;
use qemu::process::{ProcessError, StderrRecord, shell_line};
use qemu::qmp::{Plugged, QmpError};
use qemu::stderr::Meaning;
use qemu::{ChildProcess, ChildSpec, CommandLine, Listener, Qmp};

use super::boot::Boot;
use super::device_faults;
use super::ending::{Ending, quote};
use super::recording;
use super::run::Plan;
use super::slots::{function, pluggable, shows_slots};
use super::watch::Happening;
use crate::artifacts::ArtifactError;
use crate::entry::chain;
use crate::event::{BootEnding, PeakMemory};
use crate::guest::nt;
use crate::rig::HotPlug;
use crate::run_folder::RunFolder;

/// How long the device process may take to open its sockets.
const DEVICE_START_DEADLINE: Duration = Duration::from_secs(10);
/// How long QEMU may take to connect its consoles and QMP.
const QEMU_START_DEADLINE: Duration = Duration::from_secs(20);
/// How long a process that was asked to end may take.
const STOP_DEADLINE: Duration = Duration::from_secs(5);
/// How long a process whose socket has closed may take to be seen as ended.
const DEATH_GRACE: Duration = Duration::from_millis(500);
/// How often we look for the device's socket.
const CONNECT_INTERVAL: Duration = Duration::from_millis(1);
/// File beside the logs with the device that a profile asks for.
const PROFILE_DEVICE: &str = "device.toml";
/// How long the guest may take to take a console command.
const COMMAND_DEADLINE: Duration = Duration::from_secs(5);
/// How the ending of a QEMU begins that did not come to run the guest.
pub const QEMU_REFUSES: &str = "QEMU does not start";

/// The processes of one boot.
pub struct Machine {
    // Declared and so dropped first: a QEMU whose device is gone prints a line an access.
    qemu: ChildProcess,
    device: ChildProcess,
    control: PathBuf,
    /// Shared with the rig, which asks for nothing any more when this ends QEMU.
    qmp: Arc<Mutex<Qmp>>,
    /// The first device under test, where it may come and go.
    pluggable: Option<Plugged>,
    com1: UnixStream,
    console: Option<Tap>,
    peak: PeakMemory,
}

/// Why a boot could not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file of the boot cannot be written.
    #[error("cannot write {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No boot archive.
    #[error(transparent)]
    Archive(#[from] nt::ArchiveError),
    /// A driver was not built.
    #[error(transparent)]
    Driver(#[from] ArtifactError),
    /// No command line.
    #[error(transparent)]
    CommandLine(#[from] CommandLineError),
    /// No socket, or nobody at its other end.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A process does not start.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// QEMU does not answer as it should.
    #[error(transparent)]
    Qmp(#[from] QmpError),
    /// The device process does not answer.
    #[error("waited {} ms for the device process to open its sockets", DEVICE_START_DEADLINE.as_millis())]
    DeviceSilent(#[source] ClientError),
    /// It does not take the rules.
    #[error("the device process does not take the rules of --faults")]
    Faults(#[source] ClientError),
    /// It ended meanwhile.
    #[error("{}", .0.detail)]
    Ended(Ending),
}

impl StartError {
    /// What it means for the boot.
    pub fn ending(&self) -> Ending {
        let how = match self {
            Self::Ended(ending) => return ending.clone(),
            Self::DeviceSilent(_) => BootEnding::DeviceDied,
            Self::Qmp(QmpError::TooOld { .. })
            | Self::File { .. }
            | Self::Archive(_)
            | Self::Driver(_)
            | Self::CommandLine(_)
            | Self::Faults(_)
            | Self::Process(_)
            | Self::Listen(ListenError::Bind { .. }) => BootEnding::EnvironmentMissing,
            Self::Listen(_) | Self::Qmp(_) => BootEnding::QemuDied,
        };
        Ending::new(how, chain(self))
    }
}

/// The sockets of a boot.
struct Sockets {
    duts: Vec<PathBuf>,
    control_function: PathBuf,
    control: PathBuf,
    debugcon: Listener,
    com1: Listener,
    qmp: Listener,
}

impl Sockets {
    fn prepare(folder: &RunFolder, boot: u32, n_duts: u16) -> Result<Self, StartError> {
        let path = |name: &str| folder.join(format!("{boot}-{name}"));
        Ok(Self {
            duts: (0..n_duts).map(|n| path(&format!("dut{n}"))).collect(),
            control_function: path("cf"),
            control: path("ctl"),
            debugcon: Listener::bind(&path("con"), "the debug console")?,
            com1: Listener::bind(&path("com1"), "COM1")?,
            qmp: Listener::bind(&path("qmp"), "QMP")?,
        })
    }
}

impl Machine {
    /// Starts the device process, then QEMU; connects everything. What QEMU's consoles say goes to
    /// `happenings`. Must be called from a thread that outlives the machine.
    pub fn start(
        boot: &Boot<'_>,
        happenings: &SyncSender<Happening>,
        on_qemu_start: impl FnOnce(),
    ) -> Result<(Self, Client), StartError> {
        let Boot { plan, logs, .. } = boot;
        let sockets = Sockets::prepare(boot.folder, boot.number, boot.n_duts())?;
        let archive = boot.folder.join(format!("{}-boot.cpio", boot.number));
        let driver = plan.artifacts.driver(boot.profile.driver)?;
        nt::write_archive(driver, boot.profile.programs, &archive)?;

        let pluggable = pluggable(boot, &sockets.duts);
        let mut device = start_device(boot, &sockets)?;
        let mut client = connect_control(&sockets.control, &mut device)?;
        device_faults::load(&mut client, boot.faults, boot.n_duts()).map_err(StartError::Faults)?;
        on_qemu_start();
        let mut qemu = start_qemu(boot, driver, &sockets, &archive)?;
        let connected = connect_qemu(&sockets, &mut qemu, &mut device, logs, happenings);
        let (qmp, com1, console) = match connected {
            Ok(connected) => connected,
            Err(error) => return Err(explain(error, &mut qemu, &mut device)),
        };
        let machine = Self {
            qemu,
            device,
            control: sockets.control,
            qmp: Arc::new(Mutex::new(qmp)),
            pluggable,
            com1,
            console: Some(console),
            peak: PeakMemory::default(),
        };
        Ok((machine, client))
    }

    /// Tells of a process that has ended.
    pub fn look(&mut self) -> Option<Happening> {
        if let Ok(Some(status)) = self.device.try_wait() {
            return Some(Happening::DeviceExited(status));
        }
        match self.qemu.try_wait() {
            Ok(Some(status)) => Some(Happening::QemuExited(status)),
            Ok(None) | Err(_) => None,
        }
    }

    /// The control socket of the device process.
    pub fn control_socket(&self) -> &Path {
        &self.control
    }

    /// The tap of the guest's console; it can be had once.
    pub const fn take_console_tap(&mut self) -> Option<Tap> {
        self.console.take()
    }

    /// Where orders for the guest's system go.
    ///
    /// # Errors
    /// The system has no file descriptor left.
    pub fn orders(&self) -> io::Result<UnixStream> {
        let orders = self.com1.try_clone()?;
        orders.set_write_timeout(Some(COMMAND_DEADLINE))?;
        Ok(orders)
    }

    /// The first device under test as the rig takes it out and puts it back, where it may come and go.
    pub fn hot_plug(&self) -> Option<HotPlug> {
        let plugged = self.pluggable.clone()?;
        let qmp = Arc::clone(&self.qmp);
        Some(HotPlug {
            qmp,
            plugged,
            is_in: true,
        })
    }

    /// Looks how much memory the processes that still run have had at most.
    pub fn note_peak_memory(&mut self) {
        let seen = PeakMemory {
            qemu_kib: self.qemu.peak_memory_kib(),
            device_kib: self.device.peak_memory_kib(),
        };
        self.peak = self.peak.max(seen);
    }

    /// The most that was seen.
    pub const fn peak_memory(&self) -> PeakMemory {
        self.peak
    }

    /// What QEMU has said on stderr.
    pub fn qemu_stderr(&mut self) -> StderrRecord {
        self.qemu.stderr()
    }

    /// What the device process has said on stderr.
    pub fn device_stderr(&mut self) -> StderrRecord {
        self.device.stderr()
    }

    /// Sends a line to the guest's console.
    pub fn command(&mut self, line: &str) -> io::Result<()> {
        self.com1.set_write_timeout(Some(COMMAND_DEADLINE))?;
        self.com1.write_all(line.as_bytes())
    }

    /// Ends QEMU: by QMP, and by force if that does not serve.
    pub fn end_qemu(&mut self) {
        if !matches!(self.qemu.try_wait(), Ok(None)) {
            return;
        }
        let mut qmp = self.qmp.lock().unwrap_or_else(PoisonError::into_inner);
        if qmp.quit().is_err() || self.qemu.wait(STOP_DEADLINE).is_err() {
            self.qemu.kill();
        }
    }

    /// Kills QEMU and the device process. Whoever waits on the control socket wakes up.
    pub fn kill(&mut self) {
        self.qemu.kill();
        self.device.kill();
    }

    /// Waits for the device process, which was told to stop. Its exit status must be 0.
    pub fn await_device_end(&mut self) -> Result<(), Ending> {
        match self.device.wait(STOP_DEADLINE) {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Ending::from_device_exit(status, &self.device.stderr())),
            Err(error) => {
                self.device.kill();
                Err(Ending::new(BootEnding::DeviceDied, chain(&error)))
            }
        }
    }
}

/// The device files of a boot: the user's, but the profile's for the first device where that will not do.
fn device_files(boot: &Boot<'_>) -> Result<Vec<PathBuf>, StartError> {
    let write = |name: &str, text: &str| {
        let path = boot.logs.join(name);
        match fs::write(&path, text) {
            Ok(()) => Ok(path),
            Err(source) => Err(StartError::File { path, source }),
        }
    };
    let mut files = Vec::new();
    for (number, device) in boot.plan.devices.iter().enumerate() {
        files.push(match &device.changed {
            Some(description) => {
                let text = toml::to_string(description).expect("a description is TOML");
                write(&format!("device-{number}.toml"), &text)?
            }
            None => device.file.clone(),
        });
    }
    let Some(text) = boot.profile_device() else {
        return Ok(files);
    };
    let path = write(PROFILE_DEVICE, text)?;
    match files.first_mut() {
        Some(first) => *first = path,
        None => files.push(path),
    }
    Ok(files)
}

fn start_device(boot: &Boot<'_>, sockets: &Sockets) -> Result<ChildProcess, StartError> {
    let Boot { plan, logs, .. } = boot;
    let option = |name: &str, path: &Path| [OsString::from(name), path.into()];
    let mut arguments = [
        option("--control-function", &sockets.control_function),
        option("--control", &sockets.control),
    ]
    .concat();
    for socket in &sockets.duts {
        arguments.extend(option("--socket", socket));
    }
    for file in device_files(boot)? {
        arguments.extend(option("--device", &file));
    }
    if !plan.sandbox {
        arguments.push("--no-sandbox".into());
    }
    if plan.record {
        arguments.extend(option("--record", &logs.join(recording::FOLDER)));
    }
    start(
        plan,
        "device process",
        &plan.artifacts.device,
        arguments,
        logs,
        "device",
    )
}

fn start_qemu(
    boot: &Boot<'_>,
    driver: &Path,
    sockets: &Sockets,
    archive: &Path,
) -> Result<ChildProcess, StartError> {
    let Boot { plan, logs, .. } = boot;
    let driver = nt::driver_name(driver)?;
    let duts = (0..).zip(&sockets.duts);
    let duts = duts.map(|(number, socket)| function(FunctionName::Dut(number), socket));
    let command_line = CommandLine {
        accel: plan.accel,
        memory_mib: nt::memory_mib(boot.profile.memory),
        kernel: plan.artifacts.kernel.clone(),
        initrd: Some(archive.into()),
        append: nt::command_line(
            boot.remapping,
            boot.profile,
            driver,
            plan.sabotage,
            boot.faults,
        ),
        functions: std::iter::once(function(FunctionName::Control, &sockets.control_function))
            .chain(duts)
            .collect(),
        hot_plug: shows_slots(boot),
        reply_timeout_ms: None,
        debugcon: sockets.debugcon.path().into(),
        com1: sockets.com1.path().into(),
        qmp: sockets.qmp.path().into(),
    };
    let arguments = command_line.arguments()?;
    start(plan, "QEMU", &plan.qemu.path, arguments, logs, "qemu")
}

fn start(
    plan: &Plan,
    name: &'static str,
    program: &Path,
    arguments: Vec<OsString>,
    logs: &Path,
    log_name: &str,
) -> Result<ChildProcess, StartError> {
    let words = std::iter::once(program.as_os_str());
    let line = shell_line(words.chain(arguments.iter().map(OsString::as_os_str)));
    let path = logs.join(format!("{log_name}.command"));
    fs::write(&path, line + "\n").map_err(|source| StartError::File { path, source })?;
    Ok(ChildProcess::spawn(&ChildSpec {
        name,
        program: program.into(),
        arguments,
        cpu: plan.cpu,
        tether: plan.program.clone(),
        stderr_log: logs.join(format!("{log_name}.log")),
    })?)
}

/// Connects to the control socket as soon as the device process listens.
fn connect_control(socket: &Path, device: &mut ChildProcess) -> Result<Client, StartError> {
    let start = Instant::now();
    loop {
        let error = match Client::connect(socket) {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        if let Some(status) = device.try_wait()? {
            let ending = Ending::from_device_exit(status, &device.stderr());
            return Err(StartError::Ended(ending));
        }
        if start.elapsed() >= DEVICE_START_DEADLINE {
            return Err(StartError::DeviceSilent(error));
        }
        thread::sleep(CONNECT_INTERVAL);
    }
}

fn connect_qemu(
    sockets: &Sockets,
    qemu: &mut ChildProcess,
    device: &mut ChildProcess,
    logs: &Path,
    happenings: &SyncSender<Happening>,
) -> Result<(Qmp, UnixStream, Tap), StartError> {
    let mut accept = |listener: &Listener| {
        listener.accept("QEMU", QEMU_START_DEADLINE, || {
            matches!(qemu.try_wait(), Ok(None)) && matches!(device.try_wait(), Ok(None))
        })
    };
    let debugcon = accept(&sockets.debugcon)?;
    let com1 = accept(&sockets.com1)?;
    let qmp = accept(&sockets.qmp)?;
    let log = |name: &str| {
        let path = logs.join(name);
        File::create(&path).map_err(|source| StartError::File { path, source })
    };
    let (debugcon, console) = tap(debugcon).map_err(|source| StartError::File {
        path: logs.join("console.log"),
        source,
    })?;
    read_console(debugcon, log("console.log")?, happenings.clone());
    // What the guest sends on COM1 has no meaning, but unread it would stall the guest.
    let drain = ConsoleReader::new(clone_stream(&com1, logs)?, Some(log("com1.log")?));
    thread::spawn(move || drain.for_each(drop));

    let mut qmp = Qmp::start(qmp, QEMU_START_DEADLINE)?;
    qmp.check_memory_is_shared()?;
    Ok((qmp, com1, console))
}

fn clone_stream(stream: &UnixStream, logs: &Path) -> Result<UnixStream, StartError> {
    stream.try_clone().map_err(|source| StartError::File {
        path: logs.join("com1.log"),
        source,
    })
}

fn read_console(stream: TappedStream, log: File, happenings: SyncSender<Happening>) {
    thread::spawn(move || {
        for line in ConsoleReader::new(stream, Some(log)) {
            if happenings.send(Happening::Console(line)).is_err() {
                return;
            }
        }
        let _ = happenings.send(Happening::ConsoleEnded);
    });
}

/// A start that failed because a process has ended is told by how that ended. A dying process closes
/// its sockets before its end can be seen, so that is awaited for a moment.
fn explain(error: StartError, qemu: &mut ChildProcess, device: &mut ChildProcess) -> StartError {
    let start = Instant::now();
    while start.elapsed() < DEATH_GRACE {
        if let Ok(Some(status)) = device.try_wait() {
            return StartError::Ended(Ending::from_device_exit(status, &device.stderr()));
        }
        if let Ok(Some(status)) = qemu.try_wait() {
            return StartError::Ended(qemu_ended(status, &qemu.stderr()));
        }
        thread::sleep(CONNECT_INTERVAL);
    }
    error
}

fn qemu_ended(status: ExitStatus, stderr: &StderrRecord) -> Ending {
    let ending = Ending::from_qemu_exit(status, None, stderr);
    let is_refusal = ending.how == BootEnding::QemuDied
        && status.signal().is_none()
        && !stderr.meanings.contains(&Meaning::DeviceUnreachable);
    if is_refusal {
        // It refused its command line or could not load a file: not a crash, but not the right QEMU.
        let detail = format!("{QEMU_REFUSES}{}", quote(stderr));
        return Ending::new(BootEnding::EnvironmentMissing, detail);
    }
    ending
}
