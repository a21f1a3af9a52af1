//! [`Radix`]: tables of 512 entries, level on level. The CPU's page tables and VT-d's second-level tables
//! have the same shape; a [`Format`] says how they differ.

use super::direct_map::DirectMap;
use super::{GuestPhysAddr, PAGE_SHIFT, Pfn};

/// Bits of an entry that hold a frame's address.
const ADDRESS_MASK: u64 = 0x000F_FFFF_FFFF_F000;
/// Bits of an index.
const INDEX_BITS: u32 = 9;
/// Entries in a table.
const ENTRIES: u64 = 1 << INDEX_BITS;

/// How entries of one kind of tables look.
#[derive(Debug)]
pub struct Format {
    /// An entry with none of these bits is empty.
    pub present: u64,
    /// What an entry that names a table holds besides the address.
    pub table: u64,
    /// Marks a leaf above level 1.
    pub large: u64,
}

/// Page tables of x86-64: Intel SDM volume 3, section 4.5.
pub static X86_64: Format = Format {
    present: 1,
    table: 0x3,
    large: 1 << 7,
};

/// Second-level tables of VT-d: specification, section 9.8.
pub static SECOND_LEVEL: Format = Format {
    present: 0x3,
    table: 0x3,
    large: 1 << 7,
};

/// Where tables come from and go to.
pub trait TableFrames {
    /// A zeroed frame.
    fn take(&mut self) -> Option<Pfn>;
    /// Takes a frame back.
    fn give_back(&mut self, frame: Pfn);
}

/// Why an entry was not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RadixError {
    /// No frame for a table.
    Exhausted,
    /// There is a leaf already, or a table where a large leaf was to go.
    Occupied,
}

/// A leaf that a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The raw entry.
    pub entry: u64,
    /// Its level: 1 for 4 KiB, 2 for 2 MiB, 3 for 1 GiB.
    pub level: u8,
}

impl Leaf {
    /// The physical address that `address`, translated by this leaf, has.
    #[must_use]
    pub fn target(&self, address: u64) -> GuestPhysAddr {
        let offset_mask = (1 << level_shift(self.level)) - 1;
        GuestPhysAddr::new((self.entry & ADDRESS_MASK & !offset_mask) | (address & offset_mask))
    }
}

/// A tree of tables.
#[derive(Debug)]
pub struct Radix {
    root: Pfn,
    levels: u8,
    format: &'static Format,
}

impl Radix {
    /// A tree with the given, zeroed root table.
    #[must_use]
    pub const fn new(root: Pfn, levels: u8, format: &'static Format) -> Self {
        Self {
            root,
            levels,
            format,
        }
    }

    /// The root table.
    #[must_use]
    pub const fn root(&self) -> Pfn {
        self.root
    }

    /// Number of levels.
    #[must_use]
    pub const fn levels(&self) -> u8 {
        self.levels
    }

    /// The leaf that translates `address`.
    #[must_use]
    pub fn lookup(&self, map: &DirectMap, address: u64) -> Option<Leaf> {
        self.slot(map, address).map(|(_, leaf)| leaf)
    }

    /// Sets an empty leaf at `level` (1 or 2), creating the tables above it.
    ///
    /// # Errors
    /// [`RadixError`]; tables created so far stay, empty.
    pub fn set(
        &self,
        map: &DirectMap,
        frames: &mut dyn TableFrames,
        address: u64,
        level: u8,
        entry: u64,
    ) -> Result<(), RadixError> {
        let mut table = self.root;
        for at_level in (level + 1..=self.levels).rev() {
            let slot = slot_of(table, address, at_level);
            let found = map.read_u64(slot);
            table = if !self.is_present(found) {
                let fresh = frames.take().ok_or(RadixError::Exhausted)?;
                map.write_u64(slot, fresh.start().raw() | self.format.table);
                fresh
            } else if found & self.format.large != 0 {
                return Err(RadixError::Occupied);
            } else {
                frame_of(found)
            };
        }
        let slot = slot_of(table, address, level);
        if self.is_present(map.read_u64(slot)) {
            return Err(RadixError::Occupied);
        }
        let large = if level > 1 { self.format.large } else { 0 };
        map.write_u64(slot, entry | large);
        Ok(())
    }

    /// Empties the leaf that translates `address`, whatever its level, and returns it.
    pub fn clear(&self, map: &DirectMap, address: u64) -> Option<Leaf> {
        let (slot, leaf) = self.slot(map, address)?;
        map.write_u64(slot, 0);
        Some(leaf)
    }

    /// Replaces a leaf that is there; returns the old one.
    pub fn replace(&self, map: &DirectMap, address: u64, entry: u64) -> Option<Leaf> {
        let (slot, leaf) = self.slot(map, address)?;
        map.write_u64(slot, entry);
        Some(leaf)
    }

    /// Gives all tables back, the root last. Leaves are forgotten.
    pub fn release(self, map: &DirectMap, frames: &mut dyn TableFrames) {
        self.release_below(map, frames, self.root, self.levels);
    }

    fn release_below(&self, map: &DirectMap, frames: &mut dyn TableFrames, table: Pfn, level: u8) {
        for idx in 0..if level > 1 { ENTRIES } else { 0 } {
            let entry = map.read_u64(GuestPhysAddr::new(table.start().raw() + idx * 8));
            if self.is_present(entry) && entry & self.format.large == 0 {
                self.release_below(map, frames, frame_of(entry), level - 1);
            }
        }
        frames.give_back(table);
    }

    fn slot(&self, map: &DirectMap, address: u64) -> Option<(GuestPhysAddr, Leaf)> {
        let mut table = self.root;
        for level in (1..=self.levels).rev() {
            let slot = slot_of(table, address, level);
            let entry = map.read_u64(slot);
            if !self.is_present(entry) {
                return None;
            }
            if level == 1 || entry & self.format.large != 0 {
                return Some((slot, Leaf { entry, level }));
            }
            table = frame_of(entry);
        }
        None
    }

    fn is_present(&self, entry: u64) -> bool {
        entry & self.format.present != 0
    }
}

fn level_shift(level: u8) -> u32 {
    PAGE_SHIFT + INDEX_BITS * u32::from(level - 1)
}

fn slot_of(table: Pfn, address: u64, level: u8) -> GuestPhysAddr {
    let idx = (address >> level_shift(level)) % ENTRIES;
    GuestPhysAddr::new(table.start().raw() + idx * 8)
}

fn frame_of(entry: u64) -> Pfn {
    Pfn::containing(GuestPhysAddr::new(entry & ADDRESS_MASK))
}
