//! The face of a device towards this crate: [`DeviceModel`] and the data it gives and takes.
//!
//! A call never waits. What takes time is queued by the device and done by the event loop after
//! the answer has left, because QEMU stands still until it has it.

use std::os::fd::{BorrowedFd, OwnedFd};

use crate::dma::{DmaError, DmaTicket};
use crate::error::Errno;
use crate::irq::{IrqIndex, IrqInfo, IrqSet};
use crate::message::SparseArea;

/// Number of regions of a PCI device.
pub const N_REGIONS: u32 = 9;

/// One of the [`N_REGIONS`] regions of a PCI device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionIndex(u32);

impl RegionIndex {
    /// Base address register 0; the others follow up to 5.
    pub const BAR0: Self = Self(0);
    /// Base address register 1.
    pub const BAR1: Self = Self(1);
    /// Base address register 2.
    pub const BAR2: Self = Self(2);
    /// Base address register 3.
    pub const BAR3: Self = Self(3);
    /// Base address register 4.
    pub const BAR4: Self = Self(4);
    /// Base address register 5.
    pub const BAR5: Self = Self(5);
    /// Expansion ROM.
    pub const ROM: Self = Self(6);
    /// Configuration space.
    pub const CONFIG: Self = Self(7);
    /// VGA ranges.
    pub const VGA: Self = Self(8);

    /// Takes an index from the wire; `None` if there is no such region.
    pub const fn try_new(raw: u32) -> Option<Self> {
        if raw < N_REGIONS {
            Some(Self(raw))
        } else {
            None
        }
    }

    /// Returns the index.
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns the number of the base address register, if it is one.
    pub const fn bar(self) -> Option<u8> {
        match self.0 {
            0 => Some(0),
            1 => Some(1),
            2 => Some(2),
            3 => Some(3),
            4 => Some(4),
            5 => Some(5),
            _ => None,
        }
    }
}

/// A region as told to the client. The default is a region that is not there.
#[derive(Clone, Copy, Debug, Default)]
pub struct RegionInfo<'a> {
    /// Length in bytes. QEMU wants a power of two for a BAR, and 256 or 4096 for config space.
    pub size: u64,
    /// Reads are answered.
    pub readable: bool,
    /// Writes are taken.
    pub writable: bool,
    /// The part that clients may map themselves.
    pub mappable: Option<MappableRegion<'a>>,
}

impl RegionInfo<'_> {
    /// Describes a region that is read and written by message only.
    pub const fn read_write(size: u64) -> Self {
        Self {
            size,
            readable: true,
            writable: true,
            mappable: None,
        }
    }
}

/// The memory behind a region that clients may map.
#[derive(Clone, Copy, Debug)]
pub struct MappableRegion<'a> {
    /// The file; a duplicate goes to the client.
    pub fd: BorrowedFd<'a>,
    /// Where in the file the region begins.
    pub file_offset: u64,
    /// The parts that can be mapped; empty means the whole region. At most
    /// [`MAX_SPARSE_AREAS`].
    pub areas: &'a [SparseArea],
}

/// Most areas a region may list.
pub const MAX_SPARSE_AREAS: usize = 64;

/// What a mapping lets the device do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaPermissions {
    /// Reads from memory.
    pub read: bool,
    /// Writes to memory. QEMU announces a write-only mapping as read and write.
    pub write: bool,
}

/// Memory made reachable. `size` is not 0 and the end is at most 2^64.
#[derive(Debug)]
pub struct DmaMap {
    /// First address as the device puts it on the bus.
    pub iova: u64,
    /// Length in bytes.
    pub size: u64,
    /// What the device may do there.
    pub permissions: DmaPermissions,
    /// The file behind it; without one the range is reached by message only.
    pub fd: Option<OwnedFd>,
    /// Where in the file the range begins; `file_offset + size` does not overflow.
    pub file_offset: u64,
}

/// Memory taken back: remove every mapping in the range. Finding none is no error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DmaUnmap {
    /// All there is.
    All,
    /// A range, which need not match any mapping and may end at 2^64 exactly.
    Range {
        /// First address.
        iova: u64,
        /// Length in bytes, not 0.
        size: u64,
    },
}

/// A device behind a [`Connection`](crate::Connection).
///
/// Accesses arrive in the order sent, within the region's size and never empty.
pub trait DeviceModel {
    /// Describes a region. Called for every access too, so it should be cheap.
    fn region_info(&self, region: RegionIndex) -> RegionInfo<'_>;

    /// Describes an interrupt kind. Report no vectors for kinds that are not there.
    fn irq_info(&self, index: IrqIndex) -> IrqInfo;

    /// Fills `data`, which is zeroed, from the region.
    ///
    /// # Errors
    /// The number goes to the client; the guest then reads all ones.
    fn read_region(
        &mut self,
        region: RegionIndex,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), Errno>;

    /// Takes `data` into the region.
    ///
    /// # Errors
    /// The number goes to the client, unless it wanted no reply.
    fn write_region(&mut self, region: RegionIndex, offset: u64, data: &[u8]) -> Result<(), Errno>;

    /// Makes memory reachable.
    ///
    /// # Errors
    /// The number goes to the client; QEMU prints it and goes on.
    fn dma_map(&mut self, map: DmaMap) -> Result<(), Errno>;

    /// Takes memory back.
    ///
    /// # Errors
    /// The number goes to the client; QEMU prints it and goes on.
    fn dma_unmap(&mut self, unmap: DmaUnmap) -> Result<(), Errno>;

    /// Binds, masks or triggers interrupts; most devices hand it to
    /// [`InterruptLines::apply`](crate::InterruptLines::apply).
    ///
    /// # Errors
    /// The number goes to the client.
    fn set_irqs(&mut self, set: IrqSet) -> Result<(), Errno>;

    /// Resets the device. Message DMA may be outstanding; its replies still come.
    ///
    /// # Errors
    /// The number goes to the client; QEMU prints it and goes on.
    fn reset(&mut self) -> Result<(), Errno>;

    /// Whether answers, and what else goes to the client, wait in the device for now: a slow device. The
    /// client must not wait longer than its time-out, so this must end in time. The connection is
    /// asked again at each [`Connection::flush`](crate::Connection::flush).
    fn holds_answers(&self) -> bool {
        false
    }

    /// Takes the outcome of a message DMA: the bytes of a read, nothing for a write, or why it
    /// failed. Called once for each ticket.
    fn dma_reply(&mut self, ticket: DmaTicket, outcome: Result<&[u8], DmaError>);

    /// The client is gone: drop its mappings and eventfds. Called once, after every outstanding
    /// ticket has been failed.
    fn disconnected(&mut self);
}
