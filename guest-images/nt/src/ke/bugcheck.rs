//! Bug checks: the code and its parameters go to the harness as data, then the machine ends.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::arch::exit::{ExitCode, exit};
use crate::arch::images::{self, Symbolic};
use crate::arch::interrupts;
use crate::console::Event;
use crate::memory::{self, PAGE_SIZE};

/// How far up the stack a driver's frame is looked for: 32 KiB.
const MAX_STACK_WORDS: usize = 4096;

static IS_RAISED: AtomicBool = AtomicBool::new(false);

/// The codes that this crate raises, by their documented names.
pub mod code {
    /// IRQL_NOT_GREATER_OR_EQUAL.
    pub const IRQL_NOT_GREATER_OR_EQUAL: u32 = 0x09;
    /// IRQL_NOT_LESS_OR_EQUAL.
    pub const IRQL_NOT_LESS_OR_EQUAL: u32 = 0x0A;
    /// SPIN_LOCK_ALREADY_OWNED.
    pub const SPIN_LOCK_ALREADY_OWNED: u32 = 0x0F;
    /// SPIN_LOCK_NOT_OWNED.
    pub const SPIN_LOCK_NOT_OWNED: u32 = 0x10;
    /// KMODE_EXCEPTION_NOT_HANDLED.
    pub const KMODE_EXCEPTION_NOT_HANDLED: u32 = 0x1E;
    /// PAGE_FAULT_IN_NONPAGED_AREA.
    pub const PAGE_FAULT_IN_NONPAGED_AREA: u32 = 0x50;
    /// ATTEMPTED_SWITCH_FROM_DPC.
    pub const ATTEMPTED_SWITCH_FROM_DPC: u32 = 0xB8;
    /// SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION.
    pub const SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION: u32 = 0xC1;
    /// BAD_POOL_CALLER.
    pub const BAD_POOL_CALLER: u32 = 0xC2;
    /// TIMER_OR_DPC_INVALID.
    pub const TIMER_OR_DPC_INVALID: u32 = 0xC7;
    /// IRQL_UNEXPECTED_VALUE.
    pub const IRQL_UNEXPECTED_VALUE: u32 = 0xC8;
    /// DRIVER_IRQL_NOT_LESS_OR_EQUAL.
    pub const DRIVER_IRQL_NOT_LESS_OR_EQUAL: u32 = 0xD1;
    /// KERNEL_SECURITY_CHECK_FAILURE.
    pub const KERNEL_SECURITY_CHECK_FAILURE: u32 = 0x139;
}

/// The driver's frame nearest on the stack: most likely where the call that is being served comes from.
#[must_use]
pub fn driver_location() -> Option<u64> {
    nearest_driver_frame(stack_pointer())
}

/// Raises a bug check; the location is the driver's frame nearest on the stack.
pub fn raise(code: u32, parameters: [u64; 4]) -> ! {
    raise_at(code, parameters, driver_location().unwrap_or(0))
}

/// Raises a bug check whose cause lies at a known address.
pub fn raise_at(code: u32, parameters: [u64; 4], location: u64) -> ! {
    interrupts::disable();
    if !cfg!(feature = "kernel") {
        panic!("bug check {code:#x} {parameters:#x?}");
    }
    if !IS_RAISED.swap(true, Ordering::Relaxed) {
        Event::new("bugcheck")
            .hex("code", u64::from(code))
            .hex_list("parameters", &parameters)
            .display("location", &Symbolic(location))
            .send();
    }
    exit(ExitCode::BugCheck)
}

/// The first word on the stack, from `stack_pointer` up, that lies behind a call in a driver's image: most likely
/// the return address of the driver's call that led here. Saved registers hold other addresses in the image.
#[must_use]
pub fn nearest_driver_frame(stack_pointer: u64) -> Option<u64> {
    let mut address = stack_pointer.next_multiple_of(8);
    for _ in 0..MAX_STACK_WORDS {
        let is_page_start = address.is_multiple_of(PAGE_SIZE) || address < stack_pointer + 8;
        if is_page_start && !memory::is_readable_now(address) {
            return None;
        }
        let word = read_stack(address);
        if images::contains(word) && follows_call(&code_before(word)) {
            return Some(word);
        }
        address += 8;
    }
    None
}

/// Longest call instruction that is looked for.
const CALL_BYTES: usize = 7;

/// The bytes before an address in an image.
fn code_before(address: u64) -> [u8; CALL_BYTES] {
    let start = address.wrapping_sub(CALL_BYTES as u64);
    let mut bytes = [0; CALL_BYTES];
    if images::contains(start) && memory::is_readable_now(start) && memory::is_readable_now(address)
    {
        for (at, byte) in (start..).zip(&mut bytes) {
            let word = read_stack(at & !7);
            *byte = word.to_le_bytes()[usize::try_from(at & 7).unwrap_or(0)];
        }
    }
    bytes
}

/// Whether code ends with a call: `E8 rel32`, or `FF /2` with any operand.
fn follows_call(code: &[u8; CALL_BYTES]) -> bool {
    // Length of FF, its operand byte, and what that asks for behind it.
    let is_indirect = |length: usize| {
        let [opcode, operand, ..] = code[CALL_BYTES - length..] else {
            return false;
        };
        let (mode, register, memory) = (operand >> 6, (operand >> 3) & 7, operand & 7);
        let sib = usize::from(mode != 3 && memory == 4);
        let displacement = match mode {
            0 if memory == 5 => 4,
            1 => 1,
            2 => 4,
            _ => 0,
        };
        opcode == 0xFF && register == 2 && length == 2 + sib + displacement
    };
    code[CALL_BYTES - 5] == 0xE8 || [2, 3, 4, 6, 7].into_iter().any(is_indirect)
}

#[cfg(feature = "kernel")]
#[expect(unsafe_code, reason = "looks at the stack")]
fn read_stack(address: u64) -> u64 {
    // SAFETY: the caller has checked that the page is mapped; the address is aligned.
    unsafe {
        memory::VirtAddr::new_truncate(address)
            .as_ptr::<u64>()
            .read_volatile()
    }
}

#[cfg(not(feature = "kernel"))]
fn read_stack(_address: u64) -> u64 {
    0
}

/// An address on the current stack, below the caller's frame.
#[inline(never)]
fn stack_pointer() -> u64 {
    let here = 0u64;
    (&raw const here).expose_provenance() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_all_forms_are_told_from_other_code() {
        let check = |code: [u8; CALL_BYTES], expected: bool| {
            assert_eq!(follows_call(&code), expected, "{code:02x?}");
        };
        check([0, 0, 0xE8, 1, 2, 3, 4], true);
        check([0, 0xFF, 0x15, 1, 2, 3, 4], true);
        check([0, 0, 0, 0, 0, 0xFF, 0xD0], true);
        check([0, 0, 0, 0, 0xFF, 0x50, 0x18], true);
        check([0, 0xFF, 0x90, 0x38, 1, 0, 0], true);
        check([0xFF, 0x94, 0x24, 0x38, 1, 0, 0], true);
        check([0, 0, 0, 0xFF, 0x54, 0x24, 8], true);
        check([0; CALL_BYTES], false);
        check([0, 0xFF, 0x25, 1, 2, 3, 4], false);
        check([0x90; CALL_BYTES], false);
    }
}
