//! [`ConfigAccess`] and the layout of config space (PCI local bus specification 3.0, section 6.1; PCI-to-PCI
//! bridge specification 1.2, section 3.2).

use super::RequesterId;

/// Reads and writes config space. `len_bytes` is 1, 2 or 4, `offset` a multiple of it.
pub trait ConfigAccess {
    /// Reads; all ones where nothing answers.
    fn read(&mut self, id: RequesterId, offset: u16, len_bytes: u8) -> u32;
    /// Writes; dropped where nothing answers.
    fn write(&mut self, id: RequesterId, offset: u16, len_bytes: u8, value: u32);
    /// The highest bus number that can be reached.
    fn last_bus(&self) -> u8;

    /// Reads 8 bits.
    fn read_u8(&mut self, id: RequesterId, offset: u16) -> u8 {
        self.read(id, offset, 1).to_le_bytes()[0]
    }

    /// Reads 16 bits.
    fn read_u16(&mut self, id: RequesterId, offset: u16) -> u16 {
        let [low, high, ..] = self.read(id, offset, 2).to_le_bytes();
        u16::from_le_bytes([low, high])
    }

    /// Reads 32 bits.
    fn read_u32(&mut self, id: RequesterId, offset: u16) -> u32 {
        self.read(id, offset, 4)
    }

    /// Sets and clears bits of the command register. Sixteen bits wide, for the status register above it
    /// clears what is written as one.
    fn update_command(&mut self, id: RequesterId, set: u16, clear: u16) {
        let value = (self.read_u16(id, offset::COMMAND) & !clear) | set;
        self.write(id, offset::COMMAND, 2, u32::from(value));
    }
}

/// Offsets in config space.
pub(super) mod offset {
    pub const VENDOR_ID: u16 = 0x00;
    pub const DEVICE_ID: u16 = 0x02;
    pub const COMMAND: u16 = 0x04;
    pub const STATUS: u16 = 0x06;
    /// Revision in the lowest byte, class above it.
    pub const CLASS: u16 = 0x08;
    pub const HEADER_TYPE: u16 = 0x0E;
    pub const BAR_0: u16 = 0x10;
    pub const SUBSYSTEM_VENDOR_ID: u16 = 0x2C;
    pub const SUBSYSTEM_ID: u16 = 0x2E;
    pub const CAPABILITIES: u16 = 0x34;
    pub const INTERRUPT_PIN: u16 = 0x3D;

    pub const PRIMARY_BUS: u16 = 0x18;
    pub const SECONDARY_BUS: u16 = 0x19;
    pub const SUBORDINATE_BUS: u16 = 0x1A;
    pub const IO_BASE_AND_LIMIT: u16 = 0x1C;
    pub const MEMORY_BASE: u16 = 0x20;
    pub const MEMORY_LIMIT: u16 = 0x22;
    pub const PREFETCHABLE_BASE_AND_LIMIT: u16 = 0x24;
    pub const PREFETCHABLE_BASE_UPPER: u16 = 0x28;
    pub const PREFETCHABLE_LIMIT_UPPER: u16 = 0x2C;
}

/// Bits of the command register.
pub mod command {
    /// Decode I/O.
    pub const IO: u16 = 1;
    /// Decode memory.
    pub const MEMORY: u16 = 2;
    /// Bus mastering.
    pub const BUS_MASTER: u16 = 4;
    /// No line interrupts.
    pub const INTX_DISABLE: u16 = 1 << 10;
}

/// The ID of a capability.
pub mod capability {
    /// Power management.
    pub const POWER_MANAGEMENT: u8 = 0x01;
    /// MSI.
    pub const MSI: u8 = 0x05;
    /// PCI Express.
    pub const PCI_EXPRESS: u8 = 0x10;
    /// MSI-X.
    pub const MSIX: u8 = 0x11;
}

const STATUS_HAS_CAPABILITIES: u16 = 1 << 4;
/// Capabilities lie in 0x40..0x100 on 4-byte boundaries: there cannot be more.
const MAX_CAPABILITIES: usize = 48;

/// Offset of a capability; a list that loops or leaves its place ends there.
pub(super) fn find_capability(
    config: &mut dyn ConfigAccess,
    id: RequesterId,
    wanted: u8,
) -> Option<u16> {
    let status = config.read_u16(id, offset::STATUS);
    if status == u16::MAX || status & STATUS_HAS_CAPABILITIES == 0 {
        return None;
    }
    let mut at = config.read_u8(id, offset::CAPABILITIES) & !3;
    for _ in 0..MAX_CAPABILITIES {
        if at < 0x40 {
            return None;
        }
        let [found, next, ..] = config.read_u32(id, u16::from(at)).to_le_bytes();
        if found == wanted {
            return Some(u16::from(at));
        }
        at = next & !3;
    }
    None
}
