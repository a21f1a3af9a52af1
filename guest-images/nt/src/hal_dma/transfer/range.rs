//! Which bytes of an MDL chain a transfer names, page by page. Pure: the caller takes a snapshot of the chain first.

use alloc::vec::Vec;

use super::super::from_mdl::MdlSnapshot;
use crate::mdl::{PAGE_BYTES, PAGE_SHIFT, PAGES_LOCKED, PARTIAL, SOURCE_IS_NONPAGED_POOL};
use crate::ntoskrnl::io_mdl::collect;

/// Bits of a page frame number: what x86-64 page tables and VT-d can hold.
const PFN_BITS: u32 = 40;

/// Bytes of a transfer that lie in one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Frame of the page.
    pub pfn: u64,
    /// Offset of the first byte in it.
    pub offset: u64,
    /// Bytes, 1 to a page.
    pub len: u64,
}

/// Why a chain does not hold the bytes that a driver names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// No byte at all.
    Empty,
    /// The first byte lies outside the chain.
    Outside,
    /// The chain ends so many bytes too early.
    TooShort(u64),
    /// The pages of the MDL at this place of the chain are not known: neither locked nor nonpaged.
    NotLocked(usize),
    /// This page frame is no RAM.
    NotRam(u64),
    /// No memory for the list of pieces.
    NoMemory,
}

/// The pieces of `len` bytes at `offset` of a chain, in order.
///
/// # Errors
/// The first reason for which there are none.
pub fn pieces(
    chain: &[MdlSnapshot],
    offset: u64,
    len: u64,
    is_ram: impl Fn(u64) -> bool,
) -> Result<Vec<Piece>, RangeError> {
    if len == 0 {
        return Err(RangeError::Empty);
    }
    let total: u64 = chain.iter().map(|mdl| u64::from(mdl.byte_count)).sum();
    if offset >= total {
        return Err(RangeError::Outside);
    }
    if len > total - offset {
        return Err(RangeError::TooShort(len - (total - offset)));
    }
    let mut found = Vec::new();
    let (mut skip, mut left) = (offset, len);
    for (idx, mdl) in chain.iter().enumerate() {
        let byte_count = u64::from(mdl.byte_count);
        if skip >= byte_count {
            skip -= byte_count;
            continue;
        }
        if left == 0 {
            break;
        }
        if mdl.flags & (PAGES_LOCKED | SOURCE_IS_NONPAGED_POOL | PARTIAL) == 0 {
            return Err(RangeError::NotLocked(idx));
        }
        let here = left.min(byte_count - skip);
        add_pieces(&mut found, mdl, skip, here, &is_ram)?;
        left -= here;
        skip = 0;
    }
    Ok(found)
}

fn add_pieces(
    found: &mut Vec<Piece>,
    mdl: &MdlSnapshot,
    offset: u64,
    len: u64,
    is_ram: &impl Fn(u64) -> bool,
) -> Result<(), RangeError> {
    let mut position = u64::from(mdl.byte_offset) + offset;
    let end = position + len;
    while position < end {
        let page = usize::try_from(position >> PAGE_SHIFT).unwrap_or(usize::MAX);
        // A snapshot has as many frames as its length says, unless the driver changed it meanwhile.
        let pfn = *mdl.pfns.get(page).ok_or(RangeError::Outside)?;
        if pfn >> PFN_BITS != 0 || !is_ram(pfn) {
            return Err(RangeError::NotRam(pfn));
        }
        let in_page = position % PAGE_BYTES;
        let len = (PAGE_BYTES - in_page).min(end - position);
        found.try_reserve(1).map_err(|_| RangeError::NoMemory)?;
        found.push(Piece {
            pfn,
            offset: in_page,
            len,
        });
        position += len;
    }
    Ok(())
}

/// The first `n_pieces` pieces at most, as a list of its own.
#[must_use]
pub fn first_of(pieces: &[Piece], n_pieces: u32) -> Option<Vec<Piece>> {
    let count = usize::try_from(n_pieces)
        .unwrap_or(usize::MAX)
        .min(pieces.len());
    collect(pieces.iter().copied(), count)
}

/// Bytes in all of them.
#[must_use]
pub fn len_of(pieces: &[Piece]) -> u64 {
    pieces.iter().map(|piece| piece.len).sum()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An MDL that starts `byte_offset` bytes into frame `first`.
    pub fn mdl(first: u64, byte_offset: u32, byte_count: u32) -> MdlSnapshot {
        let n_pages = crate::mdl::pages_spanned(byte_offset.into(), byte_count.into());
        MdlSnapshot {
            flags: PAGES_LOCKED,
            byte_offset,
            byte_count,
            mapped_system_va: 0,
            pfns: (first..first + n_pages).collect(),
        }
    }

    fn piece(pfn: u64, offset: u64, len: u64) -> Piece {
        Piece { pfn, offset, len }
    }

    fn check(
        chain: &[MdlSnapshot],
        offset: u64,
        len: u64,
        expected: Result<Vec<Piece>, RangeError>,
    ) {
        assert_eq!(pieces(chain, offset, len, |pfn| pfn != 0x666), expected);
    }

    #[test]
    fn pieces_end_at_pages_and_at_mdls() {
        let chain = [mdl(0x10, 0x800, 0x1000), mdl(0x20, 0x10, 0x20)];
        let whole = vec![
            piece(0x10, 0x800, 0x800),
            piece(0x11, 0, 0x800),
            piece(0x20, 0x10, 0x20),
        ];
        check(&chain, 0, 0x1020, Ok(whole));
        check(
            &chain,
            0x7ff,
            2,
            Ok(vec![piece(0x10, 0xfff, 1), piece(0x11, 0, 1)]),
        );
        check(&chain, 0x1008, 8, Ok(vec![piece(0x20, 0x18, 8)]));
    }

    #[test]
    fn bytes_that_the_chain_lacks_are_named() {
        let chain = [mdl(0x10, 0, 0x1000)];
        check(&chain, 0, 0, Err(RangeError::Empty));
        check(&chain, 0x1000, 1, Err(RangeError::Outside));
        check(&chain, u64::MAX, 1, Err(RangeError::Outside));
        check(&chain, 0xff0, 0x18, Err(RangeError::TooShort(8)));
        check(&[], 0, 1, Err(RangeError::Outside));
    }

    #[test]
    fn only_mdls_that_are_needed_must_be_locked_and_ram() {
        let unlocked = MdlSnapshot {
            flags: 0,
            ..mdl(0x20, 0, 0x1000)
        };
        let chain = [mdl(0x10, 0, 0x1000), unlocked];
        check(&chain, 0, 0x1000, Ok(vec![piece(0x10, 0, 0x1000)]));
        check(&chain, 0, 0x1001, Err(RangeError::NotLocked(1)));
        check(&[mdl(0x666, 0, 1)], 0, 1, Err(RangeError::NotRam(0x666)));
    }
}
