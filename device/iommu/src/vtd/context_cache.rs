//! [`ContextCache`]: context entries by requester (section 6.2.2).

use dmarig_abi::RequesterId;

use super::cache::SetCache;
use super::entry::ContextEntry;
use super::invalidation::function_mask;

#[derive(Debug)]
pub(super) struct ContextCache {
    entries: SetCache<(RequesterId, ContextEntry)>,
}

impl ContextCache {
    pub(super) fn new(n_entries: usize) -> Self {
        Self {
            entries: SetCache::new(n_entries),
        }
    }

    pub(super) fn get(&self, requester: RequesterId) -> Option<ContextEntry> {
        let entry = self
            .entries
            .get(requester.raw().into(), |(of, _)| *of == requester);
        entry.map(|(_, context)| *context)
    }

    /// Keeps an entry that the cache does not have.
    pub(super) fn insert(&mut self, requester: RequesterId, context: ContextEntry) {
        self.entries
            .insert(requester.raw().into(), (requester, context));
    }

    pub(super) fn invalidate_all(&mut self) {
        self.entries.remove_all(|_| true, drop);
    }

    pub(super) fn invalidate_domain(&mut self, domain: u16) {
        self.entries
            .remove_all(|(_, context)| context.domain == domain, drop);
    }

    pub(super) fn invalidate_device(&mut self, requester: RequesterId, masked_bits: u8) {
        let mask = function_mask(masked_bits);
        self.entries
            .remove_all(|(of, _)| (of.raw() ^ requester.raw()) & mask == 0, drop);
    }
}
