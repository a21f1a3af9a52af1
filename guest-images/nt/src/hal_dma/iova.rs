//! Which logical addresses (IOVAs) a device gets, with DMA remapping on.
//!
//! Strict on purpose, so that drivers that mix up addresses are caught: an IOVA never equals a physical
//! address of RAM (unless an adapter's width leaves nothing else, and then never its own page's); wide
//! adapters get addresses above 4 GiB whose low 32 bits are mapped nowhere; ranges keep a gap; a freed
//! range is not given out again soon.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::ops::Range;

use super::bounds::Bounds;
use crate::mdl::{PAGE_BYTES, PAGE_SHIFT};

/// Where wide adapters start: above 4 GiB, with an odd page number so that no alignment beyond a page
/// comes for free.
const HIGH_START: u64 = 0x12_3456_7000;
const FOUR_GIB: u64 = 1 << 32;
/// Unmapped bytes behind each range.
const GAP_BYTES: u64 = 16 * PAGE_BYTES;
/// Freed ranges that wait before they may be used again.
const QUARANTINE_RANGES: usize = 4096;
/// Address writes here are interrupts on x86, whatever the tables say.
const INTERRUPT_WINDOW: Range<u64> = 0xfee0_0000..0xfef0_0000;
/// Candidates tried for one search; each one steps over a whole range in the way. Interrupts are off meanwhile.
const MAX_CANDIDATES: usize = 4 * QUARANTINE_RANGES;

/// What a buffer needs.
#[derive(Clone, Copy, Debug)]
pub struct IovaRequest<'call> {
    /// The pages behind it.
    pub pfns: &'call [u64],
    /// Alignment of the start, a power of two of at least a page.
    pub align_bytes: u64,
    /// Where it must lie.
    pub bounds: Bounds,
}

/// The IOVA space of one device.
#[derive(Debug)]
pub struct IovaSpace {
    /// Start to end of every range in use or in quarantine.
    ranges: BTreeMap<u64, u64>,
    quarantine: VecDeque<u64>,
    physical: Vec<Range<u64>>,
    /// Last address that the translation tables reach.
    reach: u64,
    next_high: u64,
    next_low: u64,
}

/// How strict one search is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strictness {
    /// Clear of physical memory and of other ranges' low halves.
    Full,
    /// Clear of the request's own pages, with a gap.
    OwnPages,
    /// As `OwnPages`, next to other ranges if it must be: tight limits that can be kept are kept.
    NoGap,
}

impl IovaSpace {
    /// An empty space of `width_bits`-wide tables on a machine with this physical memory.
    #[must_use]
    pub fn new(width_bits: u32, physical: Vec<Range<u64>>) -> Self {
        Self {
            ranges: BTreeMap::new(),
            quarantine: VecDeque::new(),
            physical,
            reach: Bounds::of_width(width_bits).maximum,
            next_high: HIGH_START,
            next_low: PAGE_BYTES,
        }
    }

    /// Reserves a range; `None` if the bounds leave no room.
    pub fn allocate(&mut self, request: IovaRequest<'_>) -> Option<u64> {
        let len = (request.pfns.len() as u64)
            .checked_mul(PAGE_BYTES)
            .filter(|len| *len > 0)?;
        let bounds = request.bounds.within(Bounds {
            minimum: PAGE_BYTES,
            maximum: self.reach,
        });
        if !bounds.have_room(len) {
            return None;
        }
        loop {
            if let Some(start) = self.search(bounds, len, request) {
                self.ranges.insert(start, start + len);
                self.advance(start + len + GAP_BYTES);
                return Some(start);
            }
            // Nothing left but what is in quarantine.
            if !self.evict(bounds) {
                return None;
            }
        }
    }

    /// Gives up the older half of the quarantined ranges inside `bounds`; `false` if there are
    /// none. Halves, for each time a whole search follows.
    fn evict(&mut self, bounds: Bounds) -> bool {
        let Self {
            ranges, quarantine, ..
        } = self;
        let is_hit = |start: &u64| {
            ranges
                .get(start)
                .is_some_and(|end| *start <= bounds.maximum && *end > bounds.minimum)
        };
        let n_hits = quarantine.iter().filter(|start| is_hit(start)).count();
        let mut n_left = n_hits.div_ceil(2);
        let mut evicted = VecDeque::new();
        quarantine.retain(|start| {
            let is_evicted = n_left > 0 && is_hit(start);
            if is_evicted {
                n_left -= 1;
                evicted.push_back(*start);
            }
            !is_evicted
        });
        for start in &evicted {
            ranges.remove(start);
        }
        n_hits > 0
    }

    /// Puts a range into quarantine. The caller has unmapped it.
    pub fn free(&mut self, start: u64) {
        self.quarantine.push_back(start);
        if self.quarantine.len() > QUARANTINE_RANGES
            && let Some(oldest) = self.quarantine.pop_front()
        {
            self.ranges.remove(&oldest);
        }
    }

    fn search(&self, bounds: Bounds, len: u64, request: IovaRequest<'_>) -> Option<u64> {
        let high = Bounds {
            minimum: bounds.minimum.max(FOUR_GIB),
            maximum: bounds.maximum,
        };
        let full = Strictness::Full;
        self.scan(high, self.next_high, len, request, full)
            .or_else(|| self.scan(high, high.minimum, len, request, full))
            .or_else(|| self.scan(bounds, self.next_low, len, request, full))
            .or_else(|| self.scan(bounds, bounds.minimum, len, request, full))
            .or_else(|| self.scan(bounds, bounds.minimum, len, request, Strictness::OwnPages))
            .or_else(|| self.scan(bounds, bounds.minimum, len, request, Strictness::NoGap))
    }

    /// First fit from `from` to the end of the bounds.
    fn scan(
        &self,
        bounds: Bounds,
        from: u64,
        len: u64,
        request: IovaRequest<'_>,
        strictness: Strictness,
    ) -> Option<u64> {
        let mut candidate = from.max(bounds.minimum);
        for _ in 0..MAX_CANDIDATES {
            candidate = candidate.checked_next_multiple_of(request.align_bytes)?;
            if !bounds.hold(candidate, len) {
                return None;
            }
            match self.obstacle(candidate, len, request.pfns, strictness) {
                None => return Some(candidate),
                Some(next) => candidate = next,
            }
        }
        None
    }

    /// What is in the way of `start..start + len`: the first address worth trying behind it.
    fn obstacle(&self, start: u64, len: u64, pfns: &[u64], strictness: Strictness) -> Option<u64> {
        let wanted = start..start.checked_add(len)?;
        if overlap(&wanted, &INTERRUPT_WINDOW) {
            return Some(INTERRUPT_WINDOW.end);
        }
        let gap = match strictness {
            Strictness::NoGap => 0,
            Strictness::Full | Strictness::OwnPages => GAP_BYTES,
        };
        if let Some(end) = self.range_near(&wanted, gap) {
            return Some(end + gap);
        }
        match strictness {
            Strictness::Full => self
                .physical
                .iter()
                .find(|range| overlap(&wanted, range))
                .map(|range| range.end)
                .or_else(|| self.alias(&wanted)),
            Strictness::OwnPages | Strictness::NoGap => pfns
                .iter()
                .zip((start..).step_by(1 << PAGE_SHIFT))
                .any(|(pfn, iova)| pfn << PAGE_SHIFT == iova)
                .then_some(start + PAGE_BYTES),
        }
    }

    /// End of a range that overlaps `wanted` or comes nearer than `gap` bytes.
    fn range_near(&self, wanted: &Range<u64>, gap: u64) -> Option<u64> {
        let behind = wanted.end.saturating_add(gap);
        let (_, end) = self.ranges.range(..behind).next_back()?;
        (end.saturating_add(gap) > wanted.start).then_some(*end)
    }

    /// Where an address cut to 32 bits would hit a mapping: the range must move on.
    fn alias(&self, wanted: &Range<u64>) -> Option<u64> {
        let hit = |low: Range<u64>| {
            self.ranges
                .range(..low.end)
                .next_back()
                .filter(|(_, end)| **end > low.start)
                .map(|(_, end)| *end)
        };
        if wanted.start >= FOUR_GIB {
            let offset = wanted.start & !(FOUR_GIB - 1);
            let low = wanted.start - offset..(wanted.end - offset).min(FOUR_GIB);
            return hit(low).map(|end| offset + end);
        }
        let is_cut_range = |(start, end): (&u64, &u64)| {
            let offset = *start & !(FOUR_GIB - 1);
            let low = *start - offset..*end - offset;
            (offset > 0 && overlap(wanted, &low)).then_some(low.end)
        };
        self.ranges.range(FOUR_GIB..).find_map(is_cut_range)
    }

    fn advance(&mut self, next: u64) {
        if next >= FOUR_GIB {
            self.next_high = next;
        } else {
            self.next_low = next;
        }
    }
}

fn overlap(left: &Range<u64>, right: &Range<u64>) -> bool {
    left.start < right.end && right.start < left.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::vec;

    const RAM: Range<u64> = 0..0x1000_0000;

    fn space() -> IovaSpace {
        IovaSpace::new(48, vec![RAM, 0xb000_0000..FOUR_GIB])
    }

    fn request(pfns: &[u64], width: u32) -> IovaRequest<'_> {
        IovaRequest {
            pfns,
            align_bytes: PAGE_BYTES,
            bounds: Bounds::of_width(width),
        }
    }

    #[test]
    fn wide_adapter_gets_addresses_above_4_gib_that_are_mapped_nowhere_when_cut() {
        let mut space = space();
        let mut starts = vec![];
        for _ in 0..100 {
            starts.push(space.allocate(request(&[1, 2], 64)).expect("room"));
            starts.push(space.allocate(request(&[1, 2], 32)).expect("room"));
        }
        let low: vec::Vec<_> = starts.iter().filter(|start| **start < FOUR_GIB).collect();
        assert_eq!(low.len(), 100);
        for high in starts.iter().filter(|start| **start >= FOUR_GIB) {
            let cut = high & (FOUR_GIB - 1);
            assert!(
                low.iter()
                    .all(|low| !overlap(&(cut..cut + 0x2000), &(**low..**low + 0x2000)))
            );
        }
    }

    #[test]
    fn narrow_adapter_stays_in_its_width_and_off_physical_memory() {
        let mut space = space();
        for _ in 0..100 {
            let start = space.allocate(request(&[1], 32)).expect("room");
            assert!(
                start >= RAM.end && start + 0x1000 <= 0xb000_0000,
                "{start:#x}"
            );
        }
    }

    #[test]
    fn width_inside_ram_never_gives_a_page_its_own_address() {
        let mut space = space();
        let pfns: vec::Vec<u64> = (1..64).collect();
        for _ in 0..20 {
            let start = space.allocate(request(&pfns, 24)).expect("room");
            assert!(start < 1 << 24);
            assert!(
                pfns.iter()
                    .enumerate()
                    .all(|(idx, pfn)| start + idx as u64 * 4096 != pfn << 12)
            );
        }
    }

    #[test]
    fn freed_range_is_not_given_out_again_soon_but_before_failing() {
        let mut space = space();
        let bounds = Bounds {
            minimum: 0x2000_0000,
            maximum: 0x2000_0fff,
        };
        let tight = IovaRequest {
            bounds,
            ..request(&[1], 64)
        };
        let first = space.allocate(tight).expect("room for one");
        assert_eq!(first, 0x2000_0000);
        let neighbor = Bounds {
            minimum: 0x2000_1000,
            maximum: 0x2000_1fff,
        };
        let beside = IovaRequest {
            bounds: neighbor,
            ..request(&[1], 64)
        };
        assert_eq!(space.allocate(beside), Some(0x2000_1000));
        assert_eq!(space.allocate(tight), None);

        let loose = space.allocate(request(&[1], 64)).expect("room");
        space.free(loose);
        assert_ne!(space.allocate(request(&[1], 64)), Some(loose));

        space.free(first);
        assert_eq!(space.allocate(tight), Some(first));
    }

    #[test]
    fn bounds_full_of_live_ranges_leave_the_quarantine_elsewhere_alone() {
        let mut space = space();
        let freed: vec::Vec<u64> = (0..64)
            .map(|_| space.allocate(request(&[1], 64)).expect("room"))
            .collect();
        for start in &freed {
            space.free(*start);
        }
        let full = IovaRequest {
            bounds: Bounds {
                minimum: 0x2000_0000,
                maximum: 0x2000_3fff,
            },
            ..request(&[1], 64)
        };
        let live: vec::Vec<u64> = core::iter::from_fn(|| space.allocate(full)).collect();
        assert_eq!(live.len(), 4);
        assert_eq!(space.quarantine.len(), freed.len());

        space.free(live[2]);
        assert_eq!(space.allocate(full), Some(live[2]));
        assert_eq!(space.quarantine.len(), freed.len());
    }

    #[test]
    fn alignment_and_exact_bounds_are_kept() {
        let mut space = space();
        let aligned = IovaRequest {
            align_bytes: 1 << 21,
            ..request(&[7; 512], 64)
        };
        assert!(
            space
                .allocate(aligned)
                .expect("room")
                .is_multiple_of(1 << 21)
        );
        assert_eq!(space.allocate(request(&[], 64)), None);
    }

    proptest! {
        #[test]
        fn ranges_never_touch_and_always_keep_their_bounds(
            steps in prop::collection::vec((1usize..90, 24u32..65, any::<bool>()), 1..80),
        ) {
            let mut space = space();
            let mut live: vec::Vec<Range<u64>> = vec![];
            for (n_pages, width, free) in steps {
                if free && !live.is_empty() {
                    space.free(live.remove(0).start);
                }
                let pfns = vec![0x77; n_pages];
                let Some(start) = space.allocate(request(&pfns, width)) else { continue };
                let range = start..start + n_pages as u64 * PAGE_BYTES;
                prop_assert!(Bounds::of_width(width.min(48)).hold(start, range.end - range.start));
                prop_assert!(!overlap(&range, &INTERRUPT_WINDOW));
                for other in &live {
                    prop_assert!(!overlap(&range, other));
                }
                live.push(range);
            }
        }
    }
}
