//! [`MappingTable::runs`]: the mappings as a person or a test wants to see them.

use std::iter::FusedIterator;

use dmarig_abi::Iova;

use crate::look_up::PAGE_BITS;
use crate::mapping::{Leaf, MappingTable};
use crate::permissions::Permissions;

/// Neighboring pages that continue in one backing with the same permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run<B> {
    /// First byte.
    pub iova: Iova,
    /// Length in pages; in bytes it might not fit 64 bits.
    pub size_pages: u64,
    /// Handle of the backing.
    pub backing: B,
    /// Where in the backing the run starts, in bytes.
    pub offset_bytes: u64,
    /// What the device may do.
    pub permissions: Permissions,
}

impl<B: Copy + PartialEq> MappingTable<B> {
    /// Lists the mappings in ascending order, neighbors joined, beginning with the one that covers
    /// `start` (from its page of `start` on) or the next one above. For a page of a listing take as
    /// many as it holds and go on at the end of the last one.
    pub fn runs(&self, start: Iova) -> Runs<'_, B> {
        Runs {
            table: self,
            next_page: Some(start.raw() >> PAGE_BITS),
        }
    }
}

/// Iterator over the runs of a table.
#[derive(Debug)]
pub struct Runs<'a, B> {
    table: &'a MappingTable<B>,
    /// `None` once the end of the address space is reached.
    next_page: Option<u64>,
}

impl<B: Copy + PartialEq> Iterator for Runs<'_, B> {
    type Item = Run<B>;

    fn next(&mut self) -> Option<Run<B>> {
        let from = self.next_page?;
        let Some(leaf) = self.table.leaf_from(from) else {
            self.next_page = None;
            return None;
        };
        let skipped_pages = from.saturating_sub(leaf.first_page);
        let mut run = Run {
            iova: Iova::new((leaf.first_page + skipped_pages) << PAGE_BITS),
            size_pages: leaf.size_pages - skipped_pages,
            backing: leaf.backing,
            offset_bytes: leaf.offset_bytes + (skipped_pages << PAGE_BITS),
            permissions: leaf.permissions,
        };
        while let Some(next) = self.table.leaf_at(run.end_page()) {
            if !run.continues_in(&next) {
                break;
            }
            run.size_pages += next.size_pages;
        }
        self.next_page = Some(run.end_page()).filter(|page| *page <= u64::MAX >> PAGE_BITS);
        Some(run)
    }
}

impl<B: Copy + PartialEq> FusedIterator for Runs<'_, B> {}

impl<B: PartialEq> Run<B> {
    /// The page behind the last one; one past the largest page number at the end of the space.
    fn end_page(&self) -> u64 {
        (self.iova.raw() >> PAGE_BITS) + self.size_pages
    }

    fn continues_in(&self, next: &Leaf<B>) -> bool {
        // 128 bits: a run may end at the very end of its backing's offsets.
        let end_offset = u128::from(self.offset_bytes) + (u128::from(self.size_pages) << PAGE_BITS);
        next.backing == self.backing
            && next.permissions == self.permissions
            && u128::from(next.offset_bytes) == end_offset
    }
}
