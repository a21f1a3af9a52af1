//! The walk: from a requester to its context entry, from an IOVA to its page (sections 3.4 and 3.7).
//!
//! Each word is read once. The depth is bounded by the levels, whatever the tables say.

use dmarig_abi::{GuestPhysAddr, Iova, RequesterId};

use super::config::UnitConfig;
use super::entry::{
    ContextEntry, LEVEL_BITS, PAGE_BITS, PageEntry, PageTranslation, TranslationType,
    WIDE_ENTRY_BYTES, context_table,
};
use super::physical_memory::PhysicalMemory;
use super::reason::{FaultReason, Refusal};
use crate::permissions::{Access, Permissions};

/// Reads the context entry of a requester.
pub(super) fn read_context<M: PhysicalMemory + ?Sized>(
    memory: &M,
    config: &UnitConfig,
    root_table: GuestPhysAddr,
    requester: RequesterId,
) -> Result<ContextEntry, Refusal> {
    let [function, bus] = requester.raw().to_le_bytes();
    let (low, high) =
        read_wide(memory, root_table, bus).ok_or(Refusal::new(FaultReason::RootTableAccess))?;
    let table = context_table(low, high, config).map_err(Refusal::new)?;
    let (low, high) =
        read_wide(memory, table, function).ok_or(Refusal::new(FaultReason::ContextTableAccess))?;
    ContextEntry::decode(low, high, config)
}

/// Walks the tables of a context entry. FPD is the caller's to heed.
pub(super) fn walk_pages<M: PhysicalMemory + ?Sized>(
    memory: &M,
    config: &UnitConfig,
    context: &ContextEntry,
    iova: Iova,
    access: Access,
) -> Result<PageTranslation, Refusal> {
    let TranslationType::Tables { levels, root } = context.translation else {
        return pass_through(config, iova);
    };
    let table_bits = PAGE_BITS + levels * LEVEL_BITS;
    check_width(iova, table_bits.min(config.guest_address_bits))?;
    let mut table = root;
    let mut permission_bits = 3;
    for level in (1..=levels).rev() {
        let shift = PAGE_BITS + (level - 1) * LEVEL_BITS;
        let index = iova.raw() >> shift & ((1 << LEVEL_BITS) - 1);
        let raw = table
            .checked_add(index * 8)
            .and_then(|at| memory.read_u64(at))
            // A context entry that leads nowhere is itself invalid (section 7.1.3, 3h).
            .ok_or(Refusal::new(if level == levels {
                FaultReason::ContextInvalid
            } else {
                FaultReason::PageTableAccess
            }))?;
        let entry = PageEntry::check(raw, level, access, config)?;
        permission_bits &= entry.permission_bits();
        table = entry.address(config);
        if entry.is_leaf() {
            return Ok(PageTranslation {
                size_bits: entry.size_bits(),
                target: table,
                permissions: Permissions::from_bits(permission_bits),
            });
        }
    }
    unreachable!("every entry of level 1 is a leaf")
}

/// Requests that pass keep their address; a page of it is as good a unit as any.
fn pass_through(config: &UnitConfig, iova: Iova) -> Result<PageTranslation, Refusal> {
    check_width(iova, config.host_address_bits)?;
    Ok(PageTranslation {
        size_bits: PAGE_BITS,
        target: GuestPhysAddr::new(iova.align_down(1 << PAGE_BITS).raw()),
        permissions: Permissions::ReadWrite,
    })
}

fn check_width(iova: Iova, bits: u8) -> Result<(), Refusal> {
    if iova.raw() >> bits == 0 {
        return Ok(());
    }
    Err(Refusal::new(FaultReason::AddressBeyondWidth))
}

/// Reads both halves of an entry, the one with the present bit first: software sets that last.
fn read_wide<M: PhysicalMemory + ?Sized>(
    memory: &M,
    table: GuestPhysAddr,
    index: u8,
) -> Option<(u64, u64)> {
    let at = table.checked_add(u64::from(index) * WIDE_ENTRY_BYTES)?;
    Some((memory.read_u64(at)?, memory.read_u64(at.checked_add(8)?)?))
}
