//! Map registers: what an adapter was granted of them, and what lies mapped in them.
//!
//! A driver knows them by MapRegisterBase, which here is an address where nothing is: to look behind it is a page
//! fault.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::mapping::{self, Mapped};
use crate::arch::guarded::Guarded;

/// First MapRegisterBase; nothing is ever mapped from here on.
const FIRST_BASE: u64 = 0xFFFF_DA00_0000_0000;
/// Distance of two of them.
const BASE_STEP: u64 = 0x1000;

/// A mapped transfer.
#[derive(Debug)]
pub(super) struct Mapping {
    /// The MDL, or the head of the chain, that the driver named.
    pub(super) mdl: u64,
    /// Offset of the first byte in it.
    pub(super) offset: u64,
    /// Bytes.
    pub(super) len: u64,
    /// From memory to the device.
    pub(super) write_to_device: bool,
    /// Map registers that it takes.
    pub(super) n_registers: u64,
    /// Made by MapTransferEx, of which one at a time may be (MX-3).
    pub(super) is_extended: bool,
    /// What the device reaches.
    pub(super) elements: Vec<Mapped>,
}

/// Map registers of one request.
#[derive(Debug)]
pub(super) struct RegisterFile {
    /// The adapter that they belong to.
    pub(super) adapter: u64,
    /// How many.
    pub(super) count: u32,
    /// The request's transfer context.
    pub(super) context: Option<u64>,
    /// What is mapped in them.
    pub(super) mappings: Vec<Mapping>,
}

struct State {
    files: BTreeMap<u64, RegisterFile>,
    next_base: u64,
}

/// Lock order: `channel`'s, then this.
static STATE: Guarded<State> = Guarded::new(State {
    files: BTreeMap::new(),
    next_base: FIRST_BASE,
});

/// How a flush meets the mappings of a file.
#[derive(Debug)]
pub(super) enum Flush {
    /// Exactly one or more whole mappings.
    Exact(Vec<Mapping>),
    /// These, but other bytes than were mapped.
    Other(Vec<Mapping>),
    /// Nothing is mapped in the registers.
    NothingMapped,
    /// Something else is.
    NotThis,
}

impl RegisterFile {
    /// Registers in which nothing is mapped.
    pub(super) fn free_count(&self) -> u64 {
        let used: u64 = self
            .mappings
            .iter()
            .map(|mapping| mapping.n_registers)
            .sum();
        u64::from(self.count).saturating_sub(used)
    }

    /// A mapping that shares a byte with this range.
    pub(super) fn overlapping(&self, mdl: u64, offset: u64, len: u64) -> Option<&Mapping> {
        let mut mappings = self.mappings.iter();
        mappings.find(|mapping| mapping.meets(mdl, offset, len))
    }

    /// Takes out what a flush of this range concerns.
    pub(super) fn take_flushed(&mut self, mdl: u64, offset: u64, len: u64) -> Flush {
        if self.mappings.is_empty() {
            return Flush::NothingMapped;
        }
        let is_hit = |mapping: &mut Mapping| mapping.meets(mdl, offset, len);
        let hit: Vec<Mapping> = self.mappings.extract_if(.., is_hit).collect();
        if hit.is_empty() {
            return Flush::NotThis;
        }
        let end = offset.saturating_add(len);
        let is_inside = hit
            .iter()
            .all(|mapping| mapping.offset >= offset && mapping.offset + mapping.len <= end);
        let covered: u64 = hit.iter().map(|mapping| mapping.len).sum();
        if is_inside && covered == len {
            Flush::Exact(hit)
        } else {
            Flush::Other(hit)
        }
    }

    /// Ends what is still mapped; no data move.
    pub(super) fn drop_mappings(self) {
        for mapping in self.mappings {
            mapping::unmap_all(mapping.elements, false);
        }
    }
}

impl Mapping {
    fn meets(&self, mdl: u64, offset: u64, len: u64) -> bool {
        let end = offset.saturating_add(len);
        self.mdl == mdl && offset < self.offset + self.len && self.offset < end
    }
}

/// Takes `count` registers of an adapter; gives their MapRegisterBase. The caller has made sure that they are free.
pub(super) fn open(adapter: u64, count: u32, context: Option<u64>) -> u64 {
    STATE.with(|state| {
        let base = state.next_base;
        state.next_base += BASE_STEP;
        let file = RegisterFile {
            adapter,
            count,
            context,
            mappings: Vec::new(),
        };
        state.files.insert(base, file);
        base
    })
}

/// Works on the registers at `base`, if they are this adapter's.
pub(super) fn with<R>(
    adapter: u64,
    base: u64,
    body: impl FnOnce(&mut RegisterFile) -> R,
) -> Option<R> {
    STATE.with(|state| {
        let file = state.files.get_mut(&base);
        file.filter(|file| file.adapter == adapter).map(body)
    })
}

/// Gives registers back; what is still mapped in them comes with them.
pub(super) fn close(adapter: u64, base: u64) -> Option<RegisterFile> {
    STATE.with(|state| {
        let is_its = state.files.get(&base)?.adapter == adapter;
        if is_its {
            state.files.remove(&base)
        } else {
            None
        }
    })
}

/// Registers of an adapter that are taken.
pub(super) fn in_use(adapter: u64) -> u64 {
    STATE.with(|state| {
        let files = state.files.values().filter(|file| file.adapter == adapter);
        files.map(|file| u64::from(file.count)).sum()
    })
}

/// Registers that are taken, of all adapters.
pub(super) fn live_count() -> u64 {
    STATE.with(|state| state.files.values().map(|file| u64::from(file.count)).sum())
}

/// The MDL that a mapping lies on whose head is `mdl`.
pub(super) fn is_mapped(mdl: u64) -> bool {
    STATE.with(|state| {
        let mut mappings = state.files.values().flat_map(|file| &file.mappings);
        mappings.any(|mapping| mapping.mdl == mdl)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(ranges: &[(u64, u64)]) -> RegisterFile {
        let mapping = |(offset, len): &(u64, u64)| Mapping {
            mdl: 1,
            offset: *offset,
            len: *len,
            write_to_device: true,
            n_registers: 1,
            is_extended: false,
            elements: Vec::new(),
        };
        RegisterFile {
            adapter: 9,
            count: 4,
            context: None,
            mappings: ranges.iter().map(mapping).collect(),
        }
    }

    #[test]
    fn flush_takes_the_mappings_it_covers_and_leaves_the_rest() {
        let mut file = file(&[(0, 0x800), (0x800, 0x1000), (0x1800, 0x10)]);
        let flush = file.take_flushed(1, 0, 0x1800);
        assert!(matches!(flush, Flush::Exact(hit) if hit.len() == 2));
        assert_eq!((file.mappings.len(), file.free_count()), (1, 3));
    }

    #[test]
    fn flush_of_other_bytes_is_told_apart() {
        let check = |offset, len| file(&[(0x800, 0x1000)]).take_flushed(1, offset, len);
        assert!(matches!(check(0x800, 0x800), Flush::Other(_)));
        assert!(matches!(check(0x7ff, 0x1001), Flush::Other(_)));
        assert!(matches!(check(0, 0x800), Flush::NotThis));
        assert!(matches!(
            file(&[(0x800, 0x1000)]).take_flushed(2, 0x800, 0x1000),
            Flush::NotThis
        ));
        assert!(matches!(
            file(&[]).take_flushed(1, 0x800, 0x1000),
            Flush::NothingMapped
        ));
    }

    #[test]
    fn registers_are_counted_until_they_are_given_back() {
        let adapter = 0x51;
        let base = open(adapter, 3, None);
        assert_eq!(in_use(adapter), 3);
        assert!(close(adapter + 1, base).is_none(), "another's");
        assert!(close(adapter, base).is_some() && close(adapter, base).is_none());
        assert_eq!(in_use(adapter), 0);
    }
}
