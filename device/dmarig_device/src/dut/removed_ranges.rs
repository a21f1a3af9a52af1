//! The ranges that an unmap took away, for the ledger.

use iommu::{PAGE_SIZE_BYTES, Removed};

use super::memory::Backing;
use crate::ledger::IovaRange;

/// Most separate ranges that one unmap reports. Of a wilder one the last range reaches over the holes to
/// its end: nothing was mapped in them, so nobody is accused wrongly.
const MAX_REMOVED_RANGES: usize = 1024;

/// Appends a removed leaf to the ranges, joined to the last one where it continues it, or where there are
/// too many. Leaves come in ascending order.
pub(super) fn note(ranges: &mut Vec<IovaRange>, removed: &Removed<Backing>) {
    let len_bytes = removed.size_pages.saturating_mul(PAGE_SIZE_BYTES);
    let is_full = ranges.len() >= MAX_REMOVED_RANGES;
    if let Some(last) = ranges.last_mut()
        && let Some(distance_bytes) = removed.iova.checked_offset_from(last.start())
        && (is_full || distance_bytes == last.len_bytes())
        && let Some(joined) = distance_bytes.checked_add(len_bytes)
    {
        *last = IovaRange::new(last.start(), joined);
        return;
    }
    ranges.push(IovaRange::new(removed.iova, len_bytes));
}

#[cfg(test)]
mod tests {
    use dmarig_abi::Iova;

    use super::*;

    fn ranges_of(leaves: impl Iterator<Item = u64>) -> Vec<IovaRange> {
        let mut ranges = Vec::new();
        for page in leaves {
            let removed = Removed {
                iova: Iova::new(page * PAGE_SIZE_BYTES),
                size_pages: 1,
                backing: None,
                offset_bytes: 0,
                permissions: iommu::Permissions::ReadWrite,
            };
            note(&mut ranges, &removed);
        }
        ranges
    }

    #[test]
    fn leaves_that_touch_are_one_range() {
        let ranges = ranges_of([1, 2, 3, 7].into_iter());
        let expected = [
            IovaRange::new(Iova::new(0x1000), 0x3000),
            IovaRange::new(Iova::new(0x7000), 0x1000),
        ];
        assert_eq!(ranges, expected);
    }

    #[test]
    fn ranges_beyond_the_limit_are_told_as_one_that_reaches_to_the_end() {
        let n_leaves = 3 * MAX_REMOVED_RANGES as u64;
        let ranges = ranges_of((0..n_leaves).map(|number| 2 * number));
        assert_eq!(ranges.len(), MAX_REMOVED_RANGES);
        let last = ranges.last().expect("many");
        let end = last.start().raw() + last.len_bytes();
        assert_eq!(end, (2 * (n_leaves - 1) + 1) * PAGE_SIZE_BYTES);
    }
}
