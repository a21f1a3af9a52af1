//! Allocations that fail on purpose, so that the ways back of the DMA routines are walked (`low-resources N` on COM1).
//!
//! Each place where a DMA routine may run out of something asks [`strikes`] first: frames, table frames, lists,
//! addresses, bookkeeping. The N-th question after the order is answered with yes, once.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::Pfn;
use super::radix::TableFrames;

/// Questions up to and with the one that is answered with yes; 0 for none.
static LEFT: AtomicU64 = AtomicU64::new(0);
static HAS_STRUCK: AtomicBool = AtomicBool::new(false);

/// Lets the `number`-th internal allocation from now on fail, counted from 1.
pub fn arm(number: u64) {
    HAS_STRUCK.store(false, Ordering::Relaxed);
    LEFT.store(number, Ordering::Relaxed);
}

/// Takes the order back; whether it has struck.
pub fn disarm() -> bool {
    LEFT.store(0, Ordering::Relaxed);
    HAS_STRUCK.swap(false, Ordering::Relaxed)
}

/// Whether the allocation that comes now must fail.
pub fn strikes() -> bool {
    let left = LEFT.load(Ordering::Relaxed);
    if left == 0 {
        return false;
    }
    LEFT.store(left - 1, Ordering::Relaxed);
    if left == 1 {
        HAS_STRUCK.store(true, Ordering::Relaxed);
    }
    left == 1
}

/// Gathers `count` items; `None` where memory is short.
pub fn collect<T>(items: impl Iterator<Item = T>, count: usize) -> Option<Vec<T>> {
    let mut collected = Vec::new();
    reserve(&mut collected, count)?;
    collected.extend(items.take(count));
    Some(collected)
}

/// Makes room for `count` more; `None` where memory is short.
pub fn reserve<T>(items: &mut Vec<T>, count: usize) -> Option<()> {
    if strikes() {
        return None;
    }
    items.try_reserve(count).ok()
}

/// Table frames that may run out.
pub struct ScarceFrames<'frames>(pub &'frames mut dyn TableFrames);

impl TableFrames for ScarceFrames<'_> {
    fn take(&mut self) -> Option<Pfn> {
        if strikes() {
            return None;
        }
        self.0.take()
    }

    fn give_back(&mut self, frame: Pfn) {
        self.0.give_back(frame);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_allocation_fails_once_and_is_told_of() {
        arm(3);
        let answers: Vec<bool> = (0..5).map(|_| strikes()).collect();
        assert_eq!(answers, [false, false, true, false, false]);
        assert!(disarm() && !disarm());
        arm(9);
        assert!(!strikes() && !disarm());
        assert!(!strikes(), "taken back");
    }
}
