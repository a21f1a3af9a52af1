//! [`MappingTable`] as a supplier of translations.

use dmarig_abi::{Iova, RequesterId};

use crate::fault::{Fault, FaultKind};
use crate::mapping::{Leaf, MappingTable};
use crate::permissions::Access;
use crate::translate::{Segment, Translate, check_wrap};

/// Address bits inside a page.
pub(crate) const PAGE_BITS: u32 = 12;
const IN_PAGE: u64 = (1 << PAGE_BITS) - 1;

impl<B: Copy + PartialEq> MappingTable<B> {
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
        check_wrap(iova, len_bytes)?;
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

impl<B: Copy + PartialEq> Translate for MappingTable<B> {
    type Backing = B;

    fn translate(
        &mut self,
        requester: RequesterId,
        iova: Iova,
        len_bytes: u64,
        access: Access,
    ) -> Result<Segment<B>, Fault> {
        (&*self).translate(requester, iova, len_bytes, access)
    }
}

/// The platform announces to each function its own mappings, so a table has one requester, and does
/// not look at the one that is named. Look-ups change nothing, so a shared table will do.
impl<B: Copy + PartialEq> Translate for &MappingTable<B> {
    type Backing = B;

    fn translate(
        &mut self,
        _requester: RequesterId,
        iova: Iova,
        len_bytes: u64,
        access: Access,
    ) -> Result<Segment<B>, Fault> {
        self.translate_first(iova, len_bytes, access)
    }
}
