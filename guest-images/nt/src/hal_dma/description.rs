//! DEVICE_DESCRIPTION and what an adapter made from it can do (rules GA-n of windows-dma-ddi section 2.1).

use super::bounds::Bounds;

/// Bytes that version 3 reads.
pub const DESCRIPTION_BYTES: usize = 0x40;
/// Bytes that versions 0 to 2 read: older headers declare no more.
pub const OLD_DESCRIPTION_BYTES: usize = 0x28;
/// Most map registers granted: KMDF multiplies the number by a page in 32 bits (GA-12).
const MAX_MAP_REGISTERS: u32 = 0xF_FFFF;
/// PCIBus
const PCI_BUS: u32 = 5;
/// InterfaceTypeUndefined: the PDO is asked, and that is a PCI function here.
const ASK_THE_PDO: u32 = u32::MAX;
/// Width of a bus master that says nothing of its addresses.
const ISA_WIDTH: u32 = 24;

/// What an adapter can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdapterSettings {
    /// Version of the operations table: 1, 2 or 3.
    pub table_version: u32,
    /// What the device reaches.
    pub bounds: Bounds,
    /// Map registers granted.
    pub map_registers: u32,
    /// Whether the device takes a transfer in several pieces.
    pub scatter_gather: bool,
}

/// Why there is no adapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Rule of windows-dma-ddi section 2.1.
    pub rule: &'static str,
    /// What was wrong.
    pub why: &'static str,
}

/// Judges a description; a short one (versions 0 to 2) is padded with zeros.
///
/// # Errors
/// The rule that it breaks.
pub fn settings(description: &[u8; DESCRIPTION_BYTES]) -> Result<AdapterSettings, Refused> {
    let version = word(description, 0x00);
    let flag = |offset: usize| description[offset] != 0;
    let table_version = match version {
        0 | 1 => 1,
        2 | 3 => version,
        _ => return Err(refused("GA-3", "unknown version")),
    };
    if !flag(0x04) {
        return Err(refused(
            "GA-1",
            "not a bus master, and there is no system DMA controller",
        ));
    }
    if flag(0x0A) {
        return Err(refused("GA-2", "Reserved1 is not FALSE"));
    }
    let is_pci = matches!(word(description, 0x14), PCI_BUS | ASK_THE_PDO);
    let width = match version {
        3 => word(description, 0x28),
        _ if flag(0x0B) => 64,
        _ if flag(0x08) || (flag(0x05) && is_pci) => 32,
        _ => ISA_WIDTH,
    };
    if width == 0 || width > 64 {
        return Err(refused("GA-7", "DmaAddressWidth is not from 1 to 64"));
    }
    if width < ISA_WIDTH {
        return Err(refused("GA-8", "DmaAddressWidth is below 24"));
    }
    Ok(AdapterSettings {
        table_version,
        bounds: Bounds::of_width(width),
        map_registers: map_registers(word(description, 0x20)),
        scatter_gather: flag(0x05),
    })
}

/// Pages of the longest transfer and one more for an unaligned start (GA-6); at least 2 (GA-12).
fn map_registers(maximum_length: u32) -> u32 {
    ((maximum_length & 0x7FFF_FFFF).div_ceil(0x1000) + 1).clamp(2, MAX_MAP_REGISTERS)
}

fn word(description: &[u8; DESCRIPTION_BYTES], offset: usize) -> u32 {
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&description[offset..offset + 4]);
    u32::from_le_bytes(bytes)
}

const fn refused(rule: &'static str, why: &'static str) -> Refused {
    Refused { rule, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(version: u32, width: u32) -> [u8; DESCRIPTION_BYTES] {
        let mut bytes = [0; DESCRIPTION_BYTES];
        bytes[..4].copy_from_slice(&version.to_le_bytes());
        bytes[4] = 1;
        bytes[0x14..0x18].copy_from_slice(&5u32.to_le_bytes());
        bytes[0x20..0x24].copy_from_slice(&0x10000u32.to_le_bytes());
        bytes[0x28..0x2c].copy_from_slice(&width.to_le_bytes());
        bytes
    }

    fn with(mut bytes: [u8; DESCRIPTION_BYTES], offset: usize) -> [u8; DESCRIPTION_BYTES] {
        bytes[offset] = 1;
        bytes
    }

    #[test]
    fn ga3_version_selects_the_table() {
        for (version, table) in [(0, 1), (1, 1), (2, 2), (3, 3)] {
            let settings = settings(&description(version, 64)).expect("a sound description");
            assert_eq!(settings.table_version, table);
        }
        assert_eq!(
            settings(&description(4, 64)).map_err(|error| error.rule),
            Err("GA-3")
        );
    }

    #[test]
    fn ga6_ga12_map_registers_cover_the_longest_transfer() {
        let registers = |len: u32| {
            let mut bytes = description(3, 64);
            bytes[0x20..0x24].copy_from_slice(&len.to_le_bytes());
            settings(&bytes).expect("sound").map_registers
        };
        assert_eq!(registers(0x10000), 17);
        assert_eq!(registers(0), 2);
        assert_eq!(registers(1), 2);
        assert_eq!(registers(u32::MAX), 0x8_0001);
    }

    #[test]
    fn ga7_ga8_width_of_version_3_is_24_to_64() {
        let rule = |width| settings(&description(3, width)).map_err(|error| error.rule);
        assert_eq!(rule(0), Err("GA-7"));
        assert_eq!(rule(65), Err("GA-7"));
        assert_eq!(rule(23), Err("GA-8"));
        assert_eq!(
            rule(24).map(|settings| settings.bounds.maximum),
            Ok(0xff_ffff)
        );
    }

    #[test]
    fn ga9_older_versions_take_the_width_from_flags() {
        let width = |bytes| settings(&bytes).expect("sound").bounds.maximum;
        assert_eq!(width(description(2, 0)), 0xff_ffff);
        assert_eq!(width(with(description(2, 0), 0x08)), u64::from(u32::MAX));
        assert_eq!(width(with(description(2, 0), 0x05)), u64::from(u32::MAX));
        let on_bus = |interface_type: u32| {
            let mut bytes = with(description(2, 0), 0x05);
            bytes[0x14..0x18].copy_from_slice(&interface_type.to_le_bytes());
            width(bytes)
        };
        assert_eq!(on_bus(u32::MAX), u64::from(u32::MAX), "-1 asks the PDO");
        assert_eq!(on_bus(1), 0xff_ffff, "ISA");
        assert_eq!(width(with(with(description(1, 0), 0x0B), 0x08)), u64::MAX);
        assert_eq!(
            width(with(description(3, 32), 0x0B)),
            u64::from(u32::MAX),
            "ignored in version 3"
        );
    }

    #[test]
    fn ga1_ga2_slave_and_reserved_byte_are_refused() {
        let mut slave = description(3, 64);
        slave[4] = 0;
        assert_eq!(settings(&slave).map_err(|error| error.rule), Err("GA-1"));
        let reserved = with(description(3, 64), 0x0A);
        assert_eq!(settings(&reserved).map_err(|error| error.rule), Err("GA-2"));
    }
}
