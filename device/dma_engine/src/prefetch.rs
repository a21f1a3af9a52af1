//! [`Prefetch`]: a ring that the device polls, and [`difference`], what a driver changed under it.
//!
//! The device reads the descriptor at its head from time to time. When the owner bit shows, it has seen
//! the descriptor for the first time; it fetches it at the next tick, does it, and looks once more before
//! it completes it. From first sight to completion the descriptor is the device's: any change is a
//! finding. The device does what it fetched, as a real one would.

use std::time::Duration;

use dmarig_abi::descriptor::DESCRIPTOR_SIZE_BYTES;
use endpoint::Tick;

/// Between two looks at a ring in which something was found lately, and from first sight to fetch.
pub(crate) const POLL_LEAST: Duration = Duration::from_micros(50);
/// Between two looks at a ring in which nothing was found for long.
pub(crate) const POLL_MOST: Duration = Duration::from_millis(5);
/// Most bytes of a change that are told.
const TOLD_BYTES: usize = 16;

/// A descriptor's bytes.
pub(crate) type DescriptorBytes = [u8; DESCRIPTOR_SIZE_BYTES];

/// When to look, and what was seen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prefetch {
    due: Tick,
    interval: Duration,
    /// The descriptor at the head, if it has been seen to be the device's.
    pub seen: Option<DescriptorBytes>,
}

impl Prefetch {
    pub(crate) const fn new() -> Self {
        Self {
            due: Tick::ZERO,
            interval: POLL_LEAST,
            seen: None,
        }
    }

    pub(crate) const fn due(&self) -> Tick {
        self.due
    }

    /// Looks at once, and often for a while.
    pub(crate) fn hurry(&mut self) {
        self.interval = POLL_LEAST;
        if self.seen.is_none() {
            self.due = Tick::ZERO;
        }
    }

    /// The descriptor is the device's: it is fetched at the next tick.
    pub(crate) fn note_seen(&mut self, bytes: DescriptorBytes, now: Tick) {
        self.seen = Some(bytes);
        self.interval = POLL_LEAST;
        self.due = now.after(POLL_LEAST);
    }

    /// The descriptor is the driver's: the next look is later, the longer this goes on.
    pub(crate) fn note_nothing(&mut self, now: Tick) {
        self.seen = None;
        self.due = now.after(self.interval);
        self.interval = (self.interval * 2).min(POLL_MOST);
    }
}

/// Where two copies of a descriptor differ, in words; `None` if they do not.
pub(crate) fn difference(before: &DescriptorBytes, after: &DescriptorBytes) -> Option<String> {
    let differs = |index: &usize| before[*index] != after[*index];
    let first = (0..DESCRIPTOR_SIZE_BYTES).find(differs)?;
    let last = (0..DESCRIPTOR_SIZE_BYTES).rfind(differs)?;
    let told = first..(last + 1).min(first + TOLD_BYTES);
    let hex = |bytes: &[u8]| {
        let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
        digits.collect::<Vec<_>>().join(" ")
    };
    Some(format!(
        "bytes {first:#x} to {last:#x} were {}, now they are {}",
        hex(&before[told.clone()]),
        hex(&after[told])
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polls_become_rare_and_often_again() {
        let mut prefetch = Prefetch::new();
        let mut now = Tick::ZERO;
        for _ in 0..20 {
            prefetch.note_nothing(now);
            assert!(prefetch.due() > now);
            now = prefetch.due();
        }
        prefetch.note_nothing(now);
        assert_eq!(prefetch.due(), now.after(POLL_MOST));
        prefetch.hurry();
        assert_eq!(prefetch.due(), Tick::ZERO);
        prefetch.note_seen([0; 64], now);
        assert_eq!(prefetch.due(), now.after(POLL_LEAST));
    }

    #[test]
    fn difference_names_place_and_both_values() {
        let before = [0; 64];
        let mut after = before;
        assert_eq!(difference(&before, &after), None);
        after[0x18] = 0xff;
        after[0x1a] = 0x12;
        assert_eq!(
            difference(&before, &after).as_deref(),
            Some("bytes 0x18 to 0x1a were 00 00 00, now they are ff 00 12")
        );
    }
}
