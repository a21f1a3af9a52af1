//! [`Tables`]: RSDP to RSDT or XSDT to MCFG and DMAR (ACPI specification, section 5.2; PCI firmware
//! specification, section 4.1.2; VT-d specification, section 8).

use alloc::vec;
use alloc::vec::Vec;

use super::{AcpiError, PhysicalMemory};
use crate::memory::GuestPhysAddr;

/// The header that all tables share.
const HEADER_BYTES: usize = 36;
/// Longest table that is read.
const MAX_TABLE_BYTES: usize = 0x1_0000;
/// The fixed part of MCFG, and of each entry behind it.
const MCFG_HEADER_BYTES: usize = 44;
const MCFG_ENTRY_BYTES: usize = 16;
/// The fixed part of DMAR, and of a DRHD structure in it.
const DMAR_HEADER_BYTES: usize = 48;
const DRHD_BYTES: usize = 16;
/// Type of a DRHD structure, and its flag "all functions not named elsewhere".
const DRHD: u16 = 0;
const INCLUDE_PCI_ALL: u8 = 1;

/// A range of buses whose config space is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EcamSegment {
    /// Address of bus 0, even where the range starts above it.
    pub base: GuestPhysAddr,
    /// PCI segment group.
    pub segment: u16,
    /// First bus.
    pub first_bus: u8,
    /// Last bus, inclusive.
    pub last_bus: u8,
}

/// A remapping unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemappingUnit {
    /// Its registers.
    pub base: GuestPhysAddr,
    /// PCI segment group.
    pub segment: u16,
    /// Whether it serves every function that no other unit names.
    pub covers_all: bool,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Entries of MCFG.
    pub ecam: Vec<EcamSegment>,
    /// DRHD structures of DMAR.
    pub remapping_units: Vec<RemappingUnit>,
}

impl Tables {
    /// Reads what the root pointer leads to. Tables of other kinds are passed over.
    ///
    /// # Errors
    /// [`AcpiError`], all kinds.
    pub fn read(memory: &dyn PhysicalMemory, rsdp: GuestPhysAddr) -> Result<Self, AcpiError> {
        let mut tables = Self::default();
        for at in table_addresses(memory, rsdp)? {
            let mut header = [0; HEADER_BYTES];
            read_exact(memory, at, &mut header)?;
            match &header[..4] {
                b"MCFG" => tables.ecam = parse_mcfg(at, &read_table(memory, at)?)?,
                b"DMAR" => tables.remapping_units = parse_dmar(at, &read_table(memory, at)?)?,
                _ => {}
            }
        }
        Ok(tables)
    }
}

/// The addresses that RSDT or XSDT lists.
fn table_addresses(
    memory: &dyn PhysicalMemory,
    rsdp: GuestPhysAddr,
) -> Result<Vec<GuestPhysAddr>, AcpiError> {
    let mut root_pointer = [0; 36];
    // Revision 0 has 20 bytes, and nothing says that more can be read.
    let (old, extension) = root_pointer.split_at_mut(20);
    read_exact(memory, rsdp, old).map_err(|_| AcpiError::NoRootPointer)?;
    if rsdp.raw() == 0 || &old[..8] != b"RSD PTR " {
        return Err(AcpiError::NoRootPointer);
    }
    if !adds_up_to_zero(old) {
        return Err(AcpiError::BadChecksum { at: rsdp });
    }
    let mut xsdt = 0;
    if old[15] >= 2 {
        let at = rsdp.checked_add(20).ok_or(AcpiError::NoRootPointer)?;
        read_exact(memory, at, extension)?;
        xsdt = le_u64(extension, 4);
    }
    let (root, width) = match xsdt {
        0 => (u64::from(le_u32(&root_pointer, 16)), 4),
        address => (address, 8),
    };
    let table = read_table(memory, GuestPhysAddr::new(root))?;
    let entries = table[HEADER_BYTES..].chunks_exact(width);
    Ok(entries
        .map(|entry| match width {
            4 => u64::from(le_u32(entry, 0)),
            _ => le_u64(entry, 0),
        })
        .map(GuestPhysAddr::new)
        .collect())
}

/// Reads a whole table, with its length and checksum found good; at least [`HEADER_BYTES`] long.
fn read_table(memory: &dyn PhysicalMemory, at: GuestPhysAddr) -> Result<Vec<u8>, AcpiError> {
    let mut header = [0; HEADER_BYTES];
    read_exact(memory, at, &mut header)?;
    let claimed = le_u32(&header, 4);
    let len_bytes = usize::try_from(claimed)
        .ok()
        .filter(|len| (HEADER_BYTES..=MAX_TABLE_BYTES).contains(len))
        .ok_or(AcpiError::BadLength {
            at,
            len_bytes: u64::from(claimed),
        })?;
    let mut table = vec![0; len_bytes];
    read_exact(memory, at, &mut table)?;
    if !adds_up_to_zero(&table) {
        return Err(AcpiError::BadChecksum { at });
    }
    Ok(table)
}

fn parse_mcfg(at: GuestPhysAddr, table: &[u8]) -> Result<Vec<EcamSegment>, AcpiError> {
    let entries = table
        .get(MCFG_HEADER_BYTES..)
        .ok_or_else(|| bad_length(at, table))?;
    Ok(entries
        .chunks_exact(MCFG_ENTRY_BYTES)
        .map(|entry| EcamSegment {
            base: GuestPhysAddr::new(le_u64(entry, 0)),
            segment: le_u16(entry, 8),
            first_bus: entry[10],
            last_bus: entry[11],
        })
        .collect())
}

fn parse_dmar(at: GuestPhysAddr, table: &[u8]) -> Result<Vec<RemappingUnit>, AcpiError> {
    let mut rest = table
        .get(DMAR_HEADER_BYTES..)
        .ok_or_else(|| bad_length(at, table))?;
    let mut units = Vec::new();
    while rest.len() >= 4 {
        let kind = le_u16(rest, 0);
        let len = usize::from(le_u16(rest, 2));
        // A length of zero would be an endless loop.
        if len < 4 || len > rest.len() || (kind == DRHD && len < DRHD_BYTES) {
            return Err(AcpiError::BadLength {
                at,
                len_bytes: len as u64,
            });
        }
        let (structure, tail) = rest.split_at(len);
        if kind == DRHD {
            units.push(RemappingUnit {
                base: GuestPhysAddr::new(le_u64(structure, 8)),
                segment: le_u16(structure, 6),
                covers_all: structure[4] & INCLUDE_PCI_ALL != 0,
            });
        }
        rest = tail;
    }
    Ok(units)
}

fn bad_length(at: GuestPhysAddr, table: &[u8]) -> AcpiError {
    AcpiError::BadLength {
        at,
        len_bytes: table.len() as u64,
    }
}

fn read_exact(
    memory: &dyn PhysicalMemory,
    at: GuestPhysAddr,
    into: &mut [u8],
) -> Result<(), AcpiError> {
    memory.read(at, into).ok_or(AcpiError::Unreadable { at })
}

fn adds_up_to_zero(bytes: &[u8]) -> bool {
    bytes.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte)) == 0
}

fn le_u16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn le_u32(bytes: &[u8], at: usize) -> u32 {
    u32::from(le_u16(bytes, at)) | u32::from(le_u16(bytes, at + 2)) << 16
}

fn le_u64(bytes: &[u8], at: usize) -> u64 {
    u64::from(le_u32(bytes, at)) | u64::from(le_u32(bytes, at + 4)) << 32
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
