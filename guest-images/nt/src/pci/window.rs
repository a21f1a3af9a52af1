//! [`Window`]: a range of addresses that is handed out in aligned powers of two.

use alloc::collections::BTreeMap;
use core::ops::Range;

/// Addresses that a bus decodes. The search goes on where the last one ended, so that a released address
/// comes back as late as possible: a driver that still uses it is found out.
#[derive(Debug)]
pub(super) struct Window {
    range: Range<u64>,
    cursor: u64,
    /// Start to length.
    used: BTreeMap<u64, u64>,
}

impl Window {
    pub fn new(range: Range<u64>) -> Self {
        Self {
            cursor: range.start,
            range,
            used: BTreeMap::new(),
        }
    }

    /// What it spans.
    pub fn range(&self) -> Range<u64> {
        self.range.clone()
    }

    /// Takes `len_bytes`, a power of two, at a multiple of itself.
    pub fn allocate(&mut self, len_bytes: u64) -> Option<u64> {
        let start = self
            .gap(self.cursor, len_bytes)
            .or_else(|| self.gap(self.range.start, len_bytes))?;
        self.used.insert(start, len_bytes);
        self.cursor = start + len_bytes;
        Some(start)
    }

    /// Gives back what starts at `start`.
    pub fn release(&mut self, start: u64) {
        self.used.remove(&start);
    }

    fn gap(&self, from: u64, len_bytes: u64) -> Option<u64> {
        let mut candidate = align_up(from, len_bytes)?;
        let before = self.used.range(..candidate).next_back();
        // Aligning may jump over whole pieces, so that each is looked at by its end.
        for (start, len) in before.into_iter().chain(self.used.range(candidate..)) {
            if *start >= candidate.checked_add(len_bytes)? {
                break;
            }
            candidate = align_up(candidate.max(start + len), len_bytes)?;
        }
        let end = candidate.checked_add(len_bytes)?;
        (end <= self.range.end).then_some(candidate)
    }
}

fn align_up(value: u64, alignment: u64) -> Option<u64> {
    value.checked_next_multiple_of(alignment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn released_address_comes_back_last() {
        let mut window = Window::new(0x1000..0x5000);
        assert_eq!(window.allocate(0x1000), Some(0x1000));
        assert_eq!(window.allocate(0x1000), Some(0x2000));
        window.release(0x1000);
        assert_eq!(window.allocate(0x1000), Some(0x3000));
        assert_eq!(window.allocate(0x1000), Some(0x4000));
        assert_eq!(window.allocate(0x1000), Some(0x1000), "wrapped");
        assert_eq!(window.allocate(0x1000), None);
    }

    #[test]
    fn absurd_lengths_find_no_room() {
        let mut window = Window::new(0x1000..0x5000);
        for shift in 15..64 {
            assert_eq!(window.allocate(1 << shift), None, "2^{shift}");
        }
    }

    proptest! {
        #[test]
        fn pieces_are_aligned_disjoint_and_inside(
            steps in prop::collection::vec((0u32..8, any::<bool>(), any::<prop::sample::Index>()), 1..80),
        ) {
            let range = 0xC000_3000u64..0xC004_5000;
            let mut window = Window::new(range.clone());
            let mut live: Vec<(u64, u64)> = Vec::new();
            for (shift, is_release, which) in steps {
                if is_release && !live.is_empty() {
                    let (start, _) = live.swap_remove(which.index(live.len()));
                    window.release(start);
                    continue;
                }
                let len = 0x1000u64 << shift;
                let Some(start) = window.allocate(len) else {
                    // No room: a scan of every aligned place agrees.
                    let has_room = (range.start.next_multiple_of(len)..)
                        .step_by(usize::try_from(len).expect("small"))
                        .take_while(|start| start + len <= range.end)
                        .any(|start| live.iter().all(|(at, size)| at + size <= start || start + len <= *at));
                    prop_assert!(!has_room);
                    continue;
                };
                prop_assert_eq!(start % len, 0);
                prop_assert!(range.start <= start && start + len <= range.end);
                for (at, size) in &live {
                    prop_assert!(at + size <= start || start + len <= *at);
                }
                live.push((start, len));
            }
        }
    }
}
