//! [`FaultLog`]: the fault recording registers (sections 7.2.1 and 11.4.7.6).
//!
//! Records fill the registers in a ring. A fault that finds its register occupied sets the overflow flag
//! and is lost, and so is every further one until the flag is cleared. With compression, a fault of a
//! requester that has a record pending is dropped and only counted.

use dmarig_abi::{Iova, RequesterId};

use super::reason::FaultReason;
use crate::permissions::Access;

/// Upper half of a record: it is valid.
const IS_VALID: u64 = 1 << 63;
/// Upper half of a record: the request was a read.
const IS_READ: u64 = 1 << 62;

/// One recorded fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultRecord {
    /// Who asked.
    pub requester: RequesterId,
    /// The page of the first byte that was refused.
    pub iova: Iova,
    /// What was asked.
    pub access: Access,
    /// Why it was refused.
    pub reason: FaultReason,
    /// The domain of the context entry, where there was a valid one. The registers do not hold it.
    pub domain: Option<u16>,
}

impl FaultRecord {
    /// The record as software reads it: lower and upper half of a fault recording register.
    #[must_use]
    pub fn to_words(&self) -> [u64; 2] {
        let read = match self.access {
            Access::Read => IS_READ,
            Access::Write => 0,
        };
        let reason = u64::from(self.reason.code()) << 32;
        let high = IS_VALID | read | reason | u64::from(self.requester.raw());
        [self.iova.align_down(0x1000).raw(), high]
    }
}

/// What became of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultFate {
    /// It is in a register.
    Recorded,
    /// It was dropped because its requester had a record pending.
    Compressed,
    /// It was lost because the registers were full.
    Lost,
    /// A context entry's FPD bit kept it from being recorded.
    Suppressed,
}

/// Totals of a unit's faults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FaultCounters {
    /// Faults that were recorded.
    pub recorded: u64,
    /// Faults dropped because their requester had a record pending.
    pub compressed: u64,
    /// Faults lost because the registers were full.
    pub lost: u64,
    /// Faults that a context entry's FPD bit kept from being recorded.
    pub suppressed: u64,
}

#[derive(Debug)]
pub(super) struct FaultLog {
    records: Vec<Option<FaultRecord>>,
    /// The register of the next fault.
    next: usize,
    has_overflowed: bool,
    compresses: bool,
    counters: FaultCounters,
}

impl FaultLog {
    pub(super) fn new(n_records: usize, compresses: bool) -> Self {
        Self {
            records: vec![None; n_records],
            next: 0,
            has_overflowed: false,
            compresses,
            counters: FaultCounters::default(),
        }
    }

    pub(super) fn note(&mut self, fault: FaultRecord) -> FaultFate {
        let is_pending = |record: &FaultRecord| record.requester == fault.requester;
        if self.has_overflowed {
            self.counters.lost += 1;
            FaultFate::Lost
        } else if self.compresses && self.records.iter().flatten().any(is_pending) {
            self.counters.compressed += 1;
            FaultFate::Compressed
        } else if self.records[self.next].is_some() {
            self.has_overflowed = true;
            self.counters.lost += 1;
            FaultFate::Lost
        } else {
            self.records[self.next] = Some(fault);
            self.next = (self.next + 1) % self.records.len();
            self.counters.recorded += 1;
            FaultFate::Recorded
        }
    }

    pub(super) const fn note_suppressed(&mut self) -> FaultFate {
        self.counters.suppressed += 1;
        FaultFate::Suppressed
    }

    /// The records that are pending, oldest first.
    pub(super) fn pending(&self) -> impl Iterator<Item = &FaultRecord> {
        let (newer, older) = self.records.split_at(self.next);
        older.iter().chain(newer).flatten()
    }

    /// What one register holds.
    pub(super) fn register(&self, index: usize) -> Option<&FaultRecord> {
        self.records.get(index)?.as_ref()
    }

    /// The register of the oldest record that is pending.
    pub(super) fn first(&self) -> Option<usize> {
        let n = self.records.len();
        (self.next..n)
            .chain(0..self.next)
            .find(|at| self.records[*at].is_some())
    }

    /// Frees one register.
    pub(super) fn free(&mut self, index: usize) {
        if let Some(record) = self.records.get_mut(index) {
            *record = None;
        }
    }

    pub(super) const fn clear_overflow(&mut self) {
        self.has_overflowed = false;
    }

    /// Frees every register, and clears the overflow flag.
    pub(super) fn clear(&mut self) {
        self.records.fill(None);
        self.has_overflowed = false;
    }

    pub(super) const fn has_overflowed(&self) -> bool {
        self.has_overflowed
    }

    pub(super) const fn counters(&self) -> FaultCounters {
        self.counters
    }
}
