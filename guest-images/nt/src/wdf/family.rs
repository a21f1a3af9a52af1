//! [`Family`]: the records that one object family keeps of its objects, by handle.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::object::Handle;
use crate::arch::guarded::Guarded;

/// The records of a family.
pub struct Family<T> {
    records: Guarded<BTreeMap<Handle, T>>,
}

impl<T> Family<T> {
    /// No records.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            records: Guarded::new(BTreeMap::new()),
        }
    }

    /// Adds the record of an object.
    pub fn insert(&self, handle: Handle, record: T) {
        self.records.with(|records| records.insert(handle, record));
    }

    /// Takes the record of an object out.
    pub fn remove(&self, handle: Handle) -> Option<T> {
        self.records.with(|records| records.remove(&handle))
    }

    /// Runs `body` on the record of an object, interrupts off; `None` where there is none, which a checked handle
    /// meets only between its creation and [`Family::insert`]. `body` neither waits nor calls driver code.
    pub fn with<R>(&self, handle: Handle, body: impl FnOnce(&mut T) -> R) -> Option<R> {
        self.records
            .with(|records| records.get_mut(&handle).map(body))
    }

    /// The handles whose records meet a condition, oldest first.
    pub fn find(&self, mut condition: impl FnMut(Handle, &T) -> bool) -> Vec<Handle> {
        self.records.with(|records| {
            let found = records
                .iter()
                .filter(|(handle, record)| condition(**handle, record));
            found.map(|(handle, _)| *handle).collect()
        })
    }
}

impl<T: Clone> Family<T> {
    /// A copy of the record of an object.
    #[must_use]
    pub fn get(&self, handle: Handle) -> Option<T> {
        self.with(handle, |record| record.clone())
    }
}

impl<T> Default for Family<T> {
    fn default() -> Self {
        Self::new()
    }
}
