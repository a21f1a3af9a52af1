//! [`PhysicalMemory`]: where the tables lie.

use dmarig_abi::GuestPhysAddr;

/// Memory that belongs to somebody hostile: each word is read once, its copy validated and used.
pub trait PhysicalMemory {
    /// Reads an aligned 64-bit word, little-endian; `None` where there is no memory.
    fn read_u64(&self, address: GuestPhysAddr) -> Option<u64>;
}

impl<M: PhysicalMemory + ?Sized> PhysicalMemory for &M {
    fn read_u64(&self, address: GuestPhysAddr) -> Option<u64> {
        (**self).read_u64(address)
    }
}

/// The backing of what a unit translates: guest physical memory, of which there is one. The offset of a
/// [`crate::Segment`] in it is the address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestPhysical;
