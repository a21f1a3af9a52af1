//! Fault records (VT-d specification, section 11.4.14) and the ring of the latest ones.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::{Fault, Iova, RequesterId};
use crate::memory::PAGE_SIZE;

/// Bytes of one fault recording register.
pub(super) const RECORD_BYTES: u64 = 16;
/// Upper half: the record is valid; written as one, it is cleared.
pub(super) const IS_VALID: u64 = 1 << 63;
const IS_READ: u64 = 1 << 62;
/// Faults kept.
const KEPT: usize = 64;

/// Fault status: records were lost.
pub(super) const OVERFLOW: u32 = 1;

/// Decodes a record; `None` if it is not valid.
pub(super) fn decode(low: u64, high: u64) -> Option<Fault> {
    if high & IS_VALID == 0 {
        return None;
    }
    let [requester_low, requester_high, _, _, reason, ..] = high.to_le_bytes();
    Some(Fault {
        reason,
        requester: RequesterId::from_raw(u16::from_le_bytes([requester_low, requester_high])),
        iova: Iova::new(low).align_down(PAGE_SIZE),
        is_write: high & IS_READ == 0,
    })
}

/// The latest faults, and how many there were.
#[derive(Debug)]
pub(super) struct FaultLog {
    total: u64,
    latest: VecDeque<Fault>,
}

impl FaultLog {
    pub const fn new() -> Self {
        Self {
            total: 0,
            latest: VecDeque::new(),
        }
    }

    pub fn note(&mut self, fault: Fault) {
        self.total += 1;
        if self.latest.len() == KEPT {
            self.latest.pop_front();
        }
        self.latest.push_back(fault);
    }

    pub const fn total(&self) -> u64 {
        self.total
    }

    pub fn latest(&self) -> Vec<Fault> {
        self.latest.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_gives_reason_requester_page_and_access() {
        let read = IS_VALID | IS_READ | 6 << 32 | 0x0108;
        assert_eq!(
            decode(0x1234_5678_9ABC_D000, read),
            Some(Fault {
                reason: 6,
                requester: RequesterId::from_raw(0x0108),
                iova: Iova::new(0x1234_5678_9ABC_D000),
                is_write: false,
            })
        );
        let write = IS_VALID | 5 << 32 | 0x0008;
        assert!(decode(0, write).is_some_and(|fault| fault.is_write && fault.reason == 5));
        assert_eq!(decode(0, write & !IS_VALID), None);
    }

    #[test]
    fn log_keeps_the_latest_and_counts_all() {
        let mut log = FaultLog::new();
        for page in 0..100 {
            log.note(Fault {
                reason: 5,
                requester: RequesterId::from_raw(8),
                iova: Iova::new(page * PAGE_SIZE),
                is_write: false,
            });
        }
        assert_eq!(log.total(), 100);
        let latest = log.latest();
        assert_eq!(latest.len(), KEPT);
        assert_eq!(latest[0].iova, Iova::new(36 * PAGE_SIZE));
        assert_eq!(latest[KEPT - 1].iova, Iova::new(99 * PAGE_SIZE));
    }
}
