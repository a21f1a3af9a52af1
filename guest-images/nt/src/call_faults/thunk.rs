//! Thunks in front of the routines that may fail: each loads its routine's number and goes to the shell, which asks
//! [`sites`](super::sites) and jumps on: to the routine, with the caller's stack and registers as they were, or to
//! what ends the call in its place.

use core::arch::naked_asm;
use core::cell::Cell;

use super::fallible::{self, Door, FALLIBLE};
use super::sites::{self, Arguments, Ending};
use crate::arch::guarded::Guarded;
use crate::memory::{self, Protection, VirtAddr};
use crate::ntoskrnl::exports;
use crate::ntoskrnl::shared::{shared, write_bytes, write_u64};

/// Room of one thunk.
const THUNK_BYTES: u64 = 32;
const PAGE_BYTES: u64 = 0x1000;
const MAX_ROUTINES: usize = 256;
const _: () = assert!(FALLIBLE.len() <= MAX_ROUTINES);

struct Thunks {
    code: Option<u64>,
    /// Where each routine lies, 0 where it was never bound.
    targets: [u64; MAX_ROUTINES],
}

static THUNKS: Guarded<Thunks> = Guarded::new(Thunks {
    code: None,
    targets: [0; MAX_ROUTINES],
});

/// What an import is to be bound to.
pub(crate) fn bind_export(name: &str, address: u64) -> u64 {
    bind(address, || {
        fallible::by_name(name).filter(|number| FALLIBLE[*number].door == Door::Import)
    })
}

/// What stands in a table of DMA_OPERATIONS at an index.
pub(crate) fn bind_member(index: usize, address: u64) -> u64 {
    let is_meant = |routine: &fallible::Fallible| routine.door == Door::DmaOperation(index);
    bind(address, || FALLIBLE.iter().position(is_meant))
}

/// What stands in a framework's function table for a name.
pub(crate) fn bind_function(name: &str, address: u64) -> u64 {
    bind(address, || {
        fallible::by_name(name).filter(|number| FALLIBLE[*number].door == Door::Framework)
    })
}

/// The thunk of a routine where calls are watched and it may fail; else the routine.
fn bind(address: u64, number: impl FnOnce() -> Option<usize>) -> u64 {
    if !sites::is_on() {
        return address;
    }
    let Some((number, code)) = number().zip(code_pages()) else {
        return address;
    };
    THUNKS.with(|thunks| thunks.targets[number] = address);
    code + number as u64 * THUNK_BYTES
}

/// The executable pages with all thunks, made at the first need.
fn code_pages() -> Option<u64> {
    if let Some(code) = THUNKS.with(|thunks| thunks.code) {
        return Some(code);
    }
    let pages = (FALLIBLE.len() as u64 * THUNK_BYTES).div_ceil(PAGE_BYTES);
    let start = memory::allocate_image(pages).ok()?;
    let shell = (watch_call as *const ()).expose_provenance() as u64;
    for number in 0..FALLIBLE.len() as u64 {
        let at = start.as_u64() + number * THUNK_BYTES;
        write_bytes(at, &code(number, shell));
    }
    memory::protect(start, pages, Protection::Execute).ok()?;
    THUNKS.with(|thunks| thunks.code = Some(VirtAddr::as_u64(start)));
    Some(start.as_u64())
}

/// `mov r10d, number; mov r11, shell; jmp r11`.
fn code(number: u64, shell: u64) -> [u8; 19] {
    let mut code = [0; 19];
    code[..2].copy_from_slice(&[0x41, 0xBA]);
    code[2..6].copy_from_slice(&number.to_le_bytes()[..4]);
    code[6..8].copy_from_slice(&[0x49, 0xBB]);
    code[8..16].copy_from_slice(&shell.to_le_bytes());
    code[16..].copy_from_slice(&[0x41, 0xFF, 0xE3]);
    code
}

/// Where every thunk ends: the number comes in R10. The four register arguments rest in the home area that every
/// caller leaves above the return address; no routine here takes a floating-point argument.
#[unsafe(naked)]
extern "win64" fn watch_call() -> u64 {
    naked_asm!(
        "mov [rsp + 0x08], rcx",
        "mov [rsp + 0x10], rdx",
        "mov [rsp + 0x18], r8",
        "mov [rsp + 0x20], r9",
        "mov ecx, r10d",
        "mov rdx, rsp",
        "sub rsp, 40",
        "call {decide}",
        "add rsp, 40",
        "mov rcx, [rsp + 0x08]",
        "mov rdx, [rsp + 0x10]",
        "mov r8, [rsp + 0x18]",
        "mov r9, [rsp + 0x20]",
        "jmp rax",
        decide = sym decide,
    )
}

/// The end of a call that fails: its first argument is the result by now.
#[unsafe(naked)]
extern "win64" fn give_result() -> u64 {
    naked_asm!("mov rax, rcx", "ret")
}

/// Where the shell goes on. `frame` is the address of the caller's return address, behind which its arguments lie.
extern "win64" fn decide(number: u32, frame: u64) -> u64 {
    let word = |index: u64| shared::<Cell<u64>>(frame + index * 8).get();
    let routine = number as usize;
    let arguments = Arguments {
        first: word(1),
        fifth: word(5),
    };
    match sites::note(routine, word(0), arguments) {
        None => THUNKS.with(|thunks| thunks.targets[routine]),
        Some(Ending::Return(value)) => {
            write_u64(frame + 8, value);
            (give_result as *const ()).expose_provenance() as u64
        }
        Some(Ending::Raise(status)) => {
            write_u64(frame + 8, status.into());
            exports::find("ExRaiseStatus").unwrap_or(0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thunk_loads_its_number_and_jumps_to_the_shell() {
        let code = code(0x0102, 0x1122_3344_5566_7788);
        assert_eq!(
            code,
            [
                0x41, 0xBA, 2, 1, 0, 0, 0x49, 0xBB, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
                0x41, 0xFF, 0xE3
            ]
        );
        assert!(code.len() as u64 <= THUNK_BYTES);
    }

    #[test]
    fn routines_are_bound_as_they_are_where_nothing_is_watched() {
        assert_eq!(bind_export("IoAllocateMdl", 0x1234), 0x1234);
        assert_eq!(bind_member(2, 0x1234), 0x1234);
        assert_eq!(bind_function("WdfObjectCreate", 0x1234), 0x1234);
    }
}
