//! The CPU's cache of translations.
#![expect(unsafe_code, reason = "invlpg and CR3")]

use core::arch::asm;

/// Drops the translation of one page.
pub fn flush_page(address: u64) {
    if cfg!(feature = "kernel") {
        // SAFETY: dropping a cached translation is always allowed.
        unsafe { asm!("invlpg [{}]", in(reg) address, options(nostack, preserves_flags)) };
    }
}

/// Switches to other page tables.
///
/// # Safety
/// They map the running code, its stack and all that Rust knows as before.
pub unsafe fn activate(root: u64) {
    if cfg!(feature = "kernel") {
        // SAFETY: the caller's promise.
        unsafe { asm!("mov cr3, {}", in(reg) root, options(nostack, preserves_flags)) };
    }
}
