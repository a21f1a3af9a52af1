//! [`Ecam`]: config space as the chipset maps it (PCI Express base specification, section 7.2.2).

use alloc::vec::Vec;

use super::RequesterId;
use super::config::ConfigAccess;
use crate::acpi::EcamSegment;
use crate::arch::mmio::Registers;

/// Config space of one bus: 32 devices of 8 functions of 4 KiB.
const BYTES_PER_BUS: u64 = 1 << 20;

/// The config space of one segment. A bus is mapped when it is first looked at, for all 256 would take
/// half a MiB of page tables.
#[derive(Debug)]
pub(super) struct Ecam {
    segment: EcamSegment,
    buses: Vec<Option<Registers>>,
}

impl Ecam {
    pub fn new(segment: EcamSegment) -> Self {
        Self {
            segment,
            buses: (0..=u8::MAX).map(|_| None).collect(),
        }
    }

    fn bus(&mut self, bus: u8) -> Option<&Registers> {
        if !(self.segment.first_bus..=self.segment.last_bus).contains(&bus) {
            return None;
        }
        let slot = self.buses.get_mut(usize::from(bus))?;
        if slot.is_none() {
            let base = self
                .segment
                .base
                .checked_add(u64::from(bus) * BYTES_PER_BUS)?;
            *slot = Registers::map(base, BYTES_PER_BUS).ok();
        }
        slot.as_ref()
    }
}

impl ConfigAccess for Ecam {
    fn read(&mut self, id: RequesterId, offset: u16, len_bytes: u8) -> u32 {
        let Some(window) = self.bus(id.bus()) else {
            return u32::MAX;
        };
        let at = window_offset(id, offset);
        match len_bytes {
            1 => u32::from(window.read::<u8>(at)),
            2 => u32::from(window.read::<u16>(at)),
            _ => window.read::<u32>(at),
        }
    }

    fn write(&mut self, id: RequesterId, offset: u16, len_bytes: u8, value: u32) {
        let Some(window) = self.bus(id.bus()) else {
            return;
        };
        let at = window_offset(id, offset);
        let [byte_0, byte_1, ..] = value.to_le_bytes();
        match len_bytes {
            1 => window.write(at, byte_0),
            2 => window.write(at, u16::from_le_bytes([byte_0, byte_1])),
            _ => window.write(at, value),
        }
    }

    fn last_bus(&self) -> u8 {
        self.segment.last_bus
    }
}

fn window_offset(id: RequesterId, offset: u16) -> u64 {
    let function = u64::from(id.device()) << 3 | u64::from(id.function());
    function << 12 | u64::from(offset & 0xFFF)
}
