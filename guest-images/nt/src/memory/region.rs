//! [`Region`]: a span of kernel addresses that is handed out in pages, each piece with a guard page behind.

use alloc::collections::BTreeMap;

use super::{PAGE_SIZE, VirtAddr};

/// A span of addresses. The search for a gap goes on where the last one ended, so that an address is used
/// again only after the whole region has been gone through.
#[derive(Debug)]
pub struct Region {
    start: u64,
    end: u64,
    cursor: u64,
    /// First address to length in pages, guard page included.
    used: BTreeMap<u64, u64>,
}

impl Region {
    /// The addresses of `start..end`, whole pages.
    #[must_use]
    pub const fn new(start: u64, end: u64) -> Self {
        Self {
            start,
            end,
            cursor: start,
            used: BTreeMap::new(),
        }
    }

    /// Reserves `pages` pages and a guard page.
    pub fn reserve(&mut self, pages: u64) -> Option<VirtAddr> {
        let with_guard = pages.checked_add(1)?;
        let len_bytes = with_guard.checked_mul(PAGE_SIZE)?;
        let address = self
            .gap(self.cursor, len_bytes)
            .or_else(|| self.gap(self.start, len_bytes))?;
        self.used.insert(address, with_guard);
        self.cursor = address + len_bytes;
        VirtAddr::try_new(address).ok()
    }

    /// Releases the piece that starts at `address`; returns its pages, without the guard page.
    pub fn release(&mut self, address: VirtAddr) -> Option<u64> {
        self.used.remove(&address.as_u64()).map(|pages| pages - 1)
    }

    /// Pages of the piece that starts at `address`, without the guard page.
    pub fn pages_at(&self, address: u64) -> Option<u64> {
        self.used.get(&address).map(|pages| pages - 1)
    }

    /// Pieces in use.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.used.len()
    }

    fn gap(&self, from: u64, len_bytes: u64) -> Option<u64> {
        let mut candidate = from;
        if let Some((start, pages)) = self.used.range(..from).next_back() {
            candidate = candidate.max(start + pages * PAGE_SIZE);
        }
        for (start, pages) in self.used.range(candidate..) {
            if start - candidate >= len_bytes {
                break;
            }
            candidate = start + pages * PAGE_SIZE;
        }
        (self.end.checked_sub(candidate)? >= len_bytes).then_some(candidate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: u64 = 0xFFFF_9000_0000_0000;

    fn region(pages: u64) -> Region {
        Region::new(BASE, BASE + pages * PAGE_SIZE)
    }

    fn at(page: u64) -> VirtAddr {
        VirtAddr::new(BASE + page * PAGE_SIZE)
    }

    #[test]
    fn pieces_have_a_guard_page_between_them() {
        let mut region = region(16);
        assert_eq!(region.reserve(2), Some(at(0)));
        assert_eq!(region.reserve(1), Some(at(3)));
        assert_eq!(region.release(at(0)), Some(2));
    }

    #[test]
    fn released_address_is_not_used_before_the_region_was_gone_through() {
        let mut region = region(8);
        assert_eq!(region.reserve(1), Some(at(0)));
        assert_eq!(region.release(at(0)), Some(1));
        assert_eq!(region.reserve(1), Some(at(2)));
        assert_eq!(region.reserve(3), Some(at(4)));
        assert_eq!(region.reserve(1), Some(at(0)), "wrapped");
        assert_eq!(region.reserve(1), None);
    }

    #[test]
    fn gap_between_neighbors_is_found_and_must_fit() {
        let mut region = region(12);
        for _ in 0..6 {
            region.reserve(1).expect("room");
        }
        region.release(at(4));
        assert_eq!(region.reserve(2), None);
        region.release(at(6));
        assert_eq!(region.reserve(3), Some(at(4)));
        assert_eq!(region.len(), 5);
    }

    #[test]
    fn release_of_anything_else_and_absurd_lengths_are_refused() {
        let mut region = region(8);
        region.reserve(1);
        assert_eq!(region.release(at(1)), None);
        assert_eq!(region.reserve(u64::MAX), None);
        assert_eq!(region.reserve(u64::MAX / PAGE_SIZE), None);
    }
}
