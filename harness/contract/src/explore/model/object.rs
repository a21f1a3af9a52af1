//! What the model knows of each slot and of each memory.

use std::collections::BTreeMap;

use crate::explore::content::Content;
use crate::oracle::PAGE_SIZE;
use crate::rig::Remapping;

/// What a run is about, as far as predictions depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The mode; `None` where predictions must hold in either.
    pub remapping: Option<Remapping>,
    /// The guest's memory: addresses below this.
    pub memory_bytes: u64,
}

/// The reference model: which objects there are, and what must come of an action on them.
#[derive(Clone, Debug)]
pub struct Model {
    pub(super) setting: Setting,
    pub(super) entries: BTreeMap<u32, Entry>,
    pub(super) roots: BTreeMap<u64, Root>,
    pub(super) next_id: u64,
}

/// An object in its slot. Numbers of objects are never used again, as slots are.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) id: u64,
    /// Whether it is known to be there.
    pub(super) is_certain: bool,
    pub(super) object: Object,
}

#[derive(Clone, Debug)]
pub(in crate::explore) enum Object {
    Adapter(Adapter),
    Memory(Memory),
    Mdl(Mdl),
    Buffer(Buffer),
    Ring(Ring),
}

#[derive(Clone, Debug)]
pub(in crate::explore) struct Adapter {
    pub(in crate::explore) version: u32,
    /// Highest address that the device reaches through it.
    pub(in crate::explore) reach: u64,
}

#[derive(Clone, Debug)]
pub(in crate::explore) struct Memory {
    pub(in crate::explore) root: u64,
    pub(in crate::explore) len: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::explore) enum MdlSource {
    /// Part of a memory.
    Memory,
    /// Its own pages.
    Pages,
    /// Part of the MDL of this number.
    Partial(u64),
}

#[derive(Clone, Debug)]
pub(in crate::explore) struct Mdl {
    pub(in crate::explore) root: u64,
    pub(in crate::explore) start: u64,
    pub(in crate::explore) len: u64,
    pub(in crate::explore) source: MdlSource,
    pub(in crate::explore) is_built: bool,
    pub(in crate::explore) is_locked: bool,
    pub(in crate::explore) is_mapped: bool,
    /// Slot and number of the MDL that Next points to.
    pub(in crate::explore) next: Option<(u32, u64)>,
}

impl Mdl {
    /// Whether its frames are filled in.
    pub(in crate::explore) const fn has_pages(&self) -> bool {
        self.is_built || self.is_locked || !matches!(self.source, MdlSource::Memory)
    }

    /// Whether it has an address in system space.
    pub(in crate::explore) const fn has_address(&self) -> bool {
        self.is_built || self.is_mapped || matches!(self.source, MdlSource::Partial(_))
    }

    /// Pages that it spans.
    pub(in crate::explore) const fn n_pages(&self) -> u64 {
        (self.start % PAGE_SIZE + self.len).div_ceil(PAGE_SIZE)
    }
}

#[derive(Clone, Debug)]
pub(in crate::explore) struct Buffer {
    pub(in crate::explore) adapter: u64,
    pub(in crate::explore) root: u64,
    /// First byte in the root.
    pub(in crate::explore) start: u64,
    pub(in crate::explore) len: u64,
    /// Number of the MDL behind it; none where the memory is the HAL's.
    pub(in crate::explore) mdl: Option<u64>,
    pub(in crate::explore) can_read: bool,
    pub(in crate::explore) can_write: bool,
    /// Where it must lie, both ends inclusive.
    pub(in crate::explore) bounds: (u64, u64),
    pub(in crate::explore) logical_address: Option<u64>,
}

#[derive(Clone, Debug)]
pub(in crate::explore) struct Ring {
    pub(in crate::explore) adapter: u64,
    pub(in crate::explore) channel: u32,
    pub(in crate::explore) entries: u64,
    /// Of descriptors and completion entries.
    pub(in crate::explore) logical_addresses: Option<[u64; 2]>,
}

/// A memory that objects are views of: one allocation.
#[derive(Clone, Debug, Default)]
pub(super) struct Root {
    /// Frames by page, as far as an MDL told them.
    pub(super) frames: Vec<Option<u64>>,
    /// Whether the documents promise that they follow one another.
    pub(super) is_contiguous: bool,
    pub(super) content: Content,
}

impl Model {
    /// Without any object.
    #[must_use]
    pub const fn new(setting: Setting) -> Self {
        Self {
            setting,
            entries: BTreeMap::new(),
            roots: BTreeMap::new(),
            next_id: 1,
        }
    }

    pub(super) fn entry(&self, slot: u32) -> Option<&Entry> {
        self.entries.get(&slot)
    }

    pub(super) fn adapter(&self, slot: u32) -> Option<(&Adapter, u64)> {
        match self.entry(slot)? {
            Entry {
                object: Object::Adapter(adapter),
                id,
                ..
            } => Some((adapter, *id)),
            _ => None,
        }
    }

    pub(in crate::explore) fn mdl(&self, slot: u32) -> Option<(&Mdl, u64)> {
        match self.entry(slot)? {
            Entry {
                object: Object::Mdl(mdl),
                id,
                ..
            } => Some((mdl, *id)),
            _ => None,
        }
    }

    pub(in crate::explore) fn buffer(&self, slot: u32) -> Option<&Buffer> {
        match self.entry(slot)? {
            Entry {
                object: Object::Buffer(buffer),
                ..
            } => Some(buffer),
            _ => None,
        }
    }

    pub(in crate::explore) fn memory(&self, slot: u32) -> Option<&Memory> {
        match self.entry(slot)? {
            Entry {
                object: Object::Memory(memory),
                ..
            } => Some(memory),
            _ => None,
        }
    }

    pub(in crate::explore) fn ring(&self, slot: u32) -> Option<&Ring> {
        match self.entry(slot)? {
            Entry {
                object: Object::Ring(ring),
                ..
            } => Some(ring),
            _ => None,
        }
    }

    /// Slots and objects, in the order of slots.
    pub(in crate::explore) fn objects(&self) -> impl Iterator<Item = (u32, &Object)> {
        self.entries
            .iter()
            .map(|(slot, entry)| (*slot, &entry.object))
    }

    pub(super) fn buffers(&self) -> impl Iterator<Item = &Buffer> {
        self.objects().filter_map(|(_, object)| match object {
            Object::Buffer(buffer) => Some(buffer),
            _ => None,
        })
    }

    pub(super) fn mdls(&self) -> impl Iterator<Item = &Mdl> {
        self.objects().filter_map(|(_, object)| match object {
            Object::Mdl(mdl) => Some(mdl),
            _ => None,
        })
    }

    /// The live ring of a channel, if its slot still holds one.
    pub(in crate::explore) fn ring_of(&self, channel: u32) -> Option<&Ring> {
        self.objects().find_map(|(_, object)| match object {
            Object::Ring(ring) if ring.channel == channel => Some(ring),
            _ => None,
        })
    }

    /// What the CPU sees through an object: root, first byte, length.
    pub(in crate::explore) fn view(&self, slot: u32) -> Option<(u64, u64, u64)> {
        match &self.entry(slot)?.object {
            Object::Memory(memory) => Some((memory.root, 0, memory.len)),
            Object::Mdl(mdl) if mdl.has_address() => Some((mdl.root, mdl.start, mdl.len)),
            Object::Buffer(buffer) => Some((buffer.root, buffer.start, buffer.len)),
            Object::Mdl(_) | Object::Adapter(_) | Object::Ring(_) => None,
        }
    }

    /// The frames of a byte range of a root, if all are known.
    pub(in crate::explore) fn frames(&self, root: u64, start: u64, len: u64) -> Option<Vec<u64>> {
        let first = usize::try_from(start / PAGE_SIZE).ok()?;
        let last = usize::try_from((start + len).div_ceil(PAGE_SIZE)).ok()?;
        self.roots
            .get(&root)?
            .frames
            .get(first..last)?
            .iter()
            .copied()
            .collect()
    }

    /// The patterns that must lie in a view, oldest first; offsets count from the root's first byte.
    pub(in crate::explore) fn known_content(
        &self,
        (root, start, len): (u64, u64, u64),
    ) -> Vec<crate::explore::content::Extent> {
        self.roots
            .get(&root)
            .map_or_else(Vec::new, |root| root.content.within(start, len))
    }
}
