//! The pure part of the verdict: comparing mapping sets, patterns and results.

use std::collections::BTreeMap;

use dmarig_abi::pattern::fill_pattern;

use crate::rig::{Mapping, MappingView};

/// Page size of guest and IOMMU in bytes.
pub const PAGE_SIZE: u64 = 0x1000;

/// One page of a mapping set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappedPage {
    /// Where it leads, if the device can know.
    pub guest_phys: Option<u64>,
    /// Whether the device may write.
    pub writable: bool,
}

/// Looks one page up.
pub fn translate(view: &MappingView, page_iova: u64) -> Option<MappedPage> {
    let index = view
        .mappings
        .partition_point(|mapping| mapping.iova.raw() <= page_iova);
    let mapping = view.mappings.get(index.checked_sub(1)?)?;
    let offset = page_iova.checked_sub(mapping.iova.raw())?;
    (offset < mapping.size_bytes).then(|| MappedPage {
        guest_phys: mapping.guest_phys.map(|base| base + offset),
        writable: mapping.writable,
    })
}

/// Pages of `after` that `before` lacks or has otherwise, and the reverse, in ascending order. Ranges
/// that both sets hold alike cost nothing, so an identity map of all memory is fine.
pub fn difference(before: &MappingView, after: &MappingView) -> Vec<Change> {
    let mut changes = BTreeMap::new();
    for (from, to, added) in [(before, after, true), (after, before, false)] {
        for mapping in &to.mappings {
            if holds(from, mapping) {
                continue;
            }
            for index in 0..mapping.size_bytes / PAGE_SIZE {
                let page = mapping.iova.raw() + index * PAGE_SIZE;
                if translate(from, page) != translate(to, page) {
                    changes.insert((page, added), Change { page, added });
                }
            }
        }
    }
    changes.into_values().collect()
}

/// Whether a set holds a run just like this one. By search: sets of 10,000 buffers are compared often.
fn holds(view: &MappingView, mapping: &Mapping) -> bool {
    view.mappings
        .binary_search_by_key(&mapping.iova.raw(), |other| other.iova.raw())
        .is_ok_and(|index| view.mappings[index] == *mapping)
}

/// One page that differs between two mapping sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// The page's IOVA.
    pub page: u64,
    /// Whether it is in the later set (a page that changed its target is in both lists).
    pub added: bool,
}

/// Ranges of pages in words: `0x1000..0x3000, 0x8000..0x9000`.
pub fn describe_pages(pages: &[u64]) -> String {
    const MOST_RANGES: usize = 8;
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for &page in pages {
        match ranges.last_mut() {
            Some((_, end)) if *end == page => *end += PAGE_SIZE,
            _ => ranges.push((page, page + PAGE_SIZE)),
        }
    }
    let mut words: Vec<String> = ranges
        .iter()
        .take(MOST_RANGES)
        .map(|(start, end)| format!("{start:#x}..{end:#x}"))
        .collect();
    if ranges.len() > MOST_RANGES {
        words.push(format!("and {} ranges more", ranges.len() - MOST_RANGES));
    }
    if words.is_empty() {
        "nothing".to_owned()
    } else {
        words.join(", ")
    }
}

/// CRC-32C of `length_bytes` pattern bytes, computed by the harness itself.
pub fn pattern_crc(seed: u64, length_bytes: u64) -> u32 {
    pattern_crc_at(seed, 0, length_bytes)
}

/// The same from a byte of the pattern on.
pub fn pattern_crc_at(seed: u64, offset: u64, length_bytes: u64) -> u32 {
    let mut crc = 0;
    let mut chunk = [0_u8; 4096];
    let mut position = 0;
    while position < length_bytes {
        let n = usize::try_from((length_bytes - position).min(4096)).expect("at most 4096");
        fill_pattern(seed, offset + position, &mut chunk[..n]);
        crc = crc32c::crc32c_append(crc, &chunk[..n]);
        position += n as u64;
    }
    crc
}

/// Whether all frames follow one another.
pub fn is_contiguous(pfns: &[u64]) -> bool {
    pfns.windows(2)
        .all(|pair| pair[0].checked_add(1) == Some(pair[1]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use dmarig_abi::Iova;

    fn view(ranges: &[(u64, u64, u64)]) -> MappingView {
        MappingView {
            epoch: 0,
            mappings: ranges
                .iter()
                .map(|&(iova, size_bytes, phys)| Mapping {
                    iova: Iova::new(iova),
                    size_bytes,
                    writable: true,
                    guest_phys: Some(phys),
                })
                .collect(),
        }
    }

    #[test]
    fn translate_finds_the_page_inside_its_run_only() {
        let view = view(&[(0x4000, 0x2000, 0x9_0000)]);
        assert_eq!(translate(&view, 0x3000), None);
        assert_eq!(
            translate(&view, 0x5000).and_then(|page| page.guest_phys),
            Some(0x9_1000)
        );
        assert_eq!(translate(&view, 0x6000), None);
    }

    #[test]
    fn difference_ignores_how_runs_are_cut() {
        let whole = view(&[(0x4000, 0x4000, 0x9_0000)]);
        let cut = view(&[(0x4000, 0x1000, 0x9_0000), (0x5000, 0x3000, 0x9_1000)]);
        assert_eq!(difference(&whole, &cut), []);
    }

    #[test]
    fn difference_names_added_removed_and_changed_pages() {
        let before = view(&[(0x1000, 0x1000, 0x1000), (0x3000, 0x1000, 0x3000)]);
        let after = view(&[(0x1000, 0x1000, 0x7000), (0x8000, 0x1000, 0x8000)]);
        let pages: Vec<_> = difference(&before, &after)
            .iter()
            .map(|change| (change.page, change.added))
            .collect();
        assert_eq!(
            pages,
            [
                (0x1000, false),
                (0x1000, true),
                (0x3000, false),
                (0x8000, true)
            ]
        );
    }

    #[test]
    fn pages_are_described_as_ranges() {
        assert_eq!(
            describe_pages(&[0x1000, 0x2000, 0x8000]),
            "0x1000..0x3000, 0x8000..0x9000"
        );
        assert_eq!(describe_pages(&[]), "nothing");
    }

    #[test]
    fn contiguity_sees_a_gap_and_a_step_back() {
        assert!(is_contiguous(&[5, 6, 7]));
        assert!(!is_contiguous(&[5, 7]));
        assert!(!is_contiguous(&[6, 5]));
    }
}
