//! [`RemappingRegisters`]: the register block of a remapping unit (VT-d specification, section 11.4).

use crate::arch::mmio::Registers;

/// Loads and stores by offset.
pub(super) trait RemappingRegisters {
    fn read_u32(&self, offset: u64) -> u32;
    fn write_u32(&mut self, offset: u64, value: u32);
    fn read_u64(&self, offset: u64) -> u64;
    fn write_u64(&mut self, offset: u64, value: u64);
}

impl RemappingRegisters for Registers {
    fn read_u32(&self, offset: u64) -> u32 {
        self.read(offset)
    }

    fn write_u32(&mut self, offset: u64, value: u32) {
        self.write(offset, value);
    }

    fn read_u64(&self, offset: u64) -> u64 {
        self.read(offset)
    }

    fn write_u64(&mut self, offset: u64, value: u64) {
        self.write(offset, value);
    }
}

/// Bytes of the block that are mapped: the furthest that IOTLB and fault recording registers can lie.
pub(super) const BLOCK_BYTES: u64 = 0x5000;

/// Offsets of the fixed registers.
pub(super) mod offset {
    pub const CAPABILITY: u64 = 0x08;
    pub const EXTENDED_CAPABILITY: u64 = 0x10;
    pub const GLOBAL_COMMAND: u64 = 0x18;
    pub const GLOBAL_STATUS: u64 = 0x1C;
    pub const ROOT_TABLE: u64 = 0x20;
    pub const CONTEXT_COMMAND: u64 = 0x28;
    pub const FAULT_STATUS: u64 = 0x34;
    pub const FAULT_EVENT_CONTROL: u64 = 0x38;
    pub const FAULT_EVENT_DATA: u64 = 0x3C;
    pub const FAULT_EVENT_ADDRESS: u64 = 0x40;
    pub const FAULT_EVENT_UPPER_ADDRESS: u64 = 0x44;
}

/// Global command and status.
pub(super) mod global {
    pub const TRANSLATION: u32 = 1 << 31;
    pub const ROOT_TABLE: u32 = 1 << 30;
    pub const WRITE_BUFFER: u32 = 1 << 27;
    /// Bits of the status register that a command must repeat; the others are one-shot.
    pub const PERSISTENT: u32 = 0x96FF_FFFF;
}

/// What the capability registers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// CAP.ND: domain IDs are below this.
    pub domain_count: u32,
    /// CAP.RWBF: writes to tables need a flush of the write buffer.
    pub needs_write_buffer_flush: bool,
    /// CAP.CM: entries that are not present are cached, too, so that mapping needs a flush.
    pub has_caching_mode: bool,
    /// CAP.PSI: one page of one domain can be invalidated.
    pub has_page_selective: bool,
    /// CAP.MAMV: log2 of the most pages one such invalidation covers.
    pub max_address_mask: u8,
    /// Levels of the second-level tables, by CAP.SAGAW: 4 if it can be had.
    pub levels: Option<u8>,
    /// CAP.MGAW: bits of an IOVA.
    pub address_width: u8,
    /// CAP.FRO: the fault recording registers.
    pub fault_offset: u64,
    /// CAP.NFR: how many there are.
    pub fault_count: u64,
    /// ECAP.IRO: the IOTLB registers.
    pub iotlb_offset: u64,
}

impl Capabilities {
    pub fn decode(capability: u64, extended: u64) -> Self {
        let field = |value: u64, low: u32, bits: u32| value >> low & ((1 << bits) - 1);
        let byte = |low: u32, bits: u32| field(capability, low, bits).to_le_bytes()[0];
        let widths = byte(8, 5);
        let levels = if widths & 0b100 != 0 {
            Some(4)
        } else if widths & 0b010 != 0 {
            Some(3)
        } else {
            None
        };
        Self {
            domain_count: 1 << (4 + 2 * byte(0, 3)).min(16),
            needs_write_buffer_flush: byte(4, 1) != 0,
            has_caching_mode: byte(7, 1) != 0,
            has_page_selective: byte(39, 1) != 0,
            max_address_mask: byte(48, 6),
            levels,
            address_width: byte(16, 6) + 1,
            fault_offset: field(capability, 24, 10) * 16,
            fault_count: field(capability, 40, 8) + 1,
            iotlb_offset: field(extended, 8, 10) * 16,
        }
    }

    /// Whether this driver can work with the unit.
    pub fn is_suitable(&self) -> bool {
        self.has_page_selective && self.levels.is_some()
    }

    /// One past the highest IOVA.
    pub fn address_limit(&self) -> u64 {
        let by_levels = 12 + 9 * self.levels.unwrap_or(0);
        1 << by_levels.min(self.address_width)
    }
}
