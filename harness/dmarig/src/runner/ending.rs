//! [`Ending`]: why a boot is over, put together from exit statuses and the guest's last words.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use contract::Stop;
use qemu::console::{GuestEventKind, GuestExit};
use qemu::process::{StderrRecord, describe_exit};
use rustix::process::Signal;

use crate::event::BootEnding;

/// Lines of stderr quoted in a message.
const QUOTED_LINES: usize = 3;

/// Why a boot is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The kind.
    pub how: BootEnding,
    /// In words.
    pub detail: String,
    /// What the guest stopped with, if it stopped by itself.
    pub stop: Option<GuestStop>,
}

/// What a guest says of its own stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestStop {
    /// A bug check.
    BugCheck {
        /// The code.
        code: u64,
        /// Its parameters.
        parameters: [u64; 4],
    },
    /// A finding for which no bug check is documented.
    Finding {
        /// Its id.
        id: String,
    },
}

impl GuestStop {
    /// Whether it is the one that a case expects.
    pub fn is(&self, expected: Stop) -> bool {
        match (self, expected) {
            (
                Self::BugCheck { code, parameters },
                Stop::BugCheck {
                    code: expected,
                    parameter_1,
                },
            ) => *code == u64::from(expected) && parameters[0] == parameter_1,
            (Self::Finding { id }, Stop::Finding(expected)) => id == expected,
            _ => false,
        }
    }
}

impl Ending {
    /// Puts one together.
    pub fn new(how: BootEnding, detail: impl Into<String>) -> Self {
        Self {
            how,
            detail: detail.into(),
            stop: None,
        }
    }

    /// What the guest says of its own end, if the event is one.
    pub fn from_last_words(event: &GuestEventKind) -> Option<Self> {
        match event {
            GuestEventKind::Bugcheck {
                code,
                parameters,
                location,
            } => {
                let list = parameters.map(|parameter| parameter.to_string()).join(", ");
                let at = place(location);
                let text = format!("the guest stopped with bug check {code} ({list}){at}");
                Some(Self {
                    stop: Some(GuestStop::BugCheck {
                        code: code.0,
                        parameters: parameters.map(|parameter| parameter.0),
                    }),
                    ..Self::new(BootEnding::BugCheck, text)
                })
            }
            GuestEventKind::Panic { message, location } => Some(Self::new(
                BootEnding::GuestFailed,
                format!("the guest kernel failed: {message}{}", place(location)),
            )),
            _ => None,
        }
    }

    /// The guest stopped by its own finding, since no bug check is documented for it.
    pub fn from_stopping_finding(id: &str, detail: &str) -> Self {
        let text = format!("the guest stopped by its finding {id}: {detail}");
        Self {
            stop: Some(GuestStop::Finding { id: id.into() }),
            ..Self::new(BootEnding::BugCheck, text)
        }
    }

    /// QEMU ended without having been asked; `last_words` is what the guest said before.
    pub fn from_qemu_exit(
        status: ExitStatus,
        last_words: Option<&Self>,
        stderr: &StderrRecord,
    ) -> Self {
        let exit = GuestExit::from_status(status);
        if let (GuestExit::BugCheck | GuestExit::Panic, Some(words)) = (exit, last_words) {
            return words.clone();
        }
        match exit {
            GuestExit::BugCheck => Self::new(
                BootEnding::BugCheck,
                "the guest stopped with a bug check and did not say which",
            ),
            GuestExit::Panic => Self::new(
                BootEnding::GuestFailed,
                "the guest kernel failed and did not say where",
            ),
            GuestExit::EnvironmentMissing => Self::new(
                BootEnding::EnvironmentMissing,
                "the guest misses something that it needs (see its console log)",
            ),
            GuestExit::Clean => Self::new(
                BootEnding::GuestFailed,
                "the guest shut down without being asked",
            ),
            GuestExit::PowerOffOrReset => Self::new(
                BootEnding::GuestFailed,
                "the guest reset or powered off the machine (a triple fault?)",
            ),
            GuestExit::Qemu(status) => Self::new(
                BootEnding::QemuDied,
                format!(
                    "QEMU ended by itself with {}{}",
                    describe_exit(status),
                    quote(stderr)
                ),
            ),
        }
    }

    /// The device process ended without having been asked.
    pub fn from_device_exit(status: ExitStatus, stderr: &StderrRecord) -> Self {
        Self::new(
            BootEnding::DeviceDied,
            format!(
                "the device process ended by itself with {}{}{}",
                describe_exit(status),
                mend_of(status),
                quote(stderr)
            ),
        )
    }
}

/// What to do about an exit of the device process, as a part of a message.
fn mend_of(status: ExitStatus) -> &'static str {
    if status.signal() == Some(Signal::SYS.as_raw()) {
        ": its sandbox does not know a system call that it made\n  \
         help: --no-sandbox runs without, for trusted guests only; please report the call (docs/security.md)"
    } else {
        ""
    }
}

/// Where in the driver, as the tail of a message.
pub fn place(location: &str) -> String {
    if location.is_empty() {
        String::new()
    } else {
        format!(" at {location}")
    }
}

/// What a process said on stderr, and what it means, as the tail of a message.
pub fn quote(stderr: &StderrRecord) -> String {
    let mut text = String::new();
    for meaning in &stderr.meanings {
        text.push_str(": ");
        text.push_str(meaning.explanation());
    }
    let last = stderr.tail.len().saturating_sub(QUOTED_LINES);
    let lines: Vec<&String> = if stderr.known.is_empty() {
        stderr.tail.iter().skip(last).collect()
    } else {
        stderr.known.iter().take(QUOTED_LINES).collect()
    };
    for line in lines {
        text.push_str("\n  ");
        text.push_str(line);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use qemu::console::GuestEvent;
    use qemu::stderr::Meaning;

    use super::*;

    fn exited(code: i32) -> ExitStatus {
        ExitStatus::from_raw(code << 8)
    }

    fn words(json: &str) -> Option<Ending> {
        Ending::from_last_words(&GuestEvent::parse(json).kind)
    }

    const BUG_CHECK: &str = r#"{"event":"bugcheck","code":"0xe6","parameters":["0x26","0x1","0x0","0x0"],"location":"dmarig.sys+0x12"}"#;

    #[test]
    fn bug_check_is_told_with_code_parameters_and_place() {
        let words = words(BUG_CHECK);
        let ending = Ending::from_qemu_exit(exited(0x23), words.as_ref(), &StderrRecord::default());
        assert_eq!(ending.how, BootEnding::BugCheck);
        assert_eq!(
            ending.detail,
            "the guest stopped with bug check 0xe6 (0x26, 0x1, 0x0, 0x0) at dmarig.sys+0x12"
        );
    }

    #[test]
    fn last_words_do_not_excuse_a_death_of_qemu() {
        let stderr = StderrRecord {
            tail: ["vfio: DMA mapping failed, unable to continue".to_owned()].into(),
            meanings: vec![Meaning::MappingFailed],
            ..StderrRecord::default()
        };
        let words = words(BUG_CHECK);
        let ending = Ending::from_qemu_exit(ExitStatus::from_raw(6), words.as_ref(), &stderr);
        assert_eq!(ending.how, BootEnding::QemuDied);
        assert!(ending.detail.contains("signal 6") && ending.detail.contains("DMA mapping"));
    }

    #[test]
    fn an_end_by_the_sandbox_is_told_with_its_mend() {
        let detail = |raw| {
            let status = ExitStatus::from_raw(raw);
            Ending::from_device_exit(status, &StderrRecord::default()).detail
        };
        assert_eq!(
            detail(31),
            "the device process ended by itself with signal 31: its sandbox does not know a system call \
             that it made\n  help: --no-sandbox runs without, for trusted guests only; please report the \
             call (docs/security.md)"
        );
        assert!(!detail(9).contains("sandbox"));
    }

    #[test]
    fn exits_of_the_guest_have_their_kind() {
        let check = |code, how| {
            let ending = Ending::from_qemu_exit(exited(code), None, &StderrRecord::default());
            assert_eq!(ending.how, how, "{code:#x}");
        };
        check(0, BootEnding::GuestFailed);
        check(0x21, BootEnding::GuestFailed);
        check(0x23, BootEnding::BugCheck);
        check(0x25, BootEnding::GuestFailed);
        check(0x27, BootEnding::EnvironmentMissing);
        check(1, BootEnding::QemuDied);
    }

    #[test]
    fn other_events_are_no_last_words() {
        assert_eq!(words(r#"{"event":"boot","remapping":"on"}"#), None);
    }
}
