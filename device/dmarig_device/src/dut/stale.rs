//! [`StaleTranslations`]: the sabotage `device-stale-mapping`.
//!
//! While it is set, translations that the platform takes away are kept, and an access that finds no
//! mapping uses them: what a device does that never invalidates its translation cache.

use std::cell::Cell;
use std::collections::BTreeMap;

use dmarig_abi::Iova;
use guest_memory::RegionId;
use iommu::{Access, Mapping, MappingTable, PAGE_SIZE_BYTES, Removed, Segment};

use super::memory::Backing;

/// Leaves kept; what goes away beyond that is really gone.
const MAX_LEAVES: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct StaleTranslations {
    table: MappingTable<Backing>,
    /// Pages that this table has taken over and not given back, by region.
    pages: BTreeMap<RegionId, u64>,
    is_passive: bool,
    times_left: Cell<Option<u32>>,
    struck: Cell<u64>,
}

impl StaleTranslations {
    /// Keeps translations from now on and uses them `times` times, or always.
    pub(super) fn new(times: Option<u32>) -> Self {
        Self {
            table: MappingTable::with_max_leaves(MAX_LEAVES),
            pages: BTreeMap::new(),
            is_passive: false,
            times_left: Cell::new(times),
            struck: Cell::new(0),
        }
    }

    /// Keeps translations from now on, and uses them only where an injected fault says so.
    pub(super) fn passive() -> Self {
        Self {
            is_passive: true,
            ..Self::new(Some(0))
        }
    }

    /// Whether only injected faults use the translations.
    pub(super) const fn is_passive(&self) -> bool {
        self.is_passive
    }

    /// The old translation of an access, for an injected fault.
    pub(super) fn translate_for_fault(
        &self,
        iova: Iova,
        len_bytes: u64,
        access: Access,
    ) -> Option<Segment<Backing>> {
        self.table.translate_first(iova, len_bytes, access).ok()
    }

    pub(super) const fn times_left(&self) -> Option<u32> {
        self.times_left.get()
    }

    pub(super) const fn struck(&self) -> u64 {
        self.struck.get()
    }

    /// Takes a removed mapping, and its pages, over; `false` if there is no room or no memory.
    pub(super) fn keep(&mut self, removed: &Removed<Backing>) -> bool {
        let Some(region) = removed.backing else {
            return false;
        };
        let Some(len_bytes) = removed.size_pages.checked_mul(PAGE_SIZE_BYTES) else {
            return false;
        };
        let mapping = Mapping {
            iova: removed.iova,
            len_bytes,
            backing: removed.backing,
            offset_bytes: removed.offset_bytes,
            permissions: removed.permissions,
        };
        // What this replaces keeps its region alive until the sabotage is cleared; a page counted
        // once too often does no harm, one released too early would.
        if self.table.map(&mapping, |_| ()).is_err() {
            return false;
        }
        *self.pages.entry(region).or_default() += removed.size_pages;
        true
    }

    /// The old translation of an access, if there is one and it may still be used. A probe asks here
    /// as well: it tells where the device would go.
    pub(super) fn translate(
        &self,
        iova: Iova,
        len_bytes: u64,
        access: Access,
    ) -> Option<Segment<Backing>> {
        if self.times_left.get() == Some(0) {
            return None;
        }
        let segment = self.table.translate_first(iova, len_bytes, access).ok()?;
        self.times_left
            .set(self.times_left.get().map(|times| times - 1));
        self.struck.set(self.struck.get() + 1);
        Some(segment)
    }

    /// Forgets the translations and hands out the pages taken over; goes on otherwise.
    pub(super) fn take_regions(&mut self) -> BTreeMap<RegionId, u64> {
        self.table.unmap_all(|_| ());
        std::mem::take(&mut self.pages)
    }
}
