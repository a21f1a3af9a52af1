//! Walks over the nodes of a [`crate::MappingTable`]: enter a range, cut a range out, find a leaf.
//!
//! Each walk costs time in proportion to the height and to the leaves that it touches, never to the
//! size of a range. Levels count from 0, whose slots are single pages; `base` is a node's first page.

use dmarig_abi::Iova;

use crate::look_up::PAGE_BITS;
use crate::mapping::{Leaf, Mapping, Removed};
use crate::radix::{LEVEL_BITS, SLOTS, Slot, Table, unpack};

/// The slot of `page` in a node whose slots span `1 << shift` pages.
#[inline]
pub(crate) fn slot_index(page: u64, shift: u32) -> usize {
    usize::try_from(page >> shift).map_or(0, |index| index % SLOTS)
}

#[inline]
pub(crate) fn leaf<B>(
    first_page: u64,
    shift: u32,
    offset_and_permissions: u64,
    backing: B,
) -> Leaf<B> {
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
pub(crate) struct Entry<'a, B> {
    pub first: u64,
    pub last: u64,
    pub mapping: &'a Mapping<B>,
}

/// Enters the part of `entry` that lies in `table`, whose range there is vacant; returns the leaves.
pub(crate) fn insert<B: Copy>(
    table: &mut Table<B>,
    level: u32,
    base: u64,
    entry: &Entry<'_, B>,
) -> usize {
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
pub(crate) struct Cut<'a, B> {
    pub first: u64,
    pub last: u64,
    pub removed: &'a mut dyn FnMut(Removed<B>),
    pub leaves_removed: usize,
    /// Leaves that splitting has made.
    pub leaves_added: usize,
    pub size_pages: u64,
}

impl<B: Copy> Cut<'_, B> {
    /// Removes what lies between `first` and `last` from a node at `level` that starts at `base`.
    pub(crate) fn apply(&mut self, table: &mut Table<B>, level: u32, base: u64) {
        let shift = level * LEVEL_BITS;
        let table_last = base + ((SLOTS as u64) << shift) - 1;
        let first = self.first.max(base);
        let last = self.last.min(table_last);
        let (mut low, mut high) = (slot_index(first, shift), slot_index(last, shift));
        let starts_inside = first != base + ((low as u64) << shift);
        let ends_inside = last != base + ((high as u64) << shift) + (1 << shift) - 1;
        if starts_inside {
            self.apply_inside(table, low, level, base);
            low += 1;
        }
        if ends_inside && low <= high {
            self.apply_inside(table, high, level, base);
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

/// The leaf that covers `page` or, failing that, the next one above it.
pub(crate) fn leaf_from<B: Copy>(
    table: &Table<B>,
    level: u32,
    base: u64,
    page: u64,
) -> Option<Leaf<B>> {
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

/// Heap bytes of a node and all nodes below it.
pub(crate) fn heap_bytes<B>(table: &Table<B>) -> usize {
    let below: usize = table
        .slots()
        .map(|slot| match slot {
            Slot::Leaf { .. } => 0,
            Slot::Table(below) => heap_bytes(below),
        })
        .sum();
    table.heap_bytes() + below
}
