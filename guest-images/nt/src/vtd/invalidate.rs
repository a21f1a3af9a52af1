//! Which invalidations cover a range of pages: exactly, with the fewest.

use crate::memory::PAGE_SHIFT;

/// One page-selective invalidation: 2^`address_mask` pages from `iova` on, naturally aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageBlock {
    pub iova: u64,
    pub address_mask: u8,
}

/// Cuts pages into naturally aligned powers of two. Nothing outside the range is covered: under caching
/// mode that would report a change that its owner forgot to flush.
pub(super) fn blocks(iova: u64, pages: u64, max_mask: u8) -> impl Iterator<Item = PageBlock> {
    let mut at = iova >> PAGE_SHIFT;
    let mut left = pages;
    core::iter::from_fn(move || {
        let fits = left.checked_ilog2()?;
        let mask = at.trailing_zeros().min(fits).min(u32::from(max_mask));
        let block = PageBlock {
            iova: at << PAGE_SHIFT,
            address_mask: mask.to_le_bytes()[0],
        };
        at += 1 << mask;
        left -= 1 << mask;
        Some(block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masks(iova: u64, pages: u64) -> Vec<u8> {
        blocks(iova, pages, 18)
            .map(|block| block.address_mask)
            .collect()
    }

    #[test]
    fn aligned_run_takes_one_and_crooked_run_few() {
        assert_eq!(masks(0x10_0000, 16), [4]);
        assert_eq!(masks(0x10_1000, 16), [0, 1, 2, 3, 0]);
        assert_eq!(masks(0, 1), [0]);
        assert_eq!(masks(0x5000, 0), []);
    }

    proptest! {
        #[test]
        fn blocks_are_aligned_and_cover_the_range_exactly(
            first in 0u64..1 << 36,
            pages in 0u64..5000,
            max_mask in 0u8..20,
        ) {
            let mut expected = first << PAGE_SHIFT;
            for block in blocks(expected, pages, max_mask) {
                let len = 1u64 << (PAGE_SHIFT + u32::from(block.address_mask));
                prop_assert!(block.address_mask <= max_mask);
                prop_assert_eq!(block.iova, expected);
                prop_assert_eq!(block.iova % len, 0);
                expected += len;
            }
            prop_assert_eq!(expected, (first + pages) << PAGE_SHIFT);
        }
    }
}
