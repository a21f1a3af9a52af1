//! How the machine ends: QEMU's `isa-debug-exit`, whose process status is 2 * code + 1.

use super::{interrupts, port};

const EXIT_PORT: u16 = 0xF4;

/// Why the guest ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// An ordered end.
    Clean = 0x10,
    /// A bug check was raised.
    BugCheck = 0x11,
    /// The kernel's own bug.
    Panic = 0x12,
    /// The machine lacks what the run asked for.
    EnvironmentMissing = 0x13,
}

/// Leaves the machine.
///
/// # Panics
/// In the host build, where there is no machine to leave.
pub fn exit(code: ExitCode) -> ! {
    if !cfg!(feature = "kernel") {
        panic!("the guest would leave with {code:?}");
    }
    interrupts::disable();
    port::write_u32(EXIT_PORT, code as u32);
    // Reached only where the exit device is missing: stop for good, the harness' clock does the rest.
    loop {
        core::hint::spin_loop();
    }
}
