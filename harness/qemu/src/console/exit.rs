//! [`GuestExit`]: how the `nt` guest ended, told by QEMU's exit status.

use std::process::ExitStatus;

/// How QEMU ended, and by whose will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestExit {
    /// The guest shut down as asked.
    Clean,
    /// The guest stopped with a bug check.
    BugCheck,
    /// The guest kernel itself failed.
    Panic,
    /// The guest missed something it needs, such as a remapping unit.
    EnvironmentMissing,
    /// QEMU ended with status 0: power off, a reset (`-no-reboot`) or a triple fault.
    PowerOffOrReset,
    /// QEMU ended by itself, or was killed.
    Qemu(ExitStatus),
}

/// Exit values of `nt` and what they mean; QEMU's status is `2 * value + 1`.
const EXITS: [(i32, GuestExit); 4] = [
    (0x10, GuestExit::Clean),
    (0x11, GuestExit::BugCheck),
    (0x12, GuestExit::Panic),
    (0x13, GuestExit::EnvironmentMissing),
];

impl GuestExit {
    /// Reads QEMU's exit status.
    #[must_use]
    pub fn from_status(status: ExitStatus) -> Self {
        match status.code() {
            Some(0) => Self::PowerOffOrReset,
            Some(code) => EXITS
                .iter()
                .find(|(value, _)| 2 * value + 1 == code)
                .map_or(Self::Qemu(status), |(_, exit)| *exit),
            None => Self::Qemu(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    fn statuses_have_their_meaning() {
        let check = |raw: i32, expected| {
            assert_eq!(GuestExit::from_status(ExitStatus::from_raw(raw)), expected);
        };
        let exited = |code: i32| code << 8;
        check(exited(0), GuestExit::PowerOffOrReset);
        check(exited(0x21), GuestExit::Clean);
        check(exited(0x23), GuestExit::BugCheck);
        check(exited(0x25), GuestExit::Panic);
        check(exited(0x27), GuestExit::EnvironmentMissing);
        check(exited(1), GuestExit::Qemu(ExitStatus::from_raw(exited(1))));
        check(6, GuestExit::Qemu(ExitStatus::from_raw(6)));
    }
}
