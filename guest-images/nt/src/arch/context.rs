//! Switching stacks. What a switch keeps is what the System V convention says a call keeps; the shells of
//! foreign calls save what the Microsoft convention keeps beyond that (xmm6 to xmm15).
#![expect(unsafe_code, reason = "changes the stack pointer")]

use core::arch::naked_asm;

use x86_64::VirtAddr;

/// Words on a fresh stack: flags of SSE, six registers, where it starts, and one for alignment.
const FRESH_WORDS: u64 = 9;
/// MXCSR after reset, as threads find it.
const DEFAULT_MXCSR: u64 = 0x1F80;

/// What a thread's first switch enters; never returns.
pub type Entry = extern "C" fn() -> !;

/// Prepares a stack that ends at `top` so that the first switch to the result enters `entry`.
///
/// # Safety
/// `top` is 16-byte aligned, and the page below it is mapped and writable, and nobody else's.
#[must_use]
pub unsafe fn prepare(top: u64, entry: Entry) -> u64 {
    let saved = top - FRESH_WORDS * 8;
    let words = VirtAddr::new_truncate(saved).as_mut_ptr::<u64>();
    // SAFETY: the caller's promise; nine words below `top`.
    unsafe {
        words.write(DEFAULT_MXCSR);
        for register in 1..7 {
            words.add(register).write(0);
        }
        words.add(7).write(entry as usize as u64);
        words.add(8).write(0);
    }
    saved
}

/// Saves the current stack pointer at `from` and goes on where `to` was saved.
///
/// # Safety
/// `to` was given by [`prepare`] or saved by this function, once, and its stack still stands. Interrupts are
/// off, and no lock is held that the other side could want.
#[unsafe(naked)]
pub unsafe extern "C" fn switch(from: *mut u64, to: u64) {
    naked_asm!(
        "push rbx",
        "push rbp",
        "push r12",
        "push r13",
        "push r14",
        "push r15",
        "sub rsp, 8",
        "stmxcsr [rsp]",
        "mov [rdi], rsp",
        "mov rsp, rsi",
        "ldmxcsr [rsp]",
        "add rsp, 8",
        "pop r15",
        "pop r14",
        "pop r13",
        "pop r12",
        "pop rbp",
        "pop rbx",
        "ret",
    )
}
