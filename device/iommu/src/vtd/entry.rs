//! The entries of root, context and second-stage tables, decoded and checked (sections 9.1, 9.3, 9.8).

use dmarig_abi::GuestPhysAddr;

use super::config::UnitConfig;
use super::reason::{FaultReason, Refusal};
use crate::permissions::{Access, Permissions};

/// Bytes of a root or context entry.
pub(super) const WIDE_ENTRY_BYTES: u64 = 16;
/// Address bits inside the smallest page.
pub(super) const PAGE_BITS: u8 = 12;
/// Address bits that one level resolves.
pub(super) const LEVEL_BITS: u8 = 9;

const IS_PRESENT: u64 = 1;
const IN_PAGE: u64 = 0xfff;

/// Root entry, bits 11:1.
const ROOT_RESERVED: u64 = 0xffe;

/// Context entry: faults are not recorded.
const FAULT_PROCESSING_DISABLE: u64 = 1 << 1;
/// Context entry, bits 11:4.
const CONTEXT_RESERVED: u64 = 0xff0;
/// Context entry, upper half: bits 127:88, and 71. Bits 70:67 are the software's.
const CONTEXT_RESERVED_HIGH: u64 = 0xffff_ffff_ff00_0080;

/// Second-stage entry: may be read, may be written.
const READ: u64 = 1;
const WRITE: u64 = 2;
/// Second-stage entry of level 2 and 3: a leaf.
const PAGE_SIZE: u64 = 1 << 7;
/// Second-stage entry: snoop behavior, where the unit has it, in leaves.
const SNOOP: u64 = 1 << 11;
/// Second-stage entry: transient mapping, where the unit has device TLBs, in leaves.
const TRANSIENT: u64 = 1 << 62;
/// Second-stage entry, bits 63, 61:52: the software's.
const SOFTWARE_HIGH: u64 = 0xbff0_0000_0000_0000;

/// What a root entry leads to: the context table of a bus (section 9.1).
pub(super) fn context_table(
    low: u64,
    high: u64,
    config: &UnitConfig,
) -> Result<GuestPhysAddr, FaultReason> {
    if low & IS_PRESENT == 0 {
        return Err(FaultReason::RootNotPresent);
    }
    if low & (ROOT_RESERVED | !config.address_mask()) != 0 || high != 0 {
        return Err(FaultReason::RootReserved);
    }
    Ok(GuestPhysAddr::new(low & !IN_PAGE))
}

/// What happens to the requests of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TranslationType {
    /// They are translated by second-stage tables of so many levels.
    Tables {
        /// 3 or 4.
        levels: u8,
        /// The table of the highest level.
        root: GuestPhysAddr,
    },
    /// They pass untranslated.
    PassThrough,
}

/// A context entry that is present and valid (section 9.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContextEntry {
    /// DID: the domain under which translations are cached.
    pub domain: u16,
    /// What happens to requests.
    pub translation: TranslationType,
    /// FPD: faults under this entry are not recorded.
    pub is_fault_processing_disabled: bool,
}

impl ContextEntry {
    pub(super) fn decode(low: u64, high: u64, config: &UnitConfig) -> Result<Self, Refusal> {
        let is_fault_processing_disabled = low & FAULT_PROCESSING_DISABLE != 0;
        let refuse = |reason| Err(Refusal::new(reason).under(is_fault_processing_disabled));
        if low & IS_PRESENT == 0 {
            return refuse(FaultReason::ContextNotPresent);
        }
        let reserved = CONTEXT_RESERVED | !config.address_mask();
        if low & reserved != 0 || high & CONTEXT_RESERVED_HIGH != 0 {
            return refuse(FaultReason::ContextReserved);
        }
        // AW: 1 is 39 bits, 2 is 48; other values are for widths that the unit does not have.
        let levels = match high & 7 {
            1 if config.has_3_levels => 3,
            2 if config.has_4_levels => 4,
            _ => return refuse(FaultReason::ContextInvalid),
        };
        let tables = TranslationType::Tables {
            levels,
            root: GuestPhysAddr::new(low & !IN_PAGE),
        };
        let translation = match low >> 2 & 3 {
            0 => tables,
            1 if config.has_device_tlb => tables,
            2 if config.has_pass_through => TranslationType::PassThrough,
            _ => return refuse(FaultReason::ContextInvalid),
        };
        let [_, domain_low, domain_high, ..] = high.to_le_bytes();
        Ok(Self {
            domain: u16::from_le_bytes([domain_low, domain_high]),
            translation,
            is_fault_processing_disabled,
        })
    }
}

/// Where a page leads, and what is permitted there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageTranslation {
    /// The page's size: 12, 21 or 30 bits.
    pub size_bits: u8,
    /// Its first byte.
    pub target: GuestPhysAddr,
    /// What every entry on the way permits.
    pub permissions: Permissions,
}

/// One entry of a second-stage table (section 9.8).
#[derive(Clone, Copy, Debug)]
pub(super) struct PageEntry {
    raw: u64,
    /// Its level: 1 is the lowest, whose entries are all leaves.
    level: u8,
    is_leaf: bool,
}

impl PageEntry {
    /// Checks an entry for an access. One that lacks the permission ends the walk before its reserved
    /// bits are looked at: the specification leaves the order open, and QEMU's unit does the same.
    pub(super) fn check(
        raw: u64,
        level: u8,
        access: Access,
        config: &UnitConfig,
    ) -> Result<Self, Refusal> {
        let wanted = match access {
            Access::Read => READ,
            Access::Write => WRITE,
        };
        if raw & wanted == 0 {
            return Err(Refusal::missing(access, raw & (READ | WRITE) != 0));
        }
        let has_large_leaves = match level {
            2 => config.has_2_mib_leaves,
            3 => config.has_1_gib_leaves,
            _ => false,
        };
        let is_leaf = level == 1 || (has_large_leaves && raw & PAGE_SIZE != 0);
        let entry = Self {
            raw,
            level,
            is_leaf,
        };
        if raw & entry.reserved(config) != 0 {
            return Err(Refusal::new(FaultReason::PageReserved));
        }
        Ok(entry)
    }

    fn reserved(self, config: &UnitConfig) -> u64 {
        let mut permitted = config.address_mask() | SOFTWARE_HIGH;
        if self.is_leaf {
            // Address bits inside the page, above the flags of bits 10:0.
            permitted &= !(self.in_page() & !0xfff);
            if config.has_device_tlb {
                permitted |= TRANSIENT;
            }
        }
        let mut reserved = !permitted;
        if !(self.is_leaf && config.has_snoop_control) {
            reserved |= SNOOP;
        }
        if !self.is_leaf {
            reserved |= PAGE_SIZE;
        }
        reserved
    }

    pub(super) const fn is_leaf(self) -> bool {
        self.is_leaf
    }

    /// Bits 1:0.
    pub(super) const fn permission_bits(self) -> u64 {
        self.raw & (READ | WRITE)
    }

    pub(super) const fn size_bits(self) -> u8 {
        PAGE_BITS + (self.level - 1) * LEVEL_BITS
    }

    /// The table of the next level, or the page of a leaf.
    pub(super) fn address(self, config: &UnitConfig) -> GuestPhysAddr {
        let in_target = if self.is_leaf {
            self.in_page()
        } else {
            IN_PAGE
        };
        GuestPhysAddr::new(self.raw & config.address_mask() & !in_target)
    }

    const fn in_page(self) -> u64 {
        (1 << self.size_bits()) - 1
    }
}
