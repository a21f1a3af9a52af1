//! Exit codes: stable, documented here, in `dmarig --help` and in docs/cli.md.

use std::process::ExitCode;

/// Why the program ends. When several hold, the one that comes last in this order wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// 0: every check passed, or the command did what it was asked.
    Success,
    /// 4: nothing ran, because the filters and modes left no case.
    NothingRan,
    /// 1: at least one check failed; a guest that hangs or stops with a bug check counts.
    ChecksFailed,
    /// 3: the environment lacks something: QEMU, an artefact, active remapping.
    EnvironmentMissing,
    /// 5: our bug: QEMU or the device process died unasked, or the harness failed.
    OurBug,
    /// 2: the command line is wrong.
    Usage,
    /// 130: ended by Ctrl-C (SIGINT), results so far kept.
    Interrupted,
    /// 143: ended by SIGTERM, results so far kept.
    Terminated,
}

impl Exit {
    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::ChecksFailed => 1,
            Self::Usage => 2,
            Self::EnvironmentMissing => 3,
            Self::NothingRan => 4,
            Self::OurBug => 5,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The exit for a signal that asked us to end.
    #[must_use]
    pub const fn from_signal(signal: i32) -> Self {
        if signal == signal_hook::consts::SIGINT {
            Self::Interrupted
        } else {
            Self::Terminated
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The table as `--help` shows it.
pub const HELP: &str = "Exit codes:
  0    pass
  1    checks failed (also: the guest hung, or stopped with a bug check)
  2    wrong usage
  3    the environment lacks something (also: remapping asked for and not active)
  4    nothing ran
  5    our bug (QEMU or the device process died unasked)
  130  interrupted by Ctrl-C, 143 by SIGTERM; results so far are kept";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_lists_every_code() {
        let all = [
            Exit::Success,
            Exit::NothingRan,
            Exit::ChecksFailed,
            Exit::EnvironmentMissing,
            Exit::OurBug,
            Exit::Usage,
            Exit::Interrupted,
            Exit::Terminated,
        ];
        for exit in all {
            let code = exit.code().to_string();
            assert!(
                HELP.split(|c: char| !c.is_ascii_digit())
                    .any(|word| word == code),
                "{exit:?} is not in the help"
            );
        }
    }

    #[test]
    fn worse_exit_wins_over_a_failed_check() {
        assert_eq!(Exit::ChecksFailed.max(Exit::OurBug), Exit::OurBug);
        assert_eq!(Exit::ChecksFailed.max(Exit::NothingRan), Exit::ChecksFailed);
        assert_eq!(
            Exit::ChecksFailed.max(Exit::EnvironmentMissing),
            Exit::EnvironmentMissing
        );
    }
}
