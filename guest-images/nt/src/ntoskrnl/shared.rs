//! From a pointer that a driver gave to a reference: the one door, with its checks.
#![expect(
    unsafe_code,
    reason = "turns checked addresses into references and copies driver memory"
)]

use alloc::vec;
use alloc::vec::Vec;
use core::cell::Cell;
use core::ptr::{copy_nonoverlapping, with_exposed_provenance, with_exposed_provenance_mut};

use super::objects::{
    DeviceObject, DriverExtension, DriverObject, InterfaceHeader, IoStackLocation, IoStatusBlock,
    Irp, ListEntry, UnicodeString,
};
use crate::ke::bugcheck::{self, code};
use crate::mdl::Mdl;
use crate::memory::{self, Access};

/// Longest text that is read from a driver, in characters.
const MAX_TEXT: usize = 32_767;

/// A structure shared with drivers.
///
/// # Safety
/// All fields are `Cell`s or plain padding, and every bit pattern is a valid value.
pub unsafe trait CellStructure {}

macro_rules! cell_structures {
    ($($kind:ty),* $(,)?) => {
        $(
            // SAFETY: all fields are cells of integers and pointers.
            unsafe impl CellStructure for $kind {}
        )*
    };
}

cell_structures!(
    Mdl,
    UnicodeString,
    ListEntry,
    DriverObject,
    DriverExtension,
    DeviceObject,
    Irp,
    IoStatusBlock,
    IoStackLocation,
    InterfaceHeader,
    Cell<u8>,
    Cell<u16>,
    Cell<u32>,
    Cell<u64>,
    Cell<i64>,
);

// SAFETY: an array of cell structures is one.
unsafe impl<T: CellStructure, const N: usize> CellStructure for [T; N] {}

/// The structure at `address`. Memory that is not there is bug check 0x50, as the access would be.
///
/// The reference lives as long as the driver keeps the memory: it must not be kept beyond the call.
#[must_use]
pub fn shared<'call, T: CellStructure>(address: u64) -> &'call T {
    require(address, size_of::<T>() as u64, Access::Read);
    let pointer = with_exposed_provenance::<T>(as_usize(address));
    if !pointer.is_aligned() {
        bugcheck::raise(code::PAGE_FAULT_IN_NONPAGED_AREA, [address, 0, 0, 0]);
    }
    // SAFETY: mapped and aligned, as checked; any bits are valid and writes through other pointers are
    // foreseen by the trait's promise. A driver that frees the memory under the call gets a page
    // fault, for freed kernel memory is unmapped.
    unsafe { &*pointer }
}

/// As [`shared`]; `None` for a null pointer.
#[must_use]
pub fn optional<'call, T: CellStructure>(address: u64) -> Option<&'call T> {
    (address != 0).then(|| shared(address))
}

/// The address of a shared structure.
#[must_use]
pub fn address_of<T>(structure: &T) -> u64 {
    core::ptr::from_ref(structure).expose_provenance() as u64
}

/// A copy of `len_bytes` bytes at `address`.
#[must_use]
pub fn read_bytes(address: u64, len_bytes: usize) -> Vec<u8> {
    let mut bytes = vec![0; len_bytes];
    read_into(address, &mut bytes);
    bytes
}

/// Fills `bytes` from `address`.
pub fn read_into(address: u64, bytes: &mut [u8]) {
    if bytes.is_empty() {
        return;
    }
    require(address, bytes.len() as u64, Access::Read);
    // SAFETY: the source is mapped; the target is ours and does not overlap driver memory.
    unsafe {
        copy_nonoverlapping(
            with_exposed_provenance::<u8>(as_usize(address)),
            bytes.as_mut_ptr(),
            bytes.len(),
        );
    }
}

/// Stores `bytes` at `address`.
pub fn write_bytes(address: u64, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    require(address, bytes.len() as u64, Access::Write);
    // SAFETY: the target is mapped and writable driver memory; the source is ours.
    unsafe {
        copy_nonoverlapping(
            bytes.as_ptr(),
            with_exposed_provenance_mut::<u8>(as_usize(address)),
            bytes.len(),
        );
    }
}

/// Fills memory with one byte.
pub fn fill(address: u64, len_bytes: u64, byte: u8) {
    if len_bytes == 0 {
        return;
    }
    require(address, len_bytes, Access::Write);
    // SAFETY: the target is mapped and writable.
    unsafe {
        with_exposed_provenance_mut::<u8>(as_usize(address)).write_bytes(byte, as_usize(len_bytes));
    }
}

/// A 64-bit word at an aligned address.
#[must_use]
pub fn read_u64(address: u64) -> u64 {
    shared::<Cell<u64>>(address).get()
}

/// Stores a 64-bit word at an aligned address.
pub fn write_u64(address: u64, value: u64) {
    require(address, 8, Access::Write);
    shared::<Cell<u64>>(address).set(value);
}

/// Byte text up to its zero, or `limit` bytes.
#[must_use]
pub fn narrow_text(address: u64, limit: usize) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < limit.min(MAX_TEXT) {
        let byte = shared::<Cell<u8>>(address.wrapping_add(text.len() as u64)).get();
        if byte == 0 {
            break;
        }
        text.push(byte);
    }
    text
}

/// UTF-16 text up to its zero, or `limit` units.
#[must_use]
pub fn wide_text(address: u64, limit: usize) -> Vec<u16> {
    let mut text = Vec::new();
    while text.len() < limit.min(MAX_TEXT) {
        let mut unit = [0; 2];
        read_into(address.wrapping_add(text.len() as u64 * 2), &mut unit);
        let unit = u16::from_le_bytes(unit);
        if unit == 0 {
            break;
        }
        text.push(unit);
    }
    text
}

/// The text of a UNICODE_STRING; empty for a null pointer.
#[must_use]
pub fn counted_text(address: u64) -> Vec<u16> {
    let Some(string) = optional::<UnicodeString>(address) else {
        return Vec::new();
    };
    read_bytes(string.buffer.get(), usize::from(string.length.get()) & !1)
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .collect()
}

/// As [`counted_text`], as a Rust string.
#[must_use]
pub fn counted_string(address: u64) -> alloc::string::String {
    alloc::string::String::from_utf16_lossy(&counted_text(address))
}

fn require(address: u64, len_bytes: u64, access: Access) {
    if cfg!(not(feature = "kernel")) {
        // On the host a test's own memory stands in for the driver's.
        return;
    }
    if let Err(bad) = memory::probe(address, len_bytes, access) {
        let is_write = u64::from(access == Access::Write);
        bugcheck::raise(code::PAGE_FAULT_IN_NONPAGED_AREA, [bad, is_write, 0, 0]);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "usize has 64 bits on x86-64"
)]
fn as_usize(value: u64) -> usize {
    value as usize
}
