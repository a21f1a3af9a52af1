//! [`BarMemories`]: memory of the device behind mappable BARs.
//!
//! QEMU maps it and the guest reaches it without us; by message it is reached before QEMU has mapped
//! it, and after the first interrupt by pin has ended all mappings. It stays over every reset, as
//! memory does that no reset line leads to.

use std::os::fd::AsFd as _;

use device_file::Bar;
use guest_memory::{SharedMemory, SharedMemoryError};
use vfio_user::{Errno, MappableRegion};

/// The mappable BARs of a function, by number.
#[derive(Debug, Default)]
pub(crate) struct BarMemories(Vec<(u8, SharedMemory)>);

impl BarMemories {
    /// Makes the memory of those BARs that are mappable.
    pub(crate) fn new(bars: &[Bar]) -> Result<Self, SharedMemoryError> {
        let make = |bar: &Bar| {
            let size = usize::try_from(bar.size).unwrap_or(usize::MAX);
            let memory = SharedMemory::create_sealed(&format!("dmarig-bar{}", bar.index), size)?;
            Ok((bar.index, memory))
        };
        let mappable = bars.iter().filter(|bar| bar.mappable);
        Ok(Self(mappable.map(make).collect::<Result<_, _>>()?))
    }

    /// Whether there is memory behind a BAR.
    pub(crate) fn has(&self, bar: u8) -> bool {
        self.get(bar).is_some()
    }

    /// What QEMU may map of a BAR.
    pub(crate) fn mappable(&self, bar: u8) -> Option<MappableRegion<'_>> {
        self.get(bar).map(|memory| MappableRegion {
            fd: memory.as_fd(),
            file_offset: 0,
            areas: &[],
        })
    }

    /// Reads; leaves `data` alone if there is no memory behind the BAR.
    pub(crate) fn read(&self, bar: u8, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        if let Some(memory) = self.get(bar) {
            let range = memory.range(offset, data.len());
            range.map_err(|_| Errno::EINVAL)?.read_into(data);
        }
        Ok(())
    }

    /// Writes; drops the bytes if there is no memory behind the BAR.
    pub(crate) fn write(&self, bar: u8, offset: u64, data: &[u8]) -> Result<(), Errno> {
        if let Some(memory) = self.get(bar) {
            let range = memory.range(offset, data.len());
            range.map_err(|_| Errno::EINVAL)?.write_from(data);
        }
        Ok(())
    }

    fn get(&self, bar: u8) -> Option<&SharedMemory> {
        let mut all = self.0.iter();
        all.find(|(number, _)| *number == bar)
            .map(|(_, memory)| memory)
    }
}
