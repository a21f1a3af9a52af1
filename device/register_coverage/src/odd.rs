//! [`OddAccesses`]: accesses without behavior, counted.

use std::collections::BTreeMap;

use endpoint::Direction;

/// Most different accesses that are kept; what comes later is counted as dropped.
pub const MAX_ODD_ACCESSES: usize = 128;

/// Why an access means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// There is no register.
    NoRegister,
    /// There is one, and it has another width.
    Width,
    /// The register is only written.
    WriteOnly,
    /// The register is only read.
    ReadOnly,
}

/// What one kind of access is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    bar: u8,
    offset: u64,
    len_bytes: u32,
    is_write: bool,
}

/// One kind of access without behavior.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OddAccess {
    /// BAR.
    pub bar: u8,
    /// Offset in bytes.
    pub offset: u64,
    /// Length in bytes.
    pub len_bytes: u32,
    /// Whether the driver reads or writes.
    pub direction: Direction,
    /// Why it means nothing.
    pub reason: Reason,
    /// How often it came.
    pub count: u64,
}

/// Accesses without behavior, by place and direction.
#[derive(Clone, Debug, Default)]
pub struct OddAccesses {
    seen: BTreeMap<Key, (Reason, u64)>,
    dropped: u64,
}

impl OddAccesses {
    pub(crate) fn note(
        &mut self,
        bar: u8,
        offset: u64,
        len: usize,
        direction: Direction,
        reason: Reason,
    ) {
        let key = Key {
            bar,
            offset,
            len_bytes: u32::try_from(len).unwrap_or(u32::MAX),
            is_write: direction == Direction::Write,
        };
        let is_full = self.seen.len() >= MAX_ODD_ACCESSES;
        if is_full && !self.seen.contains_key(&key) {
            self.dropped += 1;
            return;
        }
        self.seen.entry(key).or_insert((reason, 0)).1 += 1;
    }

    /// The accesses, by BAR and offset.
    pub fn iter(&self) -> impl Iterator<Item = OddAccess> {
        self.seen.iter().map(|(key, (reason, count))| OddAccess {
            bar: key.bar,
            offset: key.offset,
            len_bytes: key.len_bytes,
            direction: if key.is_write {
                Direction::Write
            } else {
                Direction::Read
            },
            reason: *reason,
            count: *count,
        })
    }

    /// Accesses that were not kept.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }
}
