//! Run-time library: strings and memory.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use super::objects::UnicodeString;
use super::shared::{
    counted_text, fill, narrow_text, optional, read_bytes, shared, wide_text, write_bytes,
};
use super::status::{self, NtStatus};
use super::verifier;

/// Longest counted string in characters, with its zero.
const MAX_CHARACTERS: usize = 32_766;

/// `RtlInitUnicodeString` (wdm.h). Any IRQL.
pub(super) extern "win64" fn rtl_init_unicode_string(string: u64, text: u64) {
    init_counted(
        string,
        text,
        if text == 0 {
            0
        } else {
            wide_text(text, MAX_CHARACTERS).len() * 2
        },
        2,
    );
}

/// `RtlInitAnsiString`, `RtlInitString` (wdm.h). Any IRQL.
pub(super) extern "win64" fn rtl_init_ansi_string(string: u64, text: u64) {
    init_counted(
        string,
        text,
        if text == 0 {
            0
        } else {
            narrow_text(text, 0xfffe).len()
        },
        1,
    );
}

fn init_counted(string: u64, text: u64, len_bytes: usize, unit: u16) {
    let string: &UnicodeString = shared(string);
    // Both bounded below 64 KiB by the calls above.
    let len = u16::try_from(len_bytes).unwrap_or(0xfffe & !(unit - 1));
    string.length.set(len);
    string.maximum_length.set(if text == 0 {
        0
    } else {
        len.saturating_add(unit)
    });
    string.buffer.set(text);
}

/// `RtlCopyUnicodeString` (wdm.h). Any IRQL for resident strings. Cuts at the target's room.
pub(super) extern "win64" fn rtl_copy_unicode_string(target: u64, source: u64) {
    let target: &UnicodeString = shared(target);
    let text = counted_text(source);
    put(target, &text[..text.len().min(room(target))]);
}

/// `RtlAppendUnicodeStringToString` (wdm.h). Any IRQL for resident strings. STATUS_SUCCESS or
/// STATUS_BUFFER_TOO_SMALL.
pub(super) extern "win64" fn rtl_append_unicode_string_to_string(
    target: u64,
    source: u64,
) -> NtStatus {
    append(target, &counted_text(source))
}

/// `RtlAppendUnicodeToString` (wdm.h). As [`rtl_append_unicode_string_to_string`], from zero-ended text.
pub(super) extern "win64" fn rtl_append_unicode_to_string(target: u64, text: u64) -> NtStatus {
    let text = if text == 0 {
        Vec::new()
    } else {
        wide_text(text, MAX_CHARACTERS)
    };
    append(target, &text)
}

fn append(target: u64, text: &[u16]) -> NtStatus {
    let mut joined = counted_text(target);
    joined.extend_from_slice(text);
    let target: &UnicodeString = shared(target);
    if joined.len() > room(target) {
        return status::BUFFER_TOO_SMALL;
    }
    put(target, &joined);
    status::SUCCESS
}

/// `RtlCompareUnicodeString` (wdm.h). IRQL PASSIVE_LEVEL. Negative, zero or positive.
pub(super) extern "win64" fn rtl_compare_unicode_string(
    left: u64,
    right: u64,
    ignore_case: u8,
) -> i32 {
    let fold = |text: Vec<u16>| match ignore_case {
        0 => text,
        _ => text.into_iter().map(upcase).collect(),
    };
    match fold(counted_text(left)).cmp(&fold(counted_text(right))) {
        core::cmp::Ordering::Less => -1,
        core::cmp::Ordering::Equal => 0,
        core::cmp::Ordering::Greater => 1,
    }
}

/// `RtlEqualUnicodeString` (wdm.h). IRQL PASSIVE_LEVEL.
pub(super) extern "win64" fn rtl_equal_unicode_string(
    left: u64,
    right: u64,
    ignore_case: u8,
) -> u8 {
    u8::from(rtl_compare_unicode_string(left, right, ignore_case) == 0)
}

/// `RtlUpcaseUnicodeChar` (wdm.h). IRQL PASSIVE_LEVEL.
pub(super) extern "win64" fn rtl_upcase_unicode_char(character: u16) -> u16 {
    upcase(character)
}

/// `RtlIntegerToUnicodeString` (wdm.h). IRQL PASSIVE_LEVEL. Bases 2, 8, 10 (also 0) and 16. STATUS_SUCCESS,
/// STATUS_BUFFER_OVERFLOW, STATUS_INVALID_PARAMETER.
pub(super) extern "win64" fn rtl_integer_to_unicode_string(
    value: u32,
    base: u32,
    target: u64,
) -> NtStatus {
    let digits: String = match base {
        2 => alloc::format!("{value:b}"),
        8 => alloc::format!("{value:o}"),
        0 | 10 => alloc::format!("{value}"),
        16 => alloc::format!("{value:X}"),
        _ => return status::INVALID_PARAMETER,
    };
    let text: Vec<u16> = digits.encode_utf16().collect();
    let target: &UnicodeString = shared(target);
    if text.len() > room(target) {
        return status::BUFFER_OVERFLOW;
    }
    put(target, &text);
    status::SUCCESS
}

/// `RtlCompareMemory` (wdm.h). Any IRQL for resident memory. Bytes that are equal.
pub(super) extern "win64" fn rtl_compare_memory(left: u64, right: u64, len_bytes: u64) -> u64 {
    let len = usize::try_from(len_bytes).unwrap_or(0);
    let equal = read_bytes(left, len)
        .iter()
        .zip(&read_bytes(right, len))
        .take_while(|(left, right)| left == right)
        .count();
    equal as u64
}

/// `RtlGetVersion` (wdm.h). IRQL PASSIVE_LEVEL. Windows 11 (10.0.22000), the first client with the
/// whole DMA table. STATUS_SUCCESS.
pub(super) extern "win64" fn rtl_get_version(information: u64) -> NtStatus {
    let size = shared::<Cell<u32>>(information).get();
    // OSVERSIONINFOW: size, major, minor, build, platform, text[128]; the EX form adds 12 bytes.
    for (idx, value) in [10, 0, 22_000, 2].into_iter().enumerate() {
        shared::<Cell<u32>>(information + 4 + idx as u64 * 4).set(value);
    }
    let fixed = 20;
    fill(
        information + fixed,
        u64::from(size.min(0x11c)).saturating_sub(fixed),
        0,
    );
    status::SUCCESS
}

/// `RtlIsNtDdiVersionAvailable` (ntddk.h). Any IRQL. Up to Windows 11 (0x0A00000C).
pub(super) extern "win64" fn rtl_is_nt_ddi_version_available(version: u32) -> u8 {
    u8::from(version <= 0x0A00_000C)
}

/// `RtlAssert` (wdm.h). Any IRQL. A failed assertion of a checked driver: a finding.
pub(super) extern "win64" fn rtl_assert(assertion: u64, file: u64, line: u32, _message: u64) {
    let text = |address| String::from_utf8_lossy(&narrow_text(address, 256)).into_owned();
    verifier::undocumented_violation(
        "driver-assertion",
        format_args!("{} at {}:{line}", text(assertion), text(file)),
    );
}

/// `RtlFreeUnicodeString` is not supported for want of routines that allocate: a finding if there is a buffer.
pub(crate) extern "win64" fn rtl_free_unicode_string(string: u64) {
    if let Some(string) = optional::<UnicodeString>(string)
        && string.buffer.get() != 0
    {
        super::kernel_memory::free(string.buffer.replace(0));
        string.length.set(0);
        string.maximum_length.set(0);
    }
}

/// `RtlZeroMemory` as a function. Any IRQL.
pub(super) extern "win64" fn rtl_zero_memory(address: u64, len_bytes: u64) {
    fill(address, len_bytes, 0);
}

/// Writes a result that the driver frees with RtlFreeUnicodeString.
pub(super) fn give_unicode_string(target: u64, text: &str) -> NtStatus {
    let units: Vec<u16> = text.encode_utf16().collect();
    let len_bytes = units.len() as u64 * 2 + 2;
    let tag = u32::from_le_bytes(*b"Strg");
    let Some(buffer) = super::kernel_memory::allocate(len_bytes, tag) else {
        return status::INSUFFICIENT_RESOURCES;
    };
    let target: &UnicodeString = shared(target);
    target.buffer.set(buffer);
    target
        .maximum_length
        .set(u16::try_from(len_bytes).unwrap_or(u16::MAX));
    put(target, &units);
    status::SUCCESS
}

fn room(target: &UnicodeString) -> usize {
    usize::from(target.maximum_length.get() / 2)
}

/// Stores text that fits, with a zero behind it where there is room.
fn put(target: &UnicodeString, text: &[u16]) {
    let mut bytes: Vec<u8> = text.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    target.length.set(u16::try_from(bytes.len()).unwrap_or(0));
    if text.len() < room(target) {
        bytes.extend([0, 0]);
    }
    write_bytes(target.buffer.get(), &bytes);
}

fn upcase(unit: u16) -> u16 {
    let Some(character) = char::from_u32(unit.into()) else {
        return unit;
    };
    let mut upper = character.to_uppercase();
    match (upper.next(), upper.next()) {
        (Some(single), None) => u16::try_from(u32::from(single)).unwrap_or(unit),
        _ => unit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::boxed::Box;

    fn string(text: &str, room_units: usize) -> (u64, &'static UnicodeString) {
        let mut units: Vec<u16> = text.encode_utf16().collect();
        let len = units.len() * 2;
        units.resize(room_units.max(units.len()), 0xAAAA);
        let buffer: &'static mut [u16] = Box::leak(units.into_boxed_slice());
        let string: &'static UnicodeString = Box::leak(Box::new(UnicodeString {
            length: Cell::new(u16::try_from(len).expect("short")),
            maximum_length: Cell::new(u16::try_from(room_units * 2).expect("short")),
            buffer: Cell::new(buffer.as_ptr().expose_provenance() as u64),
        }));
        (super::super::shared::address_of(string), string)
    }

    fn text(string: &UnicodeString) -> String {
        super::super::shared::counted_string(super::super::shared::address_of(string))
    }

    #[test]
    fn copy_is_cut_at_the_targets_room() {
        let (source, _) = string("abcdef", 6);
        let (target, result) = string("", 4);
        rtl_copy_unicode_string(target, source);
        assert_eq!(text(result), "abcd");
        rtl_copy_unicode_string(target, 0);
        assert_eq!(text(result), "");
    }

    #[test]
    fn append_refuses_what_does_not_fit_and_changes_nothing() {
        let (target, result) = string("ab", 4);
        let (source, _) = string("cd", 2);
        assert_eq!(
            rtl_append_unicode_string_to_string(target, source),
            status::SUCCESS
        );
        assert_eq!(
            rtl_append_unicode_string_to_string(target, source),
            status::BUFFER_TOO_SMALL
        );
        assert_eq!(text(result), "abcd");
    }

    #[test]
    fn comparison_can_ignore_case() {
        let (left, _) = string("Ab", 2);
        let (right, _) = string("aB", 2);
        assert_eq!(rtl_compare_unicode_string(left, right, 1), 0);
        assert_eq!(rtl_equal_unicode_string(left, right, 0), 0);
        assert_eq!(rtl_compare_unicode_string(left, right, 0), -1);
    }

    #[test]
    fn integers_are_written_in_the_base_asked_for() {
        let (target, result) = string("", 8);
        for (base, expected) in [(16, "FF"), (10, "255"), (8, "377"), (2, "11111111")] {
            assert_eq!(
                rtl_integer_to_unicode_string(255, base, target),
                status::SUCCESS
            );
            assert_eq!(text(result), expected);
        }
        assert_eq!(
            rtl_integer_to_unicode_string(1, 7, target),
            status::INVALID_PARAMETER
        );
        assert_eq!(
            rtl_integer_to_unicode_string(511, 2, target),
            status::BUFFER_OVERFLOW
        );
    }
}
