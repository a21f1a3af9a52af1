//! Where the registers lie from the window's begin on, and what the capability registers say (section 11.4).

use super::config::UnitConfig;
use super::invalidation::MAX_ADDRESS_MASK;

/// VER, 32 bits.
pub const VERSION: u64 = 0x00;
/// CAP, 64 bits.
pub const CAPABILITIES: u64 = 0x08;
/// ECAP, 64 bits.
pub const EXTENDED_CAPABILITIES: u64 = 0x10;
/// GCMD, 32 bits.
pub const GLOBAL_COMMAND: u64 = 0x18;
/// GSTS, 32 bits.
pub const GLOBAL_STATUS: u64 = 0x1c;
/// RTADDR, 64 bits.
pub const ROOT_ADDRESS: u64 = 0x20;
/// CCMD, 64 bits.
pub const CONTEXT_COMMAND: u64 = 0x28;
/// FSTS, 32 bits.
pub const FAULT_STATUS: u64 = 0x34;
/// FECTL, 32 bits.
pub const EVENT_CONTROL: u64 = 0x38;
/// FEDATA, 32 bits.
pub const EVENT_DATA: u64 = 0x3c;
/// FEADDR and FEUADDR, 64 bits.
pub const EVENT_ADDRESS: u64 = 0x40;
/// ECAP.IRO leads here.
pub(super) const INVALIDATE_ADDRESS: u64 = 0xf0;
pub(super) const IOTLB_COMMAND: u64 = INVALIDATE_ADDRESS + 8;
/// CAP.FRO leads here.
const FAULT_RECORDS: u64 = 0x400;
const FAULT_RECORD_BYTES: u64 = 16;
const PAGE_BYTES: u64 = 0x1000;

/// Major version 1: from 6 on there would be no invalidation by registers (section 6.5).
pub const VERSION_1_0: u64 = 0x10;
/// CCMD.ICC and IOTLB.IVT: the order is under way.
pub const COMMAND_BUSY: u64 = 1 << 63;

/// GCMD.TE and GSTS.TES: requests are translated.
pub const TRANSLATION_ENABLE: u32 = 1 << 31;
/// GCMD.SRTP and GSTS.RTPS: take the root table's address.
pub const SET_ROOT_TABLE: u32 = 1 << 30;

/// CAP.ND: domain IDs have 16 bits.
const DOMAINS_OF_16_BITS: u64 = 6;
/// CAP.PSI: pages can be invalidated.
const HAS_PAGE_INVALIDATION: u64 = 1 << 39;
/// ECAP.C: the walk sees what processors have in their caches.
const IS_COHERENT: u64 = 1;

/// Length in bytes of the window with all registers of such a unit: whole pages.
#[must_use]
pub fn window_bytes(config: &UnitConfig) -> u64 {
    let records = u64::try_from(config.fault_records).unwrap_or(0) * FAULT_RECORD_BYTES;
    (FAULT_RECORDS + records).next_multiple_of(PAGE_BYTES)
}

/// The fault recording register at an offset, if there could be one, and the byte in it.
pub(super) fn fault_record(offset: u64) -> Option<(usize, u64)> {
    let from_first = offset.checked_sub(FAULT_RECORDS)?;
    let index = usize::try_from(from_first / FAULT_RECORD_BYTES).ok()?;
    Some((index, from_first % FAULT_RECORD_BYTES))
}

/// CAP (section 11.4.2).
pub(super) fn capabilities(config: &UnitConfig) -> u64 {
    let records = u64::try_from(config.fault_records).unwrap_or(1);
    DOMAINS_OF_16_BITS
        | bit(config.has_3_levels, 9)
        | bit(config.has_4_levels, 10)
        | (u64::from(config.guest_address_bits) - 1) << 16
        | (FAULT_RECORDS / FAULT_RECORD_BYTES) << 24
        | bit(config.has_2_mib_leaves, 34)
        | bit(config.has_1_gib_leaves, 35)
        | HAS_PAGE_INVALIDATION
        | (records - 1) << 40
        | u64::from(MAX_ADDRESS_MASK) << 48
}

/// ECAP (section 11.4.3).
pub(super) fn extended_capabilities(config: &UnitConfig) -> u64 {
    IS_COHERENT
        | bit(config.has_device_tlb, 2)
        | bit(config.has_pass_through, 6)
        | bit(config.has_snoop_control, 7)
        | (INVALIDATE_ADDRESS / 16) << 8
}

const fn bit(is_set: bool, at: u32) -> u64 {
    (is_set as u64) << at
}

/// Replaces the half of a 64-bit register that the word at `offset` is.
pub(super) fn set_half(register: &mut u64, offset: u64, word: u32) {
    let shift = offset % 8 * 8;
    *register = *register & !(0xffff_ffff << shift) | u64::from(word) << shift;
}
