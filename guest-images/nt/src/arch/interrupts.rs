//! The interrupt flag.
#![expect(unsafe_code, reason = "cli, sti and hlt")]

use core::arch::asm;

/// Runs `body` with interrupts off and puts the flag back as it was. A no-op in the host build.
pub fn without<R>(body: impl FnOnce() -> R) -> R {
    if !cfg!(feature = "kernel") {
        return body();
    }
    let flags: u64;
    // SAFETY: reading the flags and clearing IF changes no memory that Rust knows.
    unsafe { asm!("pushfq", "pop {}", "cli", out(reg) flags) };
    let result = body();
    if flags & (1 << 9) != 0 {
        // SAFETY: IF was set when this function was entered.
        unsafe { asm!("sti") };
    }
    result
}

/// Turns interrupts on; the boot path and the interrupt stub use it.
pub fn enable() {
    if cfg!(feature = "kernel") {
        // SAFETY: the IDT is loaded before the first call.
        unsafe { asm!("sti") };
    }
}

/// Turns interrupts off.
pub fn disable() {
    if cfg!(feature = "kernel") {
        // SAFETY: no memory is touched.
        unsafe { asm!("cli") };
    }
}

/// Waits for the next interrupt: `sti` and `hlt` in one step, so that none slips in between.
pub fn wait() {
    if cfg!(feature = "kernel") {
        // SAFETY: the IDT is loaded; a halted CPU continues behind the instruction.
        unsafe { asm!("sti", "hlt") };
    }
}
