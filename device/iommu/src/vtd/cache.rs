//! [`SetCache`]: a set-associative cache with deterministic replacement.
//!
//! A set holds up to [`WAYS`] entries. What is new goes to the front of its set, and the oldest of a full
//! set leaves (first in, first out): a hit changes nothing, so a look without a trace is possible, and the
//! same sequence of fills and invalidations always leaves the same entries.

/// Entries of a set.
pub(super) const WAYS: usize = 4;

#[derive(Debug)]
pub(super) struct SetCache<T> {
    entries: Vec<Option<T>>,
    ways: usize,
}

impl<T: Copy> SetCache<T> {
    /// A cache of `n_entries`: 0, or a power of two.
    pub(super) fn new(n_entries: usize) -> Self {
        Self {
            entries: vec![None; n_entries],
            ways: n_entries.min(WAYS),
        }
    }

    /// The entry of the set for `hash` that `is_it` tells.
    pub(super) fn get(&self, hash: u64, is_it: impl Fn(&T) -> bool) -> Option<&T> {
        let set = self.entries.get(self.set(hash))?;
        set.iter().flatten().find(|entry| is_it(entry))
    }

    /// Puts an entry into the set for `hash`; returns the one that left for it.
    pub(super) fn insert(&mut self, hash: u64, entry: T) -> Option<T> {
        let range = self.set(hash);
        let set = self.entries.get_mut(range)?;
        // A hole is filled before anything leaves.
        let last = set.len().checked_sub(1)?;
        let end = set.iter().position(Option::is_none).unwrap_or(last);
        let left = set[end].take();
        set[..=end].rotate_right(1);
        set[0] = Some(entry);
        left
    }

    /// Removes what `is_it` tells from the set for `hash`, and hands it to `removed`.
    pub(super) fn remove(&mut self, hash: u64, is_it: impl Fn(&T) -> bool, removed: impl FnMut(T)) {
        let range = self.set(hash);
        if let Some(set) = self.entries.get_mut(range) {
            take_if(set, is_it, removed);
        }
    }

    /// Removes what `is_it` tells from every set, and hands it to `removed`.
    pub(super) fn remove_all(&mut self, is_it: impl Fn(&T) -> bool, removed: impl FnMut(T)) {
        take_if(&mut self.entries, is_it, removed);
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn set(&self, hash: u64) -> std::ops::Range<usize> {
        let Some(last_set) = (self.entries.len() / self.ways.max(1)).checked_sub(1) else {
            return 0..0;
        };
        // The upper bits of the product depend on all bits of the hash.
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let set = usize::try_from(mixed).map_or(0, |mixed| mixed & last_set);
        set * self.ways..(set + 1) * self.ways
    }
}

fn take_if<T: Copy>(
    entries: &mut [Option<T>],
    is_it: impl Fn(&T) -> bool,
    mut removed: impl FnMut(T),
) {
    for slot in entries {
        if slot.as_ref().is_some_and(&is_it)
            && let Some(entry) = slot.take()
        {
            removed(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_of_a_full_set_leaves() {
        let mut cache = SetCache::new(4);
        for entry in 0..4 {
            assert_eq!(cache.insert(7, entry), None);
        }
        assert_eq!(cache.insert(7, 4), Some(0));
        assert_eq!(cache.insert(7, 5), Some(1));
        assert!(cache.get(7, |entry| *entry == 1).is_none());
        assert!(cache.get(7, |entry| *entry == 2).is_some());
    }

    #[test]
    fn hole_is_filled_before_anything_leaves() {
        let mut cache = SetCache::new(4);
        for entry in 0..4 {
            cache.insert(7, entry);
        }
        let mut removed = Vec::new();
        cache.remove(7, |entry| *entry == 2, |entry| removed.push(entry));
        assert_eq!(removed, [2]);
        assert_eq!(cache.insert(7, 9), None);
        assert_eq!(cache.insert(7, 10), Some(0));
    }

    #[test]
    fn cache_without_entries_keeps_nothing() {
        let mut cache = SetCache::new(0);
        assert_eq!(cache.insert(7, 1), None);
        assert!(cache.get(7, |_| true).is_none());
        cache.remove(7, |_| true, |_: i32| unreachable!("it is empty"));
    }
}
