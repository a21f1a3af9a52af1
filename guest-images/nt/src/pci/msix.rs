//! MSI-X: where the table lies, and what is written into it (PCI Express base specification, section 7.7.2).

use super::config::{ConfigAccess, capability, find_capability};
use super::{Bar, PciError, RequesterId};
use crate::arch::mmio::Registers;
use crate::memory::GuestPhysAddr;

/// Where messages to CPU 0 go: physical destination mode, APIC ID 0 (Intel SDM volume 3, section 11.11).
pub(super) const MESSAGE_ADDRESS: u32 = 0xFEE0_0000;

/// The mapped table of a function.
pub(super) trait Table {
    /// Stores 32 bits, aligned.
    fn write(&mut self, offset: u64, value: u32);
}

impl Table for Registers {
    fn write(&mut self, offset: u64, value: u32) {
        Registers::write(self, offset, value);
    }
}

const CONTROL: u16 = 2;
const TABLE: u16 = 4;
const TABLE_SIZE_MASK: u16 = 0x7FF;
const IS_ENABLED: u16 = 1 << 15;
const IS_FUNCTION_MASKED: u16 = 1 << 14;
const BAR_INDEX_MASK: u32 = 7;

const ENTRY_BYTES: u64 = 16;
const ENTRY_ADDRESS: u64 = 0;
const ENTRY_ADDRESS_UPPER: u64 = 4;
const ENTRY_DATA: u64 = 8;
const ENTRY_CONTROL: u64 = 12;
const IS_VECTOR_MASKED: u32 = 1;

/// The capability of one function, with its table found inside a BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Msix {
    id: RequesterId,
    capability: u16,
    /// Where the table lies.
    pub table: GuestPhysAddr,
    /// Its entries, 1 to 2048.
    pub entries: u16,
}

impl Msix {
    /// Reads the capability and checks its table against the BARs.
    pub fn find(
        config: &mut dyn ConfigAccess,
        id: RequesterId,
        bars: &[Bar],
    ) -> Result<Self, PciError> {
        let capability =
            find_capability(config, id, capability::MSIX).ok_or(PciError::NoCapability)?;
        let control = config.read_u16(id, capability + CONTROL);
        let entries = (control & TABLE_SIZE_MASK) + 1;
        let place = config.read_u32(id, capability + TABLE);
        let bar_index = place & BAR_INDEX_MASK;
        let offset = u64::from(place & !BAR_INDEX_MASK);

        let bar = bars
            .iter()
            .find(|bar| u32::from(bar.index) == bar_index && bar.is_memory())
            .ok_or(PciError::BadTable)?;
        let end = offset + u64::from(entries) * ENTRY_BYTES;
        let table = bar
            .address
            .filter(|_| end <= bar.len_bytes)
            .and_then(|start| start.checked_add(offset))
            .ok_or(PciError::BadTable)?;
        Ok(Self {
            id,
            capability,
            table,
            entries,
        })
    }

    /// Length of the table.
    pub fn table_bytes(&self) -> u64 {
        u64::from(self.entries) * ENTRY_BYTES
    }

    /// Turns MSI-X on with the given vectors unmasked and all further entries masked. The function is
    /// masked while the table is written, so that no message leaves half programmed.
    pub fn enable(&self, config: &mut dyn ConfigAccess, table: &mut dyn Table, vectors: &[u8]) {
        self.write_control(config, IS_ENABLED | IS_FUNCTION_MASKED);
        for entry in 0..u64::from(self.entries) {
            let at = entry * ENTRY_BYTES;
            let vector = usize::try_from(entry).ok().and_then(|idx| vectors.get(idx));
            if let Some(vector) = vector {
                table.write(at + ENTRY_ADDRESS, MESSAGE_ADDRESS);
                table.write(at + ENTRY_ADDRESS_UPPER, 0);
                table.write(at + ENTRY_DATA, u32::from(*vector));
            }
            let control = if vector.is_some() {
                0
            } else {
                IS_VECTOR_MASKED
            };
            table.write(at + ENTRY_CONTROL, control);
        }
        self.write_control(config, IS_ENABLED);
    }

    /// Turns MSI-X off.
    pub fn disable(&self, config: &mut dyn ConfigAccess) {
        self.write_control(config, 0);
    }

    fn write_control(&self, config: &mut dyn ConfigAccess, bits: u16) {
        config.write(self.id, self.capability + CONTROL, 2, u32::from(bits));
    }
}

#[cfg(test)]
#[path = "msix_tests.rs"]
mod tests;
