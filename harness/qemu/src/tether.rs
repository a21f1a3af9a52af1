//! The tether: how a child of ours is made to die with us, whatever kills us.
//!
//! Linux sends a child a signal of its choice when its parent ends (`PR_SET_PDEATHSIG`), and the
//! choice survives `exec`. Only the child can choose, after `fork`; doing so by a hook between `fork`
//! and `exec` takes unsafe code. Instead the harness starts *itself* with [`VERB`], and that small
//! process ties itself to the parent, takes its CPU, and becomes the program by `exec`.
//!
//! The signal is tied to the parent's *thread*: start children from a thread that outlives them.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Signal, getppid, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_setaffinity};

/// First argument of the harness when it is to be a tether:
/// `VERB PARENT-PID CPU|- PROGRAM [ARGUMENT]...`.
pub const VERB: &str = "tether";

/// Why the program was not started.
#[derive(Debug, thiserror::Error)]
pub enum TetherError {
    /// The arguments are not ours.
    #[error("{VERB} is for dmarig's own use: PARENT-PID CPU|- PROGRAM [ARGUMENT]...")]
    Usage,
    /// The parent ended before the tether held.
    #[error("the parent process {0} has ended")]
    ParentEnded(i32),
    /// The kernel refused.
    #[error("tying the process to its parent")]
    Signal(#[source] io::Error),
    /// The CPU does not exist, or is not ours.
    #[error("pinning to CPU {cpu}")]
    Pin {
        /// The CPU.
        cpu: usize,
        /// What the system said.
        source: io::Error,
    },
    /// The program does not start.
    #[error("starting {}", .program.display())]
    Exec {
        /// The program.
        program: OsString,
        /// What the system said.
        source: io::Error,
    },
}

/// Builds the arguments with which the harness's own binary starts `program` on a tether.
pub fn arguments<'a>(
    cpu: Option<usize>,
    program: &'a OsStr,
    rest: impl IntoIterator<Item = &'a OsStr>,
) -> Vec<OsString> {
    let cpu = cpu.map_or_else(|| "-".to_owned(), |cpu| cpu.to_string());
    let mut arguments: Vec<OsString> = vec![
        VERB.into(),
        std::process::id().to_string().into(),
        cpu.into(),
    ];
    arguments.push(program.into());
    arguments.extend(rest.into_iter().map(OsString::from));
    arguments
}

/// Ties this process to its parent and becomes the program. Comes back only with an error.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> TetherError {
    match prepare(arguments) {
        Ok(mut command) => TetherError::Exec {
            program: command.get_program().into(),
            source: command.exec(),
        },
        Err(error) => error,
    }
}

fn prepare(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, TetherError> {
    let mut arguments = arguments.into_iter();
    let mut word = || arguments.next().ok_or(TetherError::Usage);
    let parent: i32 = number(&word()?)?;
    let cpu = word()?;
    let program = word()?;

    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| TetherError::Signal(error.into()))?;
    // A parent that died before the line above would never be noticed.
    if getppid().map(rustix::process::Pid::as_raw_nonzero) != std::num::NonZero::new(parent) {
        return Err(TetherError::ParentEnded(parent));
    }
    if cpu != "-" {
        pin(number(&cpu)?)?;
    }
    let mut command = Command::new(program);
    command.args(arguments);
    Ok(command)
}

fn pin(cpu: usize) -> Result<(), TetherError> {
    let mut set = CpuSet::new();
    if cpu >= CpuSet::MAX_CPU {
        let source = io::ErrorKind::InvalidInput.into();
        return Err(TetherError::Pin { cpu, source });
    }
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|error| TetherError::Pin {
        cpu,
        source: error.into(),
    })
}

fn number<T: std::str::FromStr>(word: &OsStr) -> Result<T, TetherError> {
    word.to_str()
        .and_then(|text| text.parse().ok())
        .ok_or(TetherError::Usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_arguments_are_refused_before_anything_is_changed() {
        for words in [&[][..], &["1"], &["1", "-"], &["one", "-", "true"]] {
            let error = run(words.iter().map(OsString::from));
            assert!(matches!(error, TetherError::Usage), "{words:?}: {error}");
        }
    }

    #[test]
    fn arguments_carry_our_pid_and_the_cpu() {
        let built = arguments(Some(1), OsStr::new("qemu"), [OsStr::new("-S")]);
        let pid = std::process::id().to_string();
        assert_eq!(built, [VERB, &pid, "1", "qemu", "-S"].map(OsString::from));
    }
}
