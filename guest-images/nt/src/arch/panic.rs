//! The kernel's own death: says why and where on a machine line, then leaves. Allocates nothing.

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use super::exit::{ExitCode, exit};
use super::interrupts;
use crate::console::Event;
use crate::ke::thread;

static IS_PANICKING: AtomicBool = AtomicBool::new(false);

/// The panic handler of the kernel binary.
pub fn stop(info: &PanicInfo<'_>) -> ! {
    interrupts::disable();
    if !IS_PANICKING.swap(true, Ordering::Relaxed) {
        let event = Event::new("panic")
            .display("message", &info.message())
            .text("thread", thread::current_name());
        match info.location() {
            Some(location) => event.display("location", location).send(),
            None => event.send(),
        }
    }
    exit(ExitCode::Panic)
}
