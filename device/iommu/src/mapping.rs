//! [`MappingTable`]: IOVA pages to places in a backing, with leaves of 4 KiB, 2 MiB, 1 GiB and more.
//!
//! A mapping is stored in the fewest naturally aligned power-of-512 pieces, so an identity map of all
//! memory is a handful of leaves, and a cut through a large leaf splits it along the cut only. The
//! table's height follows the highest mapped address. Ranges are handled as first and last page,
//! both inclusive, so that an end of 2^64 needs no wider integer.

use dmarig_abi::Iova;
use thiserror::Error;

use crate::permissions::Permissions;
use crate::radix::{LEVEL_BITS, SLOTS, Slot, Table, unpack};
use crate::translate::PAGE_BITS;

/// The unit of mapping in bytes.
pub const PAGE_SIZE_BYTES: u64 = 1 << PAGE_BITS;
/// Largest page number.
const LAST_PAGE: u64 = u64::MAX >> PAGE_BITS;
/// Leaves that a table holds unless told otherwise.
const DEFAULT_MAX_LEAVES: usize = 4 << 20;

/// Why a range is not mapped or unmapped; the table is unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MappingError {
    /// The length is zero.
    #[error("the range at IOVA {iova:#x} is empty")]
    Empty {
        /// Start of the range.
        iova: u64,
    },
    /// Start, length or offset is no multiple of the page size.
    #[error(
        "IOVA {iova:#x}, length {len_bytes:#x} and file offset {offset_bytes:#x} must be multiples of {PAGE_SIZE_BYTES:#x}: smaller mappings are not supported"
    )]
    Misaligned {
        /// Start of the range.
        iova: u64,
        /// Length of the range.
        len_bytes: u64,
        /// Offset in the backing; 0 for an unmap.
        offset_bytes: u64,
    },
    /// The range would end beyond 2^64, in the address space or in the backing.
    #[error(
        "IOVA {iova:#x} or file offset {offset_bytes:#x} plus length {len_bytes:#x} passes the end of the 64-bit space"
    )]
    Wrap {
        /// Start of the range.
        iova: u64,
        /// Length of the range.
        len_bytes: u64,
        /// Offset in the backing; 0 for an unmap.
        offset_bytes: u64,
    },
    /// The table is full, and this change would add leaves.
    #[error("the mapping table is full: {leaves} leaves")]
    Full {
        /// Leaves in the table.
        leaves: usize,
    },
}

/// What [`MappingTable::map`] enters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping<B> {
    /// First byte, page aligned.
    pub iova: Iova,
    /// Length in bytes, a multiple of the page size.
    pub len_bytes: u64,
    /// Handle of the backing.
    pub backing: B,
    /// Where in the backing the range starts, page aligned.
    pub offset_bytes: u64,
    /// What the device may do.
    pub permissions: Permissions,
}

/// One leaf that left the table, for the owner of the backings to count its pages down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed<B> {
    /// First byte.
    pub iova: Iova,
    /// Length in pages.
    pub size_pages: u64,
    /// Handle of the backing.
    pub backing: B,
    /// Where in the backing the leaf started, in bytes.
    pub offset_bytes: u64,
    /// What was permitted.
    pub permissions: Permissions,
}

/// All mappings of one requester.
#[derive(Debug)]
pub struct MappingTable<B> {
    root: Table<B>,
    /// Levels below and including the root, 1 to 6.
    height: u32,
    leaves: usize,
    max_leaves: usize,
    epoch: u64,
}

/// A leaf as the walks find it.
#[derive(Clone, Copy)]
pub(crate) struct Leaf<B> {
    pub first_page: u64,
    pub size_pages: u64,
    pub offset_bytes: u64,
    pub permissions: Permissions,
    pub backing: B,
}

impl<B: Copy + PartialEq> Default for MappingTable<B> {
    fn default() -> Self {
        Self::new()
    }
}

impl<B: Copy + PartialEq> MappingTable<B> {
    /// An empty table with room for about four million leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::with_max_leaves(DEFAULT_MAX_LEAVES)
    }

    /// An empty table that takes no further leaves once it holds `max_leaves`; one call may pass
    /// that by the few thousand leaves that a single range needs at its edges.
    #[must_use]
    pub fn with_max_leaves(max_leaves: usize) -> Self {
        Self {
            root: Table::new(),
            height: 1,
            leaves: 0,
            max_leaves,
            epoch: 0,
        }
    }

    /// Counts every change of the table, from 0.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Number of leaves; a mapping of one page is one leaf.
    #[must_use]
    pub fn leaf_count(&self) -> usize {
        self.leaves
    }

    /// Enters a mapping. What stood in its range before is replaced and handed to `removed`.
    ///
    /// # Errors
    /// [`MappingError`]; nothing has changed then.
    pub fn map(
        &mut self,
        mapping: &Mapping<B>,
        mut removed: impl FnMut(Removed<B>),
    ) -> Result<(), MappingError> {
        let (first, last) = page_range(mapping.iova, mapping.len_bytes, mapping.offset_bytes)?;
        if self.leaves >= self.max_leaves {
            return Err(MappingError::Full {
                leaves: self.leaves,
            });
        }
        self.clear(first, last, &mut removed);
        // One page further, so that a range as large as the root becomes one leaf above it.
        self.grow_to(last + 1);
        let entry = Entry {
            first,
            last,
            mapping,
        };
        self.leaves += insert(&mut self.root, self.height - 1, 0, &entry);
        self.epoch += 1;
        Ok(())
    }

    /// Removes every page in a range and hands what was there to `removed`; returns the number of
    /// pages. A range that covers nothing is no error.
    ///
    /// # Errors
    /// [`MappingError`]; nothing has changed then. `Full` can come only if the range cuts through a
    /// large leaf.
    pub fn unmap(
        &mut self,
        iova: Iova,
        len_bytes: u64,
        mut removed: impl FnMut(Removed<B>),
    ) -> Result<u64, MappingError> {
        let (first, last) = page_range(iova, len_bytes, 0)?;
        if self.leaves >= self.max_leaves && (self.cuts_at(first) || self.cuts_at(last + 1)) {
            return Err(MappingError::Full {
                leaves: self.leaves,
            });
        }
        let size_pages = self.clear(first, last, &mut removed);
        if size_pages > 0 {
            self.epoch += 1;
        }
        Ok(size_pages)
    }

    /// Removes everything, as the "all" flag of DMA_UNMAP asks; returns the number of pages.
    pub fn unmap_all(&mut self, mut removed: impl FnMut(Removed<B>)) -> u64 {
        let size_pages = self.clear(0, LAST_PAGE, &mut removed);
        if size_pages > 0 {
            self.epoch += 1;
        }
        size_pages
    }

    /// Heap bytes of the table, for tests and statistics; walks all of it.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        heap_bytes(&self.root)
    }

    /// The leaf that covers a page.
    #[inline]
    pub(crate) fn leaf_at(&self, page: u64) -> Option<Leaf<B>> {
        let mut shift = self.height * LEVEL_BITS;
        if page >> shift != 0 {
            return None;
        }
        let mut table = &self.root;
        loop {
            shift -= LEVEL_BITS;
            match table.get(slot_index(page, shift))? {
                Slot::Table(below) => table = below,
                Slot::Leaf {
                    offset_and_permissions,
                    backing,
                } => {
                    return Some(leaf(
                        page >> shift << shift,
                        shift,
                        *offset_and_permissions,
                        *backing,
                    ));
                }
            }
        }
    }

    /// The leaf that covers a page or, failing that, the next one above it.
    pub(crate) fn leaf_from(&self, page: u64) -> Option<Leaf<B>> {
        if page >> (self.height * LEVEL_BITS) != 0 {
            return None;
        }
        leaf_from(&self.root, self.height - 1, 0, page)
    }

    /// Whether a border in front of `page` runs through a leaf.
    fn cuts_at(&self, page: u64) -> bool {
        self.leaf_at(page)
            .is_some_and(|leaf| leaf.first_page != page)
    }

    fn clear(&mut self, first: u64, last: u64, removed: &mut dyn FnMut(Removed<B>)) -> u64 {
        let capacity = 1_u64 << (self.height * LEVEL_BITS);
        if first >= capacity {
            return 0;
        }
        let mut cut = Cut {
            first,
            last: last.min(capacity - 1),
            removed,
            leaves_removed: 0,
            leaves_added: 0,
            size_pages: 0,
        };
        cut.apply(&mut self.root, self.height - 1, 0);
        self.leaves = self.leaves + cut.leaves_added - cut.leaves_removed;
        let size_pages = cut.size_pages;
        if self.root.is_empty() {
            self.root = Table::new();
            self.height = 1;
        }
        size_pages
    }

    /// Puts levels on top until the table reaches `page`.
    fn grow_to(&mut self, page: u64) {
        while page >> (self.height * LEVEL_BITS) != 0 {
            let below = std::mem::replace(&mut self.root, Table::new());
            if !below.is_empty() {
                self.root.insert(0, Slot::Table(Box::new(below)));
            }
            self.height += 1;
        }
    }
}

/// Checks a range and turns it into its first and last page.
fn page_range(iova: Iova, len_bytes: u64, offset_bytes: u64) -> Result<(u64, u64), MappingError> {
    let iova = iova.raw();
    if len_bytes == 0 {
        return Err(MappingError::Empty { iova });
    }
    if !(iova | len_bytes | offset_bytes).is_multiple_of(PAGE_SIZE_BYTES) {
        return Err(MappingError::Misaligned {
            iova,
            len_bytes,
            offset_bytes,
        });
    }
    match (
        iova.checked_add(len_bytes - 1),
        offset_bytes.checked_add(len_bytes - 1),
    ) {
        (Some(last), Some(_)) => Ok((iova >> PAGE_BITS, last >> PAGE_BITS)),
        _ => Err(MappingError::Wrap {
            iova,
            len_bytes,
            offset_bytes,
        }),
    }
}

/// The slot of `page` in a node whose slots span `1 << shift` pages.
#[inline]
fn slot_index(page: u64, shift: u32) -> usize {
    usize::try_from(page >> shift).map_or(0, |index| index % SLOTS)
}

#[inline]
fn leaf<B>(first_page: u64, shift: u32, offset_and_permissions: u64, backing: B) -> Leaf<B> {
    let (offset_bytes, permissions) = unpack(offset_and_permissions);
    Leaf {
        first_page,
        size_pages: 1 << shift,
        offset_bytes,
        permissions,
        backing,
    }
}

/// A mapping with its page range.
struct Entry<'a, B> {
    first: u64,
    last: u64,
    mapping: &'a Mapping<B>,
}

/// Enters the part of `entry` that lies in `table`, whose range there is vacant; returns the leaves.
fn insert<B: Copy>(table: &mut Table<B>, level: u32, base: u64, entry: &Entry<'_, B>) -> usize {
    let shift = level * LEVEL_BITS;
    let table_last = base + ((SLOTS as u64) << shift) - 1;
    let first = entry.first.max(base);
    let last = entry.last.min(table_last);
    let mut leaves = 0;
    for index in slot_index(first, shift)..=slot_index(last, shift) {
        let slot_first = base + ((index as u64) << shift);
        let slot_last = slot_first + (1 << shift) - 1;
        if first <= slot_first && slot_last <= last {
            let offset = entry.mapping.offset_bytes + ((slot_first - entry.first) << PAGE_BITS);
            let slot = Slot::leaf(offset, entry.mapping.permissions, entry.mapping.backing);
            table.insert(index, slot);
            leaves += 1;
            continue;
        }
        if table.get(index).is_none() {
            table.insert(index, Slot::Table(Box::new(Table::new())));
        }
        if let Some(Slot::Table(below)) = table.get_mut(index) {
            leaves += insert(below, level - 1, slot_first, entry);
        }
    }
    leaves
}

/// One removal on its way through the table.
struct Cut<'a, B> {
    first: u64,
    last: u64,
    removed: &'a mut dyn FnMut(Removed<B>),
    leaves_removed: usize,
    leaves_added: usize,
    size_pages: u64,
}

impl<B: Copy> Cut<'_, B> {
    /// Removes what lies between `first` and `last` from a node at `level` that starts at `base`.
    fn apply(&mut self, table: &mut Table<B>, level: u32, base: u64) {
        let shift = level * LEVEL_BITS;
        let table_last = base + ((SLOTS as u64) << shift) - 1;
        let first = self.first.max(base);
        let last = self.last.min(table_last);
        let (mut low, mut high) = (slot_index(first, shift), slot_index(last, shift));
        let starts_inside = first != base + ((low as u64) << shift);
        let ends_inside = last != base + ((high as u64) << shift) + (1 << shift) - 1;
        if ends_inside && !(starts_inside && low == high) {
            self.apply_inside(table, high, level, base);
        }
        if starts_inside {
            self.apply_inside(table, low, level, base);
            low += 1;
        }
        if ends_inside {
            if high == 0 {
                return;
            }
            high -= 1;
        }
        if low <= high {
            table.drain(low, high, |index, slot| {
                self.take(slot, shift, base + ((index as u64) << shift));
            });
        }
    }

    /// Cuts into one slot: splits it if it is a leaf, and drops it if nothing is left.
    fn apply_inside(&mut self, table: &mut Table<B>, index: usize, level: u32, base: u64) {
        let shift = level * LEVEL_BITS;
        let Some(slot) = table.get_mut(index) else {
            return;
        };
        if let Slot::Leaf {
            offset_and_permissions,
            backing,
        } = *slot
        {
            *slot = split(offset_and_permissions, backing, shift - LEVEL_BITS);
            self.leaves_added += SLOTS - 1;
        }
        let Slot::Table(below) = slot else { return };
        self.apply(below, level - 1, base + ((index as u64) << shift));
        if below.is_empty() {
            table.drain(index, index, |_, _| {});
        }
    }

    /// Reports all leaves of a slot that has left its node.
    fn take(&mut self, slot: Slot<B>, shift: u32, first_page: u64) {
        match slot {
            Slot::Leaf {
                offset_and_permissions,
                backing,
            } => {
                let leaf = leaf(first_page, shift, offset_and_permissions, backing);
                self.leaves_removed += 1;
                self.size_pages += leaf.size_pages;
                (self.removed)(Removed {
                    iova: Iova::new(first_page << PAGE_BITS),
                    size_pages: leaf.size_pages,
                    backing,
                    offset_bytes: leaf.offset_bytes,
                    permissions: leaf.permissions,
                });
            }
            Slot::Table(mut below) => {
                let shift = shift - LEVEL_BITS;
                below.drain(0, SLOTS - 1, |index, slot| {
                    self.take(slot, shift, first_page + ((index as u64) << shift));
                });
            }
        }
    }
}

/// A leaf as a table of 512 leaves that span `1 << shift` pages each.
fn split<B: Copy>(offset_and_permissions: u64, backing: B, shift: u32) -> Slot<B> {
    let mut table = Table::new();
    for index in 0..SLOTS {
        let step_bytes = (index as u64) << (shift + PAGE_BITS);
        table.insert(
            index,
            Slot::Leaf {
                offset_and_permissions: offset_and_permissions + step_bytes,
                backing,
            },
        );
    }
    Slot::Table(Box::new(table))
}

fn leaf_from<B: Copy>(table: &Table<B>, level: u32, base: u64, page: u64) -> Option<Leaf<B>> {
    let shift = level * LEVEL_BITS;
    let mut from = if page > base {
        slot_index(page, shift)
    } else {
        0
    };
    loop {
        let index = table.next_occupied(from)?;
        let slot_first = base + ((index as u64) << shift);
        match table.get(index)? {
            Slot::Leaf {
                offset_and_permissions,
                backing,
            } => return Some(leaf(slot_first, shift, *offset_and_permissions, *backing)),
            Slot::Table(below) => {
                if let Some(leaf) = leaf_from(below, level - 1, slot_first, page) {
                    return Some(leaf);
                }
            }
        }
        from = index + 1;
    }
}

fn heap_bytes<B>(table: &Table<B>) -> usize {
    let below: usize = table
        .slots()
        .iter()
        .map(|slot| match slot {
            Slot::Leaf { .. } => 0,
            Slot::Table(below) => heap_bytes(below),
        })
        .sum();
    table.heap_bytes() + below
}
