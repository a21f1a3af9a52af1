//! [`Iotlb`]: translations of pages, tagged by domain (section 6.2.4).
//!
//! A leaf of 2 MiB or 1 GiB is one entry, and an invalidation of any part of it removes all of it.

use dmarig_abi::Iova;

use super::cache::SetCache;
use super::entry::{PAGE_BITS, PageTranslation};

/// Sizes of leaves, in bits.
const SIZES: [u8; 3] = [12, 21, 30];
/// Pages of an invalidation that are looked up one by one; for more, all entries are looked at.
const MAX_SINGLE_PAGES: u64 = 16;

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// First byte, a multiple of the page's size.
    start: u64,
    page: PageTranslation,
    domain: u16,
}

#[derive(Debug)]
pub(super) struct Iotlb {
    entries: SetCache<Entry>,
    /// Entries of each size, so that a look-up skips the sizes that there are none of.
    n_of_size: [usize; 3],
}

impl Iotlb {
    pub(super) fn new(n_entries: usize) -> Self {
        Self {
            entries: SetCache::new(n_entries),
            n_of_size: [0; 3],
        }
    }

    /// The translation of the page that holds `iova`; the smallest page if there are several.
    #[inline]
    pub(super) fn get(&self, domain: u16, iova: Iova) -> Option<PageTranslation> {
        self.n_of_size
            .iter()
            .zip(SIZES)
            .filter(|(n, _)| **n > 0)
            .find_map(|(_, size_bits)| {
                let start = start_of(iova.raw(), size_bits);
                let hash = hash(domain, start, size_bits);
                self.entries
                    .get(hash, |entry| entry.is(domain, start, size_bits))
            })
            .map(|entry| entry.page)
    }

    /// Keeps a translation that the cache does not have.
    pub(super) fn insert(&mut self, domain: u16, iova: Iova, page: PageTranslation) {
        if self.entries.len() == 0 {
            return;
        }
        let start = start_of(iova.raw(), page.size_bits);
        let entry = Entry {
            start,
            page,
            domain,
        };
        self.n_of_size[size_index(page.size_bits)] += 1;
        if let Some(left) = self
            .entries
            .insert(hash(domain, start, page.size_bits), entry)
        {
            self.n_of_size[size_index(left.page.size_bits)] -= 1;
        }
    }

    pub(super) fn invalidate_all(&mut self) {
        self.invalidate(|_| true);
    }

    pub(super) fn invalidate_domain(&mut self, domain: u16) {
        self.invalidate(|entry| entry.domain == domain);
    }

    /// Removes what touches the `2^address_mask` pages from `iova` on.
    pub(super) fn invalidate_pages(&mut self, domain: u16, iova: Iova, address_mask: u8) {
        let n_pages = 1_u64 << address_mask;
        let len_bytes = n_pages << PAGE_BITS;
        let first = iova.raw();
        if n_pages > MAX_SINGLE_PAGES {
            let last = first.saturating_add(len_bytes - 1);
            self.invalidate(|entry| {
                entry.domain == domain && entry.start <= last && entry.last() >= first
            });
            return;
        }
        for page in 0..n_pages {
            let Some(iova) = iova.checked_add(page << PAGE_BITS) else {
                return;
            };
            self.invalidate_page(domain, iova.raw());
        }
    }

    fn invalidate_page(&mut self, domain: u16, iova: u64) {
        for (index, size_bits) in SIZES.into_iter().enumerate() {
            if self.n_of_size[index] == 0 {
                continue;
            }
            let start = start_of(iova, size_bits);
            let n = &mut self.n_of_size[index];
            self.entries.remove(
                hash(domain, start, size_bits),
                |entry| entry.is(domain, start, size_bits),
                |_| *n -= 1,
            );
        }
    }

    fn invalidate(&mut self, is_it: impl Fn(&Entry) -> bool) {
        let n_of_size = &mut self.n_of_size;
        self.entries.remove_all(is_it, |entry| {
            n_of_size[size_index(entry.page.size_bits)] -= 1;
        });
    }
}

impl Entry {
    fn is(&self, domain: u16, start: u64, size_bits: u8) -> bool {
        self.start == start && self.domain == domain && self.page.size_bits == size_bits
    }

    fn last(&self) -> u64 {
        self.start | ((1 << self.page.size_bits) - 1)
    }
}

const fn start_of(iova: u64, size_bits: u8) -> u64 {
    iova >> size_bits << size_bits
}

const fn hash(domain: u16, start: u64, size_bits: u8) -> u64 {
    // The page's number in its own size, and above any IOVA's bits the domain.
    (start >> size_bits) ^ (domain as u64) << 48 ^ (size_bits as u64) << 40
}

fn size_index(size_bits: u8) -> usize {
    SIZES
        .iter()
        .position(|size| *size == size_bits)
        .unwrap_or(0)
}
