//! Root and context tables (VT-d specification, sections 9.1 and 9.3), in frames of RAM.

use super::RequesterId;
use crate::memory::direct_map::DirectMap;
use crate::memory::radix::TableFrames;
use crate::memory::{GuestPhysAddr, Pfn};

const ENTRY_BYTES: u64 = 16;
const IS_PRESENT: u64 = 1;

/// What a context entry says: legacy mode, second-level translation, faults recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContextEntry {
    /// Root of the second-level tables.
    pub tables: Pfn,
    /// Their levels.
    pub levels: u8,
    /// Domain ID. Not 0, which caching mode reserves.
    pub domain: u16,
}

/// The tree from requester to context entry.
#[derive(Debug)]
pub(super) struct ContextTables {
    root: Pfn,
}

impl ContextTables {
    /// An empty tree.
    pub fn new(frames: &mut dyn TableFrames) -> Option<Self> {
        frames.take().map(|root| Self { root })
    }

    /// The root table.
    pub fn root(&self) -> Pfn {
        self.root
    }

    /// Writes the entry of a requester, the part with the present bit last. `None` without a frame.
    pub fn set(
        &self,
        map: &DirectMap,
        frames: &mut dyn TableFrames,
        requester: RequesterId,
        entry: &ContextEntry,
    ) -> Option<()> {
        let root_slot = slot(self.root, requester.bus());
        if map.read_u64(root_slot) & IS_PRESENT == 0 {
            let table = frames.take()?;
            map.write_u64(root_slot, table.start().raw() | IS_PRESENT);
        }
        let at = self.entry_slot(map, requester)?;
        let address_width = u64::from(entry.levels.saturating_sub(2));
        map.write_u64(
            GuestPhysAddr::new(at.raw() + 8),
            address_width | u64::from(entry.domain) << 8,
        );
        map.write_u64(at, entry.tables.start().raw() | IS_PRESENT);
        Some(())
    }

    /// Takes the entry of a requester away.
    pub fn clear(&self, map: &DirectMap, requester: RequesterId) {
        if let Some(at) = self.entry_slot(map, requester) {
            map.write_u64(at, 0);
            map.write_u64(GuestPhysAddr::new(at.raw() + 8), 0);
        }
    }

    fn entry_slot(&self, map: &DirectMap, requester: RequesterId) -> Option<GuestPhysAddr> {
        let root_entry = map.read_u64(slot(self.root, requester.bus()));
        if root_entry & IS_PRESENT == 0 {
            return None;
        }
        let table = Pfn::containing(GuestPhysAddr::new(root_entry));
        let [device_and_function, _] = requester.raw().to_le_bytes();
        Some(slot(table, device_and_function))
    }
}

fn slot(table: Pfn, index: u8) -> GuestPhysAddr {
    GuestPhysAddr::new(table.start().raw() + u64::from(index) * ENTRY_BYTES)
}
