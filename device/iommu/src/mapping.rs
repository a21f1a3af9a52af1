//! [`MappingTable`]: IOVA pages to places in a backing, with leaves of 4 KiB, 2 MiB, 1 GiB and more.
//!
//! A mapping is stored in the fewest naturally aligned power-of-512 pieces, so an identity map of all
//! memory is a handful of leaves, and a cut through a large leaf splits it along the cut only. The
//! table's height follows the highest mapped address. Ranges are handled as first and last page,
//! both inclusive, so that an end of 2^64 needs no wider integer.

use dmarig_abi::Iova;
use thiserror::Error;

use crate::look_up::PAGE_BITS;
use crate::permissions::Permissions;
use crate::radix::{LEVEL_BITS, Slot, Table};
use crate::walk::{Cut, Entry, heap_bytes, insert, leaf, leaf_from, slot_index};

/// The unit of mapping in bytes.
pub const PAGE_SIZE_BYTES: u64 = 1 << PAGE_BITS;
/// Largest page number.
const LAST_PAGE: u64 = u64::MAX >> PAGE_BITS;
/// Leaves that a table holds unless told otherwise.
const DEFAULT_MAX_LEAVES: usize = 2 << 20;

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
    /// An empty table with room for about two million leaves.
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
