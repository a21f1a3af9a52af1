//! [`MappingTable::translate`]: an access as [`Segment`]s of backings, up to the first [`Fault`].

use std::iter::FusedIterator;

use dmarig_abi::Iova;

use crate::fault::{Fault, FaultKind};
use crate::mapping::{Leaf, MappingTable};
use crate::permissions::Access;

/// Address bits inside a page.
pub(crate) const PAGE_BITS: u32 = 12;
const IN_PAGE: u64 = (1 << PAGE_BITS) - 1;

/// A piece of an access that is contiguous in one backing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment<B> {
    /// First byte of the piece.
    pub iova: Iova,
    /// Length in bytes, 1 or more.
    pub len_bytes: u64,
    /// Handle of the backing.
    pub backing: B,
    /// Where in the backing the piece starts, in bytes.
    pub offset_bytes: u64,
}

impl<B: Copy + PartialEq> MappingTable<B> {
    /// Translates an access piece by piece: segments in ascending order, then, if not all of it is
    /// permitted, one fault, then nothing. Neighbors that are contiguous in a backing come as one.
    pub fn translate(&self, iova: Iova, len_bytes: u64, access: Access) -> Translation<'_, B> {
        Translation {
            table: self,
            next: iova,
            remaining_bytes: len_bytes,
            access,
        }
    }

    /// Translates the first piece of an access: as much as is contiguous in one backing.
    ///
    /// # Errors
    /// The [`Fault`] of its first byte, or of the whole access if that wraps round 2^64.
    #[inline]
    pub fn translate_first(
        &self,
        iova: Iova,
        len_bytes: u64,
        access: Access,
    ) -> Result<Segment<B>, Fault> {
        let start = iova.raw();
        if start.checked_add(len_bytes.saturating_sub(1)).is_none() {
            return Err(Fault {
                iova,
                kind: FaultKind::Wrap,
            });
        }
        let leaf = self.permitted_leaf(iova, access)?;
        let into_leaf = start - (leaf.first_page << PAGE_BITS);
        let mut segment = Segment {
            iova,
            len_bytes: len_bytes.min(leaf.size_bytes() - into_leaf),
            backing: leaf.backing,
            offset_bytes: leaf.offset_bytes + into_leaf,
        };
        while segment.len_bytes < len_bytes && self.extend(&mut segment, len_bytes, access) {}
        Ok(segment)
    }

    /// Adds the next leaf to a segment that ends at a leaf's end, if it continues there.
    fn extend(&self, segment: &mut Segment<B>, len_bytes: u64, access: Access) -> bool {
        let Some(next) = segment.iova.checked_add(segment.len_bytes) else {
            return false;
        };
        debug_assert_eq!(next.raw() & IN_PAGE, 0);
        let Ok(leaf) = self.permitted_leaf(next, access) else {
            return false;
        };
        // A neighbor that continues in the backing need not start at this very page if the mapping
        // behind it is the same; in a valid table it always does, so the start is compared.
        let continues = leaf.first_page << PAGE_BITS == next.raw()
            && leaf.backing == segment.backing
            && Some(leaf.offset_bytes) == segment.offset_bytes.checked_add(segment.len_bytes);
        if continues {
            segment.len_bytes += leaf.size_bytes().min(len_bytes - segment.len_bytes);
        }
        continues
    }

    #[inline]
    fn permitted_leaf(&self, iova: Iova, access: Access) -> Result<Leaf<B>, Fault> {
        let kind = match self.leaf_at(iova.raw() >> PAGE_BITS) {
            Some(leaf) if leaf.permissions.allows(access) => return Ok(leaf),
            Some(_) => FaultKind::Permission,
            None => FaultKind::Unmapped,
        };
        Err(Fault { iova, kind })
    }
}

impl<B> Leaf<B> {
    fn size_bytes(&self) -> u64 {
        self.size_pages << PAGE_BITS
    }
}

/// Iterator over the pieces of one access.
#[derive(Debug)]
pub struct Translation<'a, B> {
    table: &'a MappingTable<B>,
    next: Iova,
    remaining_bytes: u64,
    access: Access,
}

impl<B: Copy + PartialEq> Iterator for Translation<'_, B> {
    type Item = Result<Segment<B>, Fault>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining_bytes == 0 {
            return None;
        }
        let result = self
            .table
            .translate_first(self.next, self.remaining_bytes, self.access);
        match &result {
            Ok(segment) => {
                self.remaining_bytes -= segment.len_bytes;
                // Only a segment that ends at 2^64 has no next byte, and nothing remains then.
                self.next = self.next.checked_add(segment.len_bytes).unwrap_or_default();
            }
            Err(_) => self.remaining_bytes = 0,
        }
        Some(result)
    }
}

impl<B: Copy + PartialEq> FusedIterator for Translation<'_, B> {}
