//! Capabilities. Each module defines its registers (`install`), remembers where they are, and
//! reads or changes them by name.

pub(crate) mod aer;
pub(crate) mod msix;
pub(crate) mod pcie;
pub(crate) mod power;

use crate::registers::{Behavior, Registers};

/// Offset of the capabilities pointer.
const CAPABILITIES_POINTER: usize = 0x34;
/// First offset that capabilities may take.
const FIRST_OFFSET: usize = 0x40;
/// End of the space of conventional capabilities.
const END_OFFSET: usize = 0x100;

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
    pub(crate) fn add(&mut self, registers: &mut Registers, id: u8, len: usize) -> usize {
        let offset = self.next_offset;
        assert!(offset + len <= END_OFFSET, "our capabilities fit");
        let pointer = u8::try_from(offset).expect("below 0x100");
        registers.define_u8(self.link, pointer, Behavior::READ_ONLY);
        registers.define_u8(offset, id, Behavior::READ_ONLY);
        self.link = offset + 1;
        // Sixteen-byte steps make dumps readable; the specification wants four.
        self.next_offset = (offset + len).next_multiple_of(16);
        offset
    }
}
