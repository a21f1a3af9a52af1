//! The server of this crate in the loop that the device has, with the real tables behind it.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use dmarig_abi::Iova;
use guest_memory::{GuestMemory, PAGE_SIZE_BYTES, RegionId, SharedMemory};
use iommu::{Mapping, MappingTable, Permissions};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use vfio_user::{
    Connection, DeviceModel, DmaError, DmaMap, DmaTicket, DmaUnmap, Errno, IrqIndex, IrqInfo,
    IrqSet, Progress, RegionIndex, RegionInfo,
};

use crate::cases::{CPU_TIME_OFFSET, DMA_DOORBELL, LIVE_BASE, N_DMA};
use crate::pinned::thread_cpu_ns;

struct Device {
    table: MappingTable<Option<RegionId>>,
    memory: GuestMemory,
    /// Messages left to send, and their length.
    dma: (usize, usize),
}

impl Device {
    /// Begins with single-page mappings that no two of which are neighbours in the file.
    fn new(live_mappings: u64) -> Self {
        let mut device = Self {
            table: MappingTable::new(),
            memory: GuestMemory::new(),
            dma: (0, 0),
        };
        let file = SharedMemory::create_sealed("bench-live", 1 << 20).expect("memory");
        for index in 0..live_mappings {
            device
                .map(DmaMap {
                    iova: LIVE_BASE + index * PAGE_SIZE_BYTES,
                    size: PAGE_SIZE_BYTES,
                    permissions: vfio_user::DmaPermissions {
                        read: true,
                        write: true,
                    },
                    fd: Some(
                        std::os::fd::AsFd::as_fd(&file)
                            .try_clone_to_owned()
                            .expect("duplicate"),
                    ),
                    file_offset: index * 7 % 256 * PAGE_SIZE_BYTES,
                })
                .expect("a mapping");
        }
        device
    }

    fn map(&mut self, map: DmaMap) -> Option<()> {
        let backing = match map.fd {
            Some(fd) => self.memory.attach(fd, map.file_offset, map.size).ok(),
            None => None,
        };
        let mapping = Mapping {
            iova: Iova::new(map.iova),
            len_bytes: map.size,
            backing,
            offset_bytes: map.file_offset,
            permissions: Permissions::from_flags(map.permissions.read, map.permissions.write)?,
        };
        let memory = &mut self.memory;
        self.table
            .map(&mapping, |removed| release(memory, removed))
            .ok()
    }
}

fn release(memory: &mut GuestMemory, removed: iommu::Removed<Option<RegionId>>) {
    if let Some(id) = removed.backing {
        memory.release(id, removed.size_pages);
    }
}

impl DeviceModel for Device {
    fn region_info(&self, region: RegionIndex) -> RegionInfo<'_> {
        match region {
            RegionIndex::BAR0 => RegionInfo::read_write(0x1_0000),
            _ => RegionInfo::default(),
        }
    }

    fn irq_info(&self, _: IrqIndex) -> IrqInfo {
        IrqInfo::default()
    }

    fn read_region(&mut self, _: RegionIndex, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        if offset == CPU_TIME_OFFSET {
            data.copy_from_slice(&thread_cpu_ns().to_le_bytes());
        }
        Ok(())
    }

    fn write_region(&mut self, _: RegionIndex, offset: u64, data: &[u8]) -> Result<(), Errno> {
        if offset == DMA_DOORBELL {
            let len = data.try_into().map_err(|_| Errno::EINVAL)?;
            let len = usize::try_from(u32::from_le_bytes(len)).map_err(|_| Errno::EINVAL)?;
            self.dma = (N_DMA, len);
        }
        Ok(())
    }

    fn dma_map(&mut self, map: DmaMap) -> Result<(), Errno> {
        self.map(map).ok_or(Errno::EINVAL)
    }

    fn dma_unmap(&mut self, unmap: DmaUnmap) -> Result<(), Errno> {
        let memory = &mut self.memory;
        let on_removed = |removed| release(memory, removed);
        match unmap {
            DmaUnmap::All => Ok(self.table.unmap_all(on_removed)),
            DmaUnmap::Range { iova, size } => self.table.unmap(Iova::new(iova), size, on_removed),
        }
        .map(|_| ())
        .map_err(|_| Errno::EINVAL)
    }

    fn set_irqs(&mut self, _: IrqSet) -> Result<(), Errno> {
        Ok(())
    }

    fn reset(&mut self) -> Result<(), Errno> {
        Ok(())
    }

    fn dma_reply(&mut self, _: DmaTicket, outcome: Result<&[u8], DmaError>) {
        assert_eq!(outcome.map(<[u8]>::len), Ok(self.dma.1));
    }

    fn disconnected(&mut self) {}
}

/// Serves until the client leaves.
pub fn serve(socket: OwnedFd, live_mappings: u64) {
    let mut device = Device::new(live_mappings);
    let mut connection = Connection::new(socket).expect("a connection");
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
    let data = epoll::EventData::new_u64(0);
    epoll::add(&epoll, &connection, data, epoll::EventFlags::IN).expect("epoll");
    let mut events = Vec::with_capacity(4);
    loop {
        events.clear();
        epoll::wait(&epoll, spare_capacity(&mut events), None).expect("epoll");
        let progress = connection.on_readable(&mut device).expect("a good client");
        if progress == Progress::Closed {
            return;
        }
        if device.dma.0 > 0 && connection.outstanding_dma() == 0 {
            let deadline = Instant::now() + Duration::from_secs(5);
            let submitted = connection.submit_read(0x1000, device.dma.1, deadline);
            submitted.expect("nothing else is outstanding");
            device.dma.0 -= 1;
            connection.flush(&mut device).expect("a good client");
        }
        // The bench's client reads what it asks for; the device changes its interest here.
        while connection.wants_write() {
            std::thread::yield_now();
            connection.on_writable(&mut device).expect("a good client");
        }
    }
}
