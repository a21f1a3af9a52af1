//! WDFSTRING (indices 308, 309): a UNICODE_STRING that lives as long as its object.

use super::attributes::{Attributes, Rules};
use super::creation::{give, parent_or_driver};
use super::driver::copy_text;
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::violation::{at_most, not_null};
use crate::ke::irql::PASSIVE_LEVEL;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::objects::UnicodeString;
use crate::ntoskrnl::shared::{counted_text, shared};
use crate::ntoskrnl::status::{self, NtStatus};

pub(super) static KIND: Kind = Kind {
    is_passive: true,
    on_destroy: forget,
    ..Kind::new("WDFSTRING")
};

/// The text of a WDFSTRING, with its zero.
#[derive(Clone, Copy)]
struct Text {
    address: u64,
    len_bytes: u16,
}

static STRINGS: Family<Text> = Family::new();

fn forget(handle: Handle) {
    if let Some(text) = STRINGS.remove(handle) {
        kernel_memory::free(text.address);
    }
}

/// `WdfStringCreate` (wdfstring.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_INSUFFICIENT_RESOURCES, or what
/// [`Attributes::read`] says. A null string is an empty one; the driver is the parent where none is named.
pub(super) extern "win64" fn create(
    globals: u64,
    unicode_string: u64,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfStringCreate";
    not_null(function, "String", out);
    at_most(function, PASSIVE_LEVEL);
    let created = Attributes::read(attributes, Rules::PLAIN).and_then(|attributes| {
        let parent = parent_or_driver(function, globals, &attributes);
        let text =
            Text::new(&counted_text(unicode_string)).ok_or(status::INSUFFICIENT_RESOURCES)?;
        let handle = object::create(&KIND, &attributes, parent)
            .inspect_err(|_| kernel_memory::free(text.address))?;
        STRINGS.insert(handle, text);
        Ok(handle)
    });
    give(out, created)
}

impl Text {
    /// A copy of `text`; `None` where memory is short, or the text too long for a UNICODE_STRING.
    fn new(text: &[u16]) -> Option<Self> {
        let len_bytes = u16::try_from(text.len() * 2)
            .ok()
            .filter(|len| *len < u16::MAX - 1)?;
        Some(Self {
            address: copy_text(text)?,
            len_bytes,
        })
    }
}

/// `WdfStringGetUnicodeString` (wdfstring.h). IRQL PASSIVE_LEVEL. Fills the driver's UNICODE_STRING, whose buffer is the
/// object's own.
pub(super) extern "win64" fn unicode_string(_globals: u64, string: u64, out: u64) {
    let function = "WdfStringGetUnicodeString";
    let handle = object::check(function, string, &KIND);
    not_null(function, "UnicodeString", out);
    at_most(function, PASSIVE_LEVEL);
    if let Some(text) = STRINGS.get(handle) {
        let out: &UnicodeString = shared(out);
        out.length.set(text.len_bytes);
        out.maximum_length.set(text.len_bytes + 2);
        out.buffer.set(text.address);
    }
}

#[cfg(test)]
mod tests {
    use core::cell::Cell;

    use super::super::tree;
    use super::*;
    use crate::ntoskrnl::shared::{address_of, counted_string, wide_text};

    fn empty() -> UnicodeString {
        UnicodeString {
            length: Cell::new(0),
            maximum_length: Cell::new(0),
            buffer: Cell::new(0),
        }
    }

    #[test]
    fn string_is_a_copy_with_its_zero() {
        let text: std::vec::Vec<u16> = "Hardware".encode_utf16().collect();
        let source = UnicodeString {
            length: Cell::new(16),
            maximum_length: Cell::new(16),
            buffer: Cell::new(text.as_ptr().expose_provenance() as u64),
        };
        let (out, seen) = (Cell::new(0u64), empty());
        let status = create(0, address_of(&source), 0, address_of(&out));
        assert_eq!(status, status::SUCCESS);
        unicode_string(0, out.get(), address_of(&seen));
        assert_eq!(counted_string(address_of(&seen)), "Hardware");
        assert_eq!(wide_text(seen.buffer.get(), 99), text);
        assert_ne!(seen.buffer.get(), source.buffer.get());
        tree::delete(Handle::from_raw(out.get()));
    }

    #[test]
    fn null_string_is_empty() {
        let (out, seen) = (Cell::new(0u64), empty());
        assert_eq!(create(0, 0, 0, address_of(&out)), status::SUCCESS);
        unicode_string(0, out.get(), address_of(&seen));
        assert_eq!(seen.length.get(), 0);
        assert_ne!(seen.buffer.get(), 0);
        tree::delete(Handle::from_raw(out.get()));
    }
}
