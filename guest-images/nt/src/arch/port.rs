//! Port I/O. Ports are used for the debug console, COM1, the exit device and the two legacy interrupt
//! controllers only; none of them can reach memory.
#![expect(unsafe_code, reason = "the in and out instructions")]

use core::arch::asm;

/// Reads one byte; all ones in the host build.
#[must_use]
pub fn read_u8(port: u16) -> u8 {
    let mut value = 0xFF;
    if cfg!(feature = "kernel") {
        // SAFETY: the kernel runs in ring 0, and no port it names has a memory side effect.
        unsafe { asm!("in al, dx", in("dx") port, lateout("al") value, options(nomem, nostack)) };
    }
    value
}

/// Writes one byte; nothing in the host build.
pub fn write_u8(port: u16, value: u8) {
    if cfg!(feature = "kernel") {
        // SAFETY: as in `read_u8`.
        unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack)) };
    }
}

/// Writes a double word; nothing in the host build.
pub fn write_u32(port: u16, value: u32) {
    if cfg!(feature = "kernel") {
        // SAFETY: as in `read_u8`.
        unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack)) };
    }
}

/// Writes all of `bytes` to one port.
pub fn write_bytes(port: u16, bytes: &[u8]) {
    if cfg!(feature = "kernel") {
        // SAFETY: as in `read_u8`; the source is the slice, read forward.
        unsafe {
            asm!("rep outsb", in("dx") port, inout("rsi") bytes.as_ptr() => _,
                inout("rcx") bytes.len() => _, options(readonly, nostack, preserves_flags));
        }
    }
}
