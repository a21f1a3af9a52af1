//! [`PhysicalMemory`]: bytes by physical address, wherever the firmware put its tables.
#![expect(unsafe_code, reason = "copies from a fresh mapping")]

use crate::memory::{self, Cache, GuestPhysAddr, Protection};

/// Reads physical memory, RAM or not.
pub trait PhysicalMemory {
    /// Fills `into` from `at` on; `None` if that cannot be read.
    fn read(&self, at: GuestPhysAddr, into: &mut [u8]) -> Option<()>;
}

/// The machine's own memory, mapped for the time of each read.
#[derive(Clone, Copy, Debug)]
pub struct MappedMemory;

impl PhysicalMemory for MappedMemory {
    fn read(&self, at: GuestPhysAddr, into: &mut [u8]) -> Option<()> {
        if into.is_empty() {
            return Some(());
        }
        let len_bytes = into.len() as u64;
        let window =
            memory::map_physical(at, len_bytes, Cache::Cached, Protection::ReadOnly).ok()?;
        for (source, byte) in (0..).zip(into) {
            // SAFETY: inside the mapping just made, which lives until `unmap` below; volatile, for the
            // firmware's memory is no memory of ours.
            *byte = unsafe { (window + source).as_ptr::<u8>().read_volatile() };
        }
        memory::unmap(window).ok().map(|_| ())
    }
}
