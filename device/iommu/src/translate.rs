//! [`Translate`]: the one question that every supplier of translations answers.

use std::iter::FusedIterator;

use dmarig_abi::{Iova, RequesterId};

use crate::fault::{Fault, FaultKind};
use crate::permissions::Access;

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

/// Leads the accesses of requesters to memory.
pub trait Translate {
    /// What a segment lies in: a handle that means something to the owner of the memory.
    type Backing: Copy + PartialEq;

    /// Translates the first piece of an access of `len_bytes`, 1 or more, from `iova` on: the piece is
    /// contiguous in one backing, and as long as the supplier finds cheap to tell.
    ///
    /// # Errors
    /// The [`Fault`] of the access's first byte, or of the whole access if that wraps round 2^64.
    fn translate(
        &mut self,
        requester: RequesterId,
        iova: Iova,
        len_bytes: u64,
        access: Access,
    ) -> Result<Segment<Self::Backing>, Fault>;

    /// Translates an access piece by piece: segments in ascending order, then, if not all of it is
    /// permitted, one fault, then nothing.
    fn segments(
        &mut self,
        requester: RequesterId,
        iova: Iova,
        len_bytes: u64,
        access: Access,
    ) -> Segments<'_, Self> {
        Segments {
            supplier: self,
            requester,
            next: iova,
            remaining_bytes: len_bytes,
            access,
        }
    }
}

/// Iterator over the pieces of one access.
#[derive(Debug)]
pub struct Segments<'a, T: ?Sized> {
    supplier: &'a mut T,
    requester: RequesterId,
    next: Iova,
    remaining_bytes: u64,
    access: Access,
}

impl<T: Translate + ?Sized> Iterator for Segments<'_, T> {
    type Item = Result<Segment<T::Backing>, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.remaining_bytes == 0 {
            return None;
        }
        let (iova, len_bytes) = (self.next, self.remaining_bytes);
        let result = self
            .supplier
            .translate(self.requester, iova, len_bytes, self.access);
        match &result {
            Ok(segment) => {
                self.remaining_bytes -= segment.len_bytes;
                // Only a segment that ends at 2^64 has no next byte, and nothing remains then.
                self.next = iova.checked_add(segment.len_bytes).unwrap_or_default();
            }
            Err(_) => self.remaining_bytes = 0,
        }
        Some(result)
    }
}

impl<T: Translate + ?Sized> FusedIterator for Segments<'_, T> {}

/// Refuses an access that passes 2^64 - 1.
pub(crate) fn check_wrap(iova: Iova, len_bytes: u64) -> Result<(), Fault> {
    match iova.checked_add(len_bytes.saturating_sub(1)) {
        Some(_) => Ok(()),
        None => Err(Fault {
            iova,
            kind: FaultKind::Wrap,
        }),
    }
}
