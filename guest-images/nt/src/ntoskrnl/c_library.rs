//! The C routines that drivers import from ntoskrnl: memory, strings, formatted output.
#![expect(unsafe_code, reason = "raw memory routines and varargs shells")]

use alloc::vec::Vec;
use core::arch::naked_asm;
use core::cell::Cell;
use core::ptr::{copy, with_exposed_provenance, with_exposed_provenance_mut};

use super::format::{Arguments, Flavor, format};
use super::objects::UnicodeString;
use super::shared::{narrow_text, optional, read_u64, shared, wide_text, write_bytes};

/// Longest format string.
const MAX_FORMAT: usize = 8192;

/// Arguments in 8-byte slots, as a win64 `va_list` points to them.
pub(super) struct Slots {
    next: u64,
}

impl Slots {
    /// The slots from `address` on.
    pub(super) const fn at(address: u64) -> Self {
        Self { next: address }
    }
}

impl Arguments for Slots {
    fn next(&mut self) -> u64 {
        let value = read_u64(self.next);
        self.next += 8;
        value
    }

    fn narrow(&self, address: u64, limit: usize) -> Vec<u8> {
        narrow_text(address, limit)
    }

    fn wide(&self, address: u64, limit: usize) -> Vec<u8> {
        let units = wide_text(address, limit);
        alloc::string::String::from_utf16_lossy(&units).into_bytes()
    }

    fn counted(&self, address: u64) -> Option<(u16, u64)> {
        optional::<UnicodeString>(address).map(|string| (string.length.get(), string.buffer.get()))
    }
}

/// Formats narrow text from a `va_list`.
pub(super) fn format_narrow(text: u64, slots: u64) -> Vec<u8> {
    format(
        Flavor::Narrow,
        &narrow_text(text, MAX_FORMAT),
        &mut Slots::at(slots),
    )
}

fn format_wide(text: u64, slots: u64) -> Vec<u16> {
    let units = wide_text(text, MAX_FORMAT);
    let text = alloc::string::String::from_utf16_lossy(&units);
    let output = format(Flavor::Wide, text.as_bytes(), &mut Slots::at(slots));
    alloc::string::String::from_utf8_lossy(&output)
        .encode_utf16()
        .collect()
}

/// A shell for a variadic routine whose named arguments end before argument number `$slot`: spills the
/// register arguments to the caller's home area, where they lie in line with those on the stack, and
/// passes the address of the first variadic one to `$work` behind the named ones. It calls rather than
/// jumps: the callee may use the home area for itself.
macro_rules! variadic {
    ($(#[$doc:meta])* $name:ident => $work:path, $register:literal, $slot:literal) => {
        $(#[$doc])*
        #[unsafe(naked)]
        pub(super) extern "win64" fn $name() -> u64 {
            naked_asm!(
                "mov [rsp + 8], rcx",
                "mov [rsp + 16], rdx",
                "mov [rsp + 24], r8",
                "mov [rsp + 32], r9",
                concat!("lea ", $register, ", [rsp + 8 + 8 * ", $slot, "]"),
                "sub rsp, 40",
                "call {work}",
                "add rsp, 40",
                "ret",
                work = sym $work,
            )
        }
    };
}
pub(super) use variadic;

variadic! {
    /// `_snprintf` (C run-time): -1 where the text does not fit.
    snprintf => vsnprintf, "r9", 3
}

variadic! {
    /// `sprintf` (C run-time).
    sprintf => vsprintf, "r8", 2
}

variadic! {
    /// `_snwprintf` (C run-time): -1 where the text does not fit.
    snwprintf => vsnwprintf, "r9", 3
}

/// `_vsnprintf` (C run-time): characters written, -1 where the text does not fit (it is cut then).
pub(super) extern "win64" fn vsnprintf(buffer: u64, room: u64, text: u64, slots: u64) -> i32 {
    let mut output = format_narrow(text, slots);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let len = output.len();
    output.push(0);
    output.truncate(room);
    write_bytes(buffer, &output);
    if len > room {
        -1
    } else {
        i32::try_from(len).unwrap_or(-1)
    }
}

/// `vsprintf` (C run-time).
pub(super) extern "win64" fn vsprintf(buffer: u64, text: u64, slots: u64) -> i32 {
    vsnprintf(buffer, u64::MAX, text, slots)
}

/// `_vsnwprintf` (C run-time): as [`vsnprintf`], in UTF-16.
pub(super) extern "win64" fn vsnwprintf(buffer: u64, room: u64, text: u64, slots: u64) -> i32 {
    let mut output = format_wide(text, slots);
    let room = usize::try_from(room).unwrap_or(usize::MAX);
    let len = output.len();
    output.push(0);
    output.truncate(room);
    let bytes: Vec<u8> = output.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    write_bytes(buffer, &bytes);
    if len > room {
        -1
    } else {
        i32::try_from(len).unwrap_or(-1)
    }
}

/// `memcpy`, `memmove`, `RtlMoveMemory` (C run-time). A bad address is a page fault, as on Windows.
pub(super) extern "win64" fn memmove(to: u64, from: u64, len_bytes: u64) -> u64 {
    // SAFETY: the driver promises two ranges of `len_bytes` bytes; `copy` lets them overlap.
    unsafe {
        copy(
            with_exposed_provenance::<u8>(as_usize(from)),
            with_exposed_provenance_mut::<u8>(as_usize(to)),
            as_usize(len_bytes),
        );
    }
    to
}

/// `memset`, `RtlFillMemory` has another order (C run-time).
pub(super) extern "win64" fn memset(to: u64, value: i32, len_bytes: u64) -> u64 {
    let byte = value.to_le_bytes()[0];
    // SAFETY: the driver promises `len_bytes` writable bytes.
    unsafe {
        with_exposed_provenance_mut::<u8>(as_usize(to)).write_bytes(byte, as_usize(len_bytes));
    }
    to
}

/// `RtlFillMemory` (wdm.h): (destination, length, byte).
pub(super) extern "win64" fn rtl_fill_memory(to: u64, len_bytes: u64, value: u8) {
    memset(to, value.into(), len_bytes);
}

/// `memcmp` (C run-time).
pub(super) extern "win64" fn memcmp(left: u64, right: u64, len_bytes: u64) -> i32 {
    (0..len_bytes)
        .map(|at| i32::from(byte(left + at)) - i32::from(byte(right + at)))
        .find(|difference| *difference != 0)
        .unwrap_or(0)
}

/// `strlen` (C run-time).
pub(super) extern "win64" fn strlen(text: u64) -> u64 {
    (0..).find(|at| byte(text + at) == 0).unwrap_or(0)
}

/// `wcslen` (C run-time).
pub(super) extern "win64" fn wcslen(text: u64) -> u64 {
    (0..).find(|at| unit(text + at * 2) == 0).unwrap_or(0)
}

/// `strcmp` (C run-time).
pub(super) extern "win64" fn strcmp(left: u64, right: u64) -> i32 {
    strncmp(left, right, u64::MAX)
}

/// `strncmp` (C run-time).
pub(super) extern "win64" fn strncmp(left: u64, right: u64, limit: u64) -> i32 {
    for at in 0..limit {
        let (a, b) = (byte(left + at), byte(right + at));
        if a != b || a == 0 {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

/// `wcscmp` (C run-time).
pub(super) extern "win64" fn wcscmp(left: u64, right: u64) -> i32 {
    let mut at = 0;
    loop {
        let (a, b) = (unit(left + at), unit(right + at));
        if a != b || a == 0 {
            return i32::from(a) - i32::from(b);
        }
        at += 2;
    }
}

fn byte(address: u64) -> u8 {
    shared::<Cell<u8>>(address).get()
}

fn unit(address: u64) -> u16 {
    u16::from_le_bytes([byte(address), byte(address + 1)])
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "usize has 64 bits on x86-64"
)]
fn as_usize(value: u64) -> usize {
    value as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    type Variadic = unsafe extern "win64" fn(u64, u64, u64, u64, u64, u64, u64) -> u64;

    #[test]
    fn variadic_shell_finds_register_and_stack_arguments() {
        let mut buffer = [0xAAu8; 64];
        let text = b"%d %s %x %d\0";
        let name = b"dma\0";
        let address = |bytes: &[u8]| bytes.as_ptr().expose_provenance() as u64;
        // SAFETY: the shell takes any number of integer arguments.
        let call = unsafe { core::mem::transmute::<*const (), Variadic>(snprintf as *const ()) };
        let target = buffer.as_mut_ptr().expose_provenance() as u64;

        // SAFETY: the buffer has the stated room.
        let len = unsafe { call(target, 64, address(text), 7, address(name), 0xab, 42) };

        assert_eq!(len, 11);
        assert_eq!(&buffer[..12], b"7 dma ab 42\0");
    }

    #[test]
    fn text_that_does_not_fit_is_cut_and_minus_one() {
        let mut buffer = [0xAAu8; 8];
        let target = buffer.as_mut_ptr().expose_provenance() as u64;
        let text = b"abcdef\0";
        let text = text.as_ptr().expose_provenance() as u64;
        assert_eq!(vsnprintf(target, 4, text, 0), -1);
        assert_eq!(&buffer[..5], b"abcd\xAA");
        assert_eq!(vsnprintf(target, 7, text, 0), 6);
        assert_eq!(&buffer[..7], b"abcdef\0");
    }
}
