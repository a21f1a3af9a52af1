//! [`Frames`]: which frames of RAM are free. A bitmap with a cursor that only moves forward, so that a freed
//! frame comes into use again as late as possible.

use alloc::vec;
use alloc::vec::Vec;
use core::ops::Range;

use super::{PAGE_SHIFT, Pfn};

/// Where frames may lie, and how.
#[derive(Clone, Copy, Debug)]
pub struct FrameLimits {
    /// Lowest frame.
    pub low: Pfn,
    /// Highest frame, inclusive.
    pub high: Pfn,
    /// The first frame is a multiple of this power of two.
    pub alignment: u64,
    /// The run crosses no multiple of so many frames (a power of two); 0 for no limit.
    pub boundary: u64,
}

impl FrameLimits {
    /// Anywhere.
    pub const ANYWHERE: Self = Self {
        low: Pfn::new(0),
        high: Pfn::new(u64::MAX),
        alignment: 1,
        boundary: 0,
    };
}

/// The frame allocator.
#[derive(Debug)]
pub struct Frames {
    ram: Vec<u64>,
    free: Vec<u64>,
    frame_count: u64,
    free_count: u64,
    cursor: u64,
    /// Where frames are looked for first, in this order.
    preferred: Vec<Range<u64>>,
}

/// Frames below 16 MiB: all that a device of 24 address bits reaches.
const ISA_END: u64 = 0x100_0000 >> PAGE_SHIFT;
/// Frames below 4 GiB: all that a device of 32 address bits reaches.
const LOW_END: u64 = 0x1_0000_0000 >> PAGE_SHIFT;

/// From which side of 4 GiB frames without limits come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryOrder {
    /// From below, if there is any left.
    LowFirst,
    /// From above, if there is any.
    HighFirst,
}

impl Frames {
    /// All frames in `ram` are RAM; those not in `reserved` are free. Both are ranges of frame numbers.
    #[must_use]
    pub fn new(ram: &[Range<u64>], reserved: &[Range<u64>]) -> Self {
        let frame_count = ram.iter().map(|range| range.end).max().unwrap_or(0);
        let words = usize::try_from(frame_count.div_ceil(64)).expect("bounded by the direct map");
        let mut frames = Self {
            ram: vec![0; words],
            free: vec![0; words],
            frame_count,
            free_count: 0,
            cursor: 0,
            preferred: Vec::new(),
        };
        frames.prefer(MemoryOrder::LowFirst);
        for frame in ram.iter().cloned().flatten() {
            set(&mut frames.ram, frame, true);
            set(&mut frames.free, frame, true);
        }
        for range in reserved {
            for frame in range.start..range.end.min(frame_count) {
                set(&mut frames.free, frame, false);
            }
        }
        frames.free_count = frames
            .free
            .iter()
            .map(|word| u64::from(word.count_ones()))
            .sum();
        frames
    }

    /// Chooses the order. In either, what narrow devices reach is left to them as long as there is other memory.
    pub fn prefer(&mut self, order: MemoryOrder) {
        let (low, high) = (ISA_END..LOW_END, LOW_END..u64::MAX);
        self.preferred = match order {
            MemoryOrder::LowFirst => vec![low, high],
            MemoryOrder::HighFirst => vec![high, low],
        };
    }

    /// Whether a frame is RAM.
    #[must_use]
    pub fn is_ram(&self, frame: Pfn) -> bool {
        frame.raw() < self.frame_count && get(&self.ram, frame.raw())
    }

    /// Whether a frame is RAM in use.
    #[must_use]
    pub fn is_used(&self, frame: Pfn) -> bool {
        self.is_ram(frame) && !get(&self.free, frame.raw())
    }

    /// Free frames.
    #[must_use]
    pub const fn free_count(&self) -> u64 {
        self.free_count
    }

    /// Takes one frame.
    pub fn take(&mut self, limits: &FrameLimits) -> Option<Pfn> {
        self.take_run(1, limits)
    }

    /// Takes `count` frames in one run.
    pub fn take_run(&mut self, count: u64, limits: &FrameLimits) -> Option<Pfn> {
        if count == 0
            || count > self.free_count
            || (limits.boundary != 0 && count > limits.boundary)
        {
            return None;
        }
        let all = limits.low.raw()..limits.high.raw().saturating_add(1).min(self.frame_count);
        let first = self
            .preferred
            .iter()
            .map(|part| all.start.max(part.start)..all.end.min(part.end))
            .chain(core::iter::once(all.clone()))
            .find_map(|part| self.find_in(part, count, limits))?;
        self.mark_used(first, count);
        Some(Pfn::new(first))
    }

    fn find_in(&self, range: Range<u64>, count: u64, limits: &FrameLimits) -> Option<u64> {
        let (low, end) = (range.start, range.end);
        let middle = self.cursor.clamp(low, end.max(low));
        // The second search may look past the cursor, for a run that lies across it.
        self.find_run(count, middle, end, limits)
            .or_else(|| self.find_run(count, low, end, limits))
    }

    /// Takes a frame that is no neighbor of `previous`; a neighbor only where nothing else is left.
    pub fn take_apart(&mut self, previous: Option<Pfn>, limits: &FrameLimits) -> Option<Pfn> {
        let Some(previous) = previous.map(Pfn::raw) else {
            return self.take(limits);
        };
        let high = limits.high.raw();
        let above = FrameLimits {
            low: Pfn::new(limits.low.raw().max(previous.saturating_add(2))),
            ..*limits
        };
        let below = FrameLimits {
            high: Pfn::new(high.min(previous.saturating_sub(2))),
            ..*limits
        };
        self.cursor = previous.saturating_add(2);
        self.take(&above)
            .or_else(|| self.take(&below))
            .or_else(|| self.take(limits))
    }

    /// Frees a frame; false if it was not in use, which is a bug of the caller.
    #[must_use]
    pub fn give_back(&mut self, frame: Pfn) -> bool {
        if !self.is_used(frame) {
            return false;
        }
        set(&mut self.free, frame.raw(), true);
        self.free_count += 1;
        true
    }

    fn find_run(&self, count: u64, from: u64, end: u64, limits: &FrameLimits) -> Option<u64> {
        let mut start = from.next_multiple_of(limits.alignment);
        while start.checked_add(count)? <= end {
            match self.first_used(start, count) {
                None => match boundary_in(start, count, limits.boundary) {
                    None => return Some(start),
                    Some(boundary) => start = boundary.next_multiple_of(limits.alignment),
                },
                Some(used) => {
                    start = self
                        .next_free(used + 1, end)?
                        .next_multiple_of(limits.alignment);
                }
            }
        }
        None
    }

    fn first_used(&self, start: u64, count: u64) -> Option<u64> {
        (start..start + count).find(|frame| !get(&self.free, *frame))
    }

    /// Skips words without a free frame, so that a full memory is searched quickly.
    fn next_free(&self, from: u64, end: u64) -> Option<u64> {
        let mut frame = from;
        while frame < end {
            let word = self.free[usize::try_from(frame / 64).ok()?] >> (frame % 64);
            if word != 0 {
                return Some(frame + u64::from(word.trailing_zeros()));
            }
            frame = (frame / 64 + 1) * 64;
        }
        None
    }

    fn mark_used(&mut self, first: u64, count: u64) {
        for frame in first..first + count {
            set(&mut self.free, frame, false);
        }
        self.free_count -= count;
        self.cursor = if first + count < self.frame_count {
            first + count
        } else {
            0
        };
    }
}

/// The multiple of `boundary` that lies inside the run, if one does.
fn boundary_in(start: u64, count: u64, boundary: u64) -> Option<u64> {
    if boundary == 0 {
        return None;
    }
    let next = (start / boundary + 1) * boundary;
    (next < start + count).then_some(next)
}

fn get(bits: &[u64], frame: u64) -> bool {
    usize::try_from(frame / 64)
        .ok()
        .and_then(|word| bits.get(word))
        .is_some_and(|word| word >> (frame % 64) & 1 != 0)
}

fn set(bits: &mut [u64], frame: u64, value: bool) {
    let word = usize::try_from(frame / 64)
        .ok()
        .and_then(|word| bits.get_mut(word));
    if let Some(word) = word {
        let mask = 1 << (frame % 64);
        *word = if value { *word | mask } else { *word & !mask };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn frames() -> Frames {
        Frames::new(&[0x10..0x100, 0x200..0x240], &[0x10..0x20, 0x30..0x31])
    }

    #[test]
    fn every_free_frame_comes_once_and_then_none() {
        let mut frames = frames();
        let mut seen = BTreeSet::new();
        while let Some(frame) = frames.take(&FrameLimits::ANYWHERE) {
            assert!(seen.insert(frame), "{frame:?} came twice");
        }
        assert_eq!(seen.len(), 0xF0 + 0x40 - 0x11);
        assert!(!seen.contains(&Pfn::new(0x30)) && !seen.contains(&Pfn::new(0x150)));
        assert_eq!(frames.free_count(), 0);
    }

    #[test]
    fn freed_frame_is_used_again_as_late_as_possible() {
        let mut frames = frames();
        let first = frames.take(&FrameLimits::ANYWHERE).expect("a frame");
        assert!(frames.give_back(first));
        let next = frames.take(&FrameLimits::ANYWHERE).expect("a frame");
        assert_ne!(first, next);
    }

    #[test]
    fn free_of_a_free_or_foreign_frame_is_refused() {
        let mut frames = frames();
        for raw in [0x20, 0x150, 0x240, u64::MAX] {
            assert!(!frames.give_back(Pfn::new(raw)), "{raw:#x}");
        }
    }

    #[test]
    fn run_keeps_limits_alignment_and_boundary() {
        let mut frames = frames();
        let limits = FrameLimits {
            low: Pfn::new(0x2E),
            high: Pfn::new(0x6F),
            alignment: 1,
            boundary: 0x10,
        };
        // 0x2E and 0x2F are too few before the used 0x30; then 0x31 to 0x3F has no room for 16 up to
        // the boundary.
        assert_eq!(frames.take_run(16, &limits), Some(Pfn::new(0x40)));
        assert_eq!(frames.take_run(3, &limits), Some(Pfn::new(0x50)));
        assert_eq!(frames.take_run(14, &limits), Some(Pfn::new(0x60)));
        assert_eq!(frames.take_run(15, &limits), Some(Pfn::new(0x31)));
        assert_eq!(frames.take_run(14, &limits), None);
        assert_eq!(
            frames.take_run(17, &limits),
            None,
            "longer than the boundary"
        );

        let aligned = FrameLimits {
            alignment: 0x20,
            ..FrameLimits::ANYWHERE
        };
        assert_eq!(frames.take_run(2, &aligned), Some(Pfn::new(0x80)));
    }

    #[test]
    fn runs_do_not_cross_holes() {
        let mut frames = frames();
        assert_eq!(frames.take_run(0xD0, &FrameLimits::ANYWHERE), None);
        assert_eq!(
            frames.take_run(0xCF, &FrameLimits::ANYWHERE),
            Some(Pfn::new(0x31))
        );
    }

    #[test]
    fn frames_taken_apart_are_no_neighbors_while_memory_allows() {
        let mut frames = frames();
        let mut previous = None;
        for _ in 0..0x80 {
            let frame = frames
                .take_apart(previous, &FrameLimits::ANYWHERE)
                .expect("there is room");
            if let Some(previous) = previous {
                assert!(frame.raw().abs_diff(previous.raw()) > 1);
            }
            previous = Some(frame);
        }
        let rest = frames.free_count();
        for _ in 0..rest {
            previous = frames.take_apart(previous, &FrameLimits::ANYWHERE);
            assert!(previous.is_some(), "neighbors are better than nothing");
        }
    }

    #[test]
    fn frames_of_narrow_devices_come_last_and_the_order_chooses_the_side() {
        let mut frames = Frames::new(
            &[0x100..0x1008, 0xF_FFF8..0x10_0008],
            core::slice::from_ref(&(0x100..0xFF8)),
        );
        let mut next = || frames.take(&FrameLimits::ANYWHERE).map(Pfn::raw);
        assert_eq!(next(), Some(0x1000));
        frames.prefer(MemoryOrder::HighFirst);
        let above: Vec<u64> =
            core::iter::from_fn(|| frames.take(&FrameLimits::ANYWHERE).map(Pfn::raw)).collect();
        assert_eq!(above[..8], *(0x10_0000..0x10_0008).collect::<Vec<_>>());
        assert_eq!(above.len(), 8 + 15 + 8);
        assert!(
            above[above.len() - 8..]
                .iter()
                .all(|frame| *frame < ISA_END)
        );
    }

    #[test]
    fn no_ram_at_all_gives_nothing() {
        let mut frames = Frames::new(&[], core::slice::from_ref(&(0..10)));
        assert_eq!(frames.take(&FrameLimits::ANYWHERE), None);
    }
}
