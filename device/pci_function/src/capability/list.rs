//! [`CapabilityList`]: the conventional capabilities, one linked to the next.

use thiserror::Error;

use crate::registers::{Behavior, Registers};

/// Offset of the capabilities pointer.
const CAPABILITIES_POINTER: usize = 0x34;
/// First offset that capabilities may take.
const FIRST_OFFSET: usize = 0x40;
/// End of the space of conventional capabilities.
const END_OFFSET: usize = 0x100;

/// Why a capability cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CapabilityError {
    /// The capabilities do not fit into configuration space.
    #[error(
        "capability {id:#04x}: no room between {FIRST_OFFSET:#x} and {END_OFFSET:#x}\nhelp: leave a \
         capability out, or shorten those of the vendor; each begins at a multiple of 16"
    )]
    NoRoom {
        /// The first capability without room.
        id: u8,
    },
    /// A vendor-specific capability is empty or too long.
    #[error("vendor-specific capability of {len} bytes\nhelp: 1 to {MAX_VENDOR_BYTES}")]
    VendorLength {
        /// Its bytes behind the length byte.
        len: usize,
    },
}

/// Most bytes of a vendor-specific capability behind its length byte.
pub(super) const MAX_VENDOR_BYTES: usize = END_OFFSET - FIRST_OFFSET - 3;

/// Links capabilities into the list, one behind the other.
#[derive(Debug)]
pub(crate) struct CapabilityList {
    /// Where the link to the next capability goes.
    link: usize,
    next_offset: usize,
}

impl CapabilityList {
    pub(crate) fn new() -> Self {
        Self {
            link: CAPABILITIES_POINTER,
            next_offset: FIRST_OFFSET,
        }
    }

    /// Adds a capability of `len` bytes and returns its offset.
    pub(crate) fn add(
        &mut self,
        registers: &mut Registers,
        id: u8,
        len: usize,
    ) -> Result<usize, CapabilityError> {
        let offset = self.next_offset;
        if offset + len > END_OFFSET {
            return Err(CapabilityError::NoRoom { id });
        }
        let pointer = u8::try_from(offset).expect("below 0x100");
        registers.define_u8(self.link, pointer, Behavior::READ_ONLY);
        registers.define_u8(offset, id, Behavior::READ_ONLY);
        self.link = offset + 1;
        // Sixteen-byte steps make dumps readable; the specification wants four.
        self.next_offset = (offset + len).next_multiple_of(16);
        Ok(offset)
    }

    /// Tells whether nothing was added.
    pub(crate) fn is_empty(&self) -> bool {
        self.link == CAPABILITIES_POINTER
    }
}
