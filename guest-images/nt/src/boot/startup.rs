//! The order in which the kernel comes up.

use crate::arch::exit::{ExitCode, exit};
use crate::console::Event;

/// Brings the kernel up; `start_info` is the physical address of the PVH start info.
pub fn start(_start_info: u64) -> ! {
    Event::new("boot")
        .text("remapping", "off")
        .hex("memory_bytes", 0)
        .text("version", env!("CARGO_PKG_VERSION"))
        .send();
    exit(ExitCode::Clean)
}
