//! Imports that nt lacks: each is bound to a thunk of its own that reports the name and gives a defined
//! result, so that the coverage of a new driver is known at its first run.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::arch::naked_asm;

use super::shared::write_bytes;
use super::status;
use super::verifier;
use crate::arch::guarded::Guarded;
use crate::arch::images::Symbolic;
use crate::console::Event;
use crate::memory::{self, Protection, VirtAddr};
use crate::pe::Import;

/// Room of one thunk.
const THUNK_BYTES: u64 = 32;
const PAGE_BYTES: u64 = 0x1000;
/// Thunks in all.
const MAX_THUNKS: u64 = 2 * PAGE_BYTES / THUNK_BYTES;

struct Thunks {
    code: Option<u64>,
    missing: Vec<Missing>,
}

struct Missing {
    name: String,
    calls: u64,
}

static THUNKS: Guarded<Thunks> = Guarded::new(Thunks {
    code: None,
    missing: Vec::new(),
});

/// Reports a missing import of an image and gives the address to bind it to; 0 where no thunk is left.
pub(super) fn bind(image: &str, import: Import<'_>) -> u64 {
    Event::new("missing-import")
        .text("image", image)
        .text("dll", import.dll)
        .text("name", import.name)
        .send();
    let known = THUNKS.with(|thunks| {
        let position = thunks
            .missing
            .iter()
            .position(|missing| missing.name == import.name);
        position.map(|idx| idx as u64)
    });
    let number = known.unwrap_or_else(|| {
        THUNKS.with(|thunks| {
            thunks.missing.push(Missing {
                name: import.name.to_string(),
                calls: 0,
            });
            thunks.missing.len() as u64 - 1
        })
    });
    match code_page() {
        Some(code) if number < MAX_THUNKS => code + number * THUNK_BYTES,
        _ => 0,
    }
}

/// The executable pages with all thunks, made at the first need.
fn code_page() -> Option<u64> {
    if let Some(code) = THUNKS.with(|thunks| thunks.code) {
        return Some(code);
    }
    let pages = MAX_THUNKS * THUNK_BYTES / PAGE_BYTES;
    let start = memory::allocate_image(pages).ok()?;
    let shell = (report_call as *const ()).expose_provenance() as u64;
    for number in 0..MAX_THUNKS {
        write_bytes(start.as_u64() + number * THUNK_BYTES, &thunk(number, shell));
    }
    memory::protect(start, pages, Protection::Execute).ok()?;
    THUNKS.with(|thunks| thunks.code = Some(VirtAddr::as_u64(start)));
    Some(start.as_u64())
}

/// `mov r10d, number; mov r11, shell; jmp r11`.
fn thunk(number: u64, shell: u64) -> [u8; 19] {
    let mut code = [0; 19];
    code[..2].copy_from_slice(&[0x41, 0xBA]);
    code[2..6].copy_from_slice(&number.to_le_bytes()[..4]);
    code[6..8].copy_from_slice(&[0x49, 0xBB]);
    code[8..16].copy_from_slice(&shell.to_le_bytes());
    code[16..].copy_from_slice(&[0x41, 0xFF, 0xE3]);
    code
}

/// Where every thunk ends: the number comes in R10, the caller's address lies on the stack.
#[unsafe(naked)]
extern "win64" fn report_call() -> u64 {
    naked_asm!(
        "mov ecx, r10d",
        "mov rdx, [rsp]",
        "sub rsp, 40",
        "call {report}",
        "add rsp, 40",
        "ret",
        report = sym report,
    )
}

/// Notes a call; the first one of each name is a finding. The result is STATUS_NOT_IMPLEMENTED.
extern "win64" fn report(number: u32, caller: u64) -> u64 {
    let first = THUNKS.with(|thunks| {
        let missing = thunks.missing.get_mut(number as usize)?;
        missing.calls += 1;
        (missing.calls == 1).then(|| missing.name.clone())
    });
    if let Some(name) = first {
        verifier::finding(
            "missing-import-called",
            format_args!("{name} called from {}", Symbolic(caller)),
        );
    }
    status::NOT_IMPLEMENTED.0.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thunk_loads_its_number_and_jumps_to_the_shell() {
        let code = thunk(0x0102, 0x1122_3344_5566_7788);
        assert_eq!(
            code,
            [
                0x41, 0xBA, 2, 1, 0, 0, 0x49, 0xBB, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
                0x41, 0xFF, 0xE3
            ]
        );
    }
}
