//! From the command line to a running rig, and from an error to an exit code.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use control_api::FunctionName;
use control_api::response::SandboxState;
use device_file::DeviceFileError;
use guest_memory::SharedMemoryError;
use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use serde_json::json;
use thiserror::Error;
use tracing::info;
use tracing_subscriber::EnvFilter;
use vfio_user::ListenError;

use crate::cli::{Command, CommandLine, Options, ReplayOptions};
use crate::control_function::ControlFunction;
use crate::control_socket::ControlSocket;
use crate::dut::{Dut, MessageDma};
use crate::mailbox::MailboxError;
use crate::model::Model;
use crate::port::{Port, chain};
use crate::record::{RecordError, RecordFolder};
use crate::replay::{ReplayFolderError, replay_folder_of, replay_report};
use crate::rig::Rig;
use crate::sandbox::{self, SandboxError};
use crate::{event_loop, exit_code, signals};

/// Most devices under test: the test driver numbers no more.
pub const MAX_DUTS: usize = 8;

/// Why the process cannot start or go on.
#[derive(Debug, Error)]
pub enum RunError {
    /// The device file is wrong.
    #[error(transparent)]
    DeviceFile(#[from] DeviceFileError),
    /// The filter of `--log` is wrong.
    #[error(
        "--log {filter:?}: {reason}\nhelp: give a level like info, or a filter like vfio_user=debug"
    )]
    LogFilter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The devices under test cannot be told apart.
    #[error(
        "{n_sockets} times --socket, {n_files} times --device\nhelp: --socket once for each device \
         under test, at most {MAX_DUTS} times; --device no more often than --socket"
    )]
    DeviceCount {
        /// Sockets given.
        n_sockets: usize,
        /// Device files given.
        n_files: usize,
    },
    /// A socket cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The mailbox's memory cannot be had.
    #[error("mailbox")]
    Mailbox(#[from] MailboxError),
    /// The process whose end was to be ours has ended before we could follow it.
    #[error("the parent process ended while this one started")]
    ParentEnded,
    /// The sandbox cannot be entered.
    #[error("the sandbox cannot be entered")]
    Sandbox(#[from] SandboxError),
    /// What `--sandbox-probe` asked for does not work, as it should be.
    #[error("sandbox probe")]
    Probe(#[source] io::Error),
    /// The recording cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The recording cannot be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayFolderError),
    /// The memory of a mappable BAR cannot be had.
    #[error("mappable BAR")]
    BarMemory(#[from] SharedMemoryError),
    /// The kernel refuses something.
    #[error("{action}")]
    System {
        /// What was tried.
        action: &'static str,
        /// The cause.
        source: io::Error,
    },
}

impl RunError {
    fn exit_code(&self) -> u8 {
        match self {
            Self::DeviceFile(_)
            | Self::DeviceCount { .. }
            | Self::LogFilter { .. }
            | Self::Replay(_) => exit_code::USAGE,
            Self::Listen(_)
            | Self::Mailbox(_)
            | Self::BarMemory(_)
            | Self::ParentEnded
            | Self::Record(_)
            | Self::Sandbox(_)
            | Self::System { .. } => exit_code::ENVIRONMENT,
            Self::Probe(_) => exit_code::PROBE_DENIED,
        }
    }
}

/// Runs `dmarig-device` to its end.
#[must_use]
pub fn run(command_line: &CommandLine) -> ExitCode {
    run_model(command_line, &Model::STANDARD)
}

/// The same with a device of one's own.
#[must_use]
pub fn run_model(command_line: &CommandLine, model: &Model) -> ExitCode {
    let outcome = match (&command_line.command, &command_line.options) {
        (Some(Command::Replay(options)), _) => replay(options, model),
        (None, Some(options)) => try_run(options, model).map(|()| exit_code::STOPPED),
        (None, None) => unreachable!("clap asks for a socket or a subcommand"),
    };
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("dmarig-device: {}", chain(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Builds the rig that the options describe; its sockets listen when this returns.
///
/// # Errors
/// [`RunError`]; no socket is left behind.
pub fn rig(options: &Options) -> Result<Rig, RunError> {
    rig_of(options, &Model::STANDARD)
}

/// The same with a device of one's own.
///
/// # Errors
/// Those of [`rig`].
pub fn rig_of(options: &Options, model: &Model) -> Result<Rig, RunError> {
    let message_dma = if options.no_message_dma {
        MessageDma::Off
    } else {
        MessageDma::On
    };
    let duts = duts(options, model, message_dma)?;
    let control_function = options
        .control_function
        .as_deref()
        .map(|path| -> Result<_, RunError> {
            let model = ControlFunction::new()?;
            Ok(Port::bind(path, FunctionName::Control, model)?)
        })
        .transpose()?;
    let control_socket = options.control.as_deref().map(ControlSocket::bind);
    Ok(Rig::new(
        duts,
        control_function,
        control_socket.transpose()?,
    ))
}

/// The devices under test, each with its device file, its recording and its socket.
fn duts(
    options: &Options,
    model: &Model,
    message_dma: MessageDma,
) -> Result<Vec<Port<Dut>>, RunError> {
    let (n_sockets, n_files) = (options.socket.len(), options.device.len());
    if !(1..=MAX_DUTS).contains(&n_sockets) || n_files > n_sockets {
        return Err(RunError::DeviceCount { n_sockets, n_files });
    }
    let max_bytes = u64::from(options.record_limit) << 20;
    let record = options.record.as_deref();
    let mut record = record
        .map(|folder| RecordFolder::create(folder, max_bytes, message_dma))
        .transpose()?;
    let mut duts = Vec::new();
    for (index, number) in (0..n_sockets).zip(0..) {
        let name = FunctionName::Dut(number);
        let file = options.device.get(index).map(PathBuf::as_path);
        let description = model.description(file)?;
        let endpoint = (model.endpoint)(&description);
        let mut dut = Dut::with_endpoint(&description, message_dma, endpoint)?.named(name);
        if let Some(record) = &mut record {
            record.add(name, file, &mut dut)?;
        }
        duts.push((name, dut));
    }
    if let Some(record) = record {
        record.seal()?;
    }
    let bind = |(path, (name, dut)): (&PathBuf, _)| Ok(Port::bind(path, name, dut)?);
    options.socket.iter().zip(duts).map(bind).collect()
}

/// Replays a recording and says what came of it.
fn replay(options: &ReplayOptions, model: &Model) -> Result<u8, RunError> {
    let reports = replay_folder_of(&options.folder, model, options.faults.as_deref())?;
    let mut stdout = io::stdout().lock();
    for (name, report) in &reports {
        let text = if options.json {
            replay_report::to_json(name, report)
        } else {
            replay_report::to_text(name, report)
        };
        writeln!(stdout, "{text}").map_err(|source| RunError::System {
            action: "write the report",
            source,
        })?;
    }
    let is_identical = reports.iter().all(|(_, report)| report.is_identical());
    Ok(if is_identical {
        exit_code::STOPPED
    } else {
        exit_code::DIFFERENT
    })
}

fn try_run(options: &Options, model: &Model) -> Result<(), RunError> {
    start_log(&options.log)?;
    let system = |action| move |source: io::Error| RunError::System { action, source };
    let signals = signals::catch().map_err(system("catch signals"))?;
    if let Some(parent) = options.die_with_parent {
        follow_parent(parent)?;
    }
    let mut rig = rig_of(options, model)?;
    // The one place where outputs are opened: from the next line on nothing can be.
    let state = enter_sandbox(options)?;
    rig.note_sandbox(state);
    for socket in &options.socket {
        info!(socket = %socket.display(), "listening");
    }
    if let Some(what) = options.sandbox_probe {
        println!("{}", json!(state));
        return sandbox::probe(what, &options.socket[0]).map_err(RunError::Probe);
    }
    event_loop::run(&mut rig, &signals).map_err(system("event loop"))?;
    rig.shut_down();
    Ok(())
}

/// Ends with the parent process. `parent` is its number, or `None` for whoever it is now.
fn follow_parent(parent: Option<u32>) -> Result<(), RunError> {
    let number = |pid: Option<Pid>| pid.and_then(|pid| u32::try_from(pid.as_raw_pid()).ok());
    let expected = parent.or_else(|| number(getppid()));
    // SIGTERM rather than SIGKILL: sockets are removed on the way out.
    set_parent_process_death_signal(Some(Signal::TERM)).map_err(|error| RunError::System {
        action: "follow the parent process",
        source: error.into(),
    })?;
    // A parent that died before the line above would never be noticed.
    if number(getppid()) != expected {
        return Err(RunError::ParentEnded);
    }
    Ok(())
}

fn enter_sandbox(options: &Options) -> Result<SandboxState, RunError> {
    if options.no_sandbox {
        return Ok(SandboxState::default());
    }
    let sockets = options
        .socket
        .iter()
        .chain(&options.control_function)
        .chain(&options.control);
    Ok(sandbox::enter(sockets.map(PathBuf::as_path))?)
}

fn start_log(filter: &str) -> Result<(), RunError> {
    let filter = EnvFilter::try_new(filter).map_err(|error| RunError::LogFilter {
        filter: filter.to_owned(),
        reason: error.to_string(),
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .without_time()
        .init();
    Ok(())
}
