//! The ledger: which buffers a driver declared, what the device accessed, and what was wrong with it.
//!
//! Violations are kept always, up to [`MAX_VIOLATIONS`]; accesses live in a ring of
//! [`MAX_RECORDS`]; what is dropped is counted. Ranges are half-open and handled in 128 bits, so
//! that an end of 2^64 is an ordinary number. The ledger judges; it never hinders an access.

mod buffers;
mod range;

use std::borrow::Cow;
use std::collections::VecDeque;

use control_api::FunctionName;
use control_api::ledger::{AccessDirection, AccessRecord, LedgerPage, Violation, ViolationKind};
use control_api::response::Buffer;
use dmarig_abi::Iova;
use recording::trace::{Trace, TraceRecord, ViolationRecord};

pub use buffers::DeclareError;
use buffers::{DeclaredBuffers, Judgement};
pub use range::IovaRange;

/// Accesses that are kept.
pub const MAX_RECORDS: usize = 4096;
/// Violations that are kept; the first ones matter most, so the later ones are dropped.
pub const MAX_VIOLATIONS: usize = 1024;
/// Unmapped ranges that are remembered to find requests that were under way across them.
const MAX_UNMAPPED: usize = 1024;

/// Who made an access, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requester {
    /// The function.
    pub function: FunctionName,
    /// Its channel; `None` for the control socket's own requests.
    pub channel: Option<u32>,
    /// The mapping epoch now.
    pub epoch: u64,
}

/// A register that still makes the device access a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveReference {
    /// The channel that the register belongs to.
    pub channel: u32,
    /// The register's name.
    pub register: Cow<'static, str>,
    /// What it points to.
    pub range: IovaRange,
}

/// Declared buffers, accesses and violations.
#[derive(Debug, Default)]
pub struct Ledger {
    buffers: DeclaredBuffers,
    records: VecDeque<AccessRecord>,
    violations: Vec<Violation>,
    unmapped: VecDeque<(u64, IovaRange)>,
    last_seq: u64,
    dropped_records: u64,
    dropped_violations: u64,
    trace: Option<Trace>,
}

impl Ledger {
    /// From now on everything is added to a canonical trace, too.
    pub fn set_trace(&mut self, trace: Trace) {
        self.trace = Some(trace);
    }

    /// The canonical trace, if there is one.
    #[must_use]
    pub const fn trace(&self) -> Option<&Trace> {
        self.trace.as_ref()
    }

    /// Hands on what the trace has kept back.
    pub fn flush_trace(&mut self) {
        if let Some(trace) = &mut self.trace {
            trace.flush();
        }
    }

    /// Adds a record to the trace; where there is none, it is not even made.
    #[inline]
    pub(crate) fn note(&mut self, record: impl FnOnce() -> TraceRecord) {
        if let Some(trace) = &mut self.trace {
            trace.add(&record());
        }
    }

    /// Declares a buffer and returns its number.
    ///
    /// # Errors
    /// [`DeclareError`]; nothing has changed then.
    pub fn declare(&mut self, buffer: Buffer) -> Result<u32, DeclareError> {
        self.buffers.declare(buffer)
    }

    /// Undeclares a buffer and returns it; later accesses to it are violations.
    pub fn undeclare(&mut self, id: u32) -> Option<Buffer> {
        self.buffers.undeclare(id)
    }

    /// The declared buffers with numbers from `from` on.
    pub fn buffers(&self, from: u32) -> impl Iterator<Item = &Buffer> {
        self.buffers.iter(from)
    }

    /// Judges an access as it reaches memory. Cheap while nothing is declared.
    pub fn judge(&mut self, who: Requester, range: IovaRange, direction: AccessDirection) {
        let (kind, name) = match self.buffers.judge(who.function, range, direction) {
            Judgement::Permitted => return,
            Judgement::WrongDirection(name) => (ViolationKind::WrongDirection, Some(name)),
            Judgement::AfterFree(name) => (ViolationKind::AfterFree, Some(name)),
            Judgement::Outside => (ViolationKind::OutsideDeclared, None),
        };
        let verb = match direction {
            AccessDirection::Read => "read",
            AccessDirection::Write => "wrote",
        };
        let detail = match (kind, &name) {
            (ViolationKind::WrongDirection, Some(name)) => {
                format!("the device {verb} {range}, against the declared direction of {name}")
            }
            (ViolationKind::AfterFree, Some(name)) => {
                format!("the device {verb} {range}, which was part of {name} before it was freed")
            }
            _ => format!("the device {verb} {range}, which no declared buffer holds"),
        };
        self.add_violation(kind, who, range, name, detail);
    }

    /// Notes a request that has ended: its access, and whether a mapping went away under it.
    pub fn record(&mut self, mut record: AccessRecord) {
        let range = IovaRange::new(record.iova, record.length);
        let declared = self.buffers.holder(record.function, range);
        record.declared = declared.map(str::to_owned);
        self.find_unmapped_meanwhile(&record, range);
        record.seq = self.next_seq();
        if self.records.len() >= MAX_RECORDS {
            self.records.pop_front();
            self.dropped_records += 1;
        }
        self.records.push_back(record);
    }

    /// Notes that a message reached memory that the mapping table does not know or permit.
    pub fn fallback_succeeded(&mut self, who: Requester, range: IovaRange) {
        let detail = format!(
            "the mapping table does not permit {range}, yet the platform served the message"
        );
        let name = self.buffers.holder(who.function, range).map(str::to_owned);
        self.add_violation(ViolationKind::FallbackSucceeded, who, range, name, detail);
    }

    /// Notes what the endpoint found the driver doing wrong.
    pub fn found(&mut self, kind: ViolationKind, who: Requester, range: IovaRange, detail: String) {
        let name = self.buffers.holder(who.function, range).map(str::to_owned);
        self.add_violation(kind, who, range, name, detail);
    }

    /// Notes that `range` was unmapped, making epoch `who.epoch`, and reports what still points there.
    pub fn unmapped(&mut self, who: Requester, range: IovaRange, live: &[LiveReference]) {
        if self.unmapped.len() >= MAX_UNMAPPED {
            self.unmapped.pop_front();
        }
        self.unmapped.push_back((who.epoch, range));
        self.dangling(who, range, live, "was unmapped");
    }

    /// Reports every live reference into `range`, with the reason why that is wrong now.
    pub fn dangling(
        &mut self,
        who: Requester,
        range: IovaRange,
        live: &[LiveReference],
        why: &str,
    ) {
        for reference in live.iter().filter(|live| live.range.overlaps(range)) {
            let who = Requester {
                channel: Some(reference.channel),
                ..who
            };
            let detail = format!(
                "{range} {why} while {} of channel {} still points to {}",
                reference.register, reference.channel, reference.range
            );
            let name = self.buffers.holder(who.function, reference.range);
            let name = name.map(str::to_owned);
            self.add_violation(ViolationKind::Dangling, who, reference.range, name, detail);
        }
    }

    /// Forgets accesses and violations. Sequence numbers go on; declared buffers stay.
    pub fn clear(&mut self) {
        self.records.clear();
        self.violations.clear();
        self.unmapped.clear();
        self.buffers.forget_freed();
        self.dropped_records = 0;
        self.dropped_violations = 0;
    }

    /// Accesses and violations with numbers from `from` on, at most `limit` of both together.
    #[must_use]
    pub fn page(&self, from: u64, limit: usize) -> LedgerPage {
        let first_record = self.records.partition_point(|record| record.seq < from);
        let first_violation = self.violations.partition_point(|found| found.seq < from);
        let mut records = self.records.range(first_record..).peekable();
        let mut violations = self.violations[first_violation..].iter().peekable();
        let mut page = LedgerPage {
            records: Vec::new(),
            violations: Vec::new(),
            next: from,
            more: false,
            dropped_records: self.dropped_records,
            dropped_violations: self.dropped_violations,
        };
        for _ in 0..limit {
            let record_seq = records.peek().map_or(u64::MAX, |record| record.seq);
            let violation_seq = violations.peek().map_or(u64::MAX, |found| found.seq);
            if record_seq < violation_seq {
                page.records.extend(records.next().cloned());
            } else if let Some(found) = violations.next() {
                page.violations.push(found.clone());
            } else {
                break;
            }
            page.next = record_seq.min(violation_seq) + 1;
        }
        page.more = records.peek().is_some() || violations.peek().is_some();
        page
    }

    fn find_unmapped_meanwhile(&mut self, record: &AccessRecord, range: IovaRange) {
        if record.epoch_issue == record.epoch_complete {
            return;
        }
        let meanwhile = record.epoch_issue + 1..=record.epoch_complete;
        let hit = self
            .unmapped
            .iter()
            .find(|(epoch, gone)| meanwhile.contains(epoch) && gone.overlaps(range));
        let Some(&(epoch, gone)) = hit else {
            return;
        };
        let who = Requester {
            function: record.function,
            channel: record.channel,
            epoch,
        };
        let detail = format!("{gone} was unmapped while a request for {range} was under way");
        let name = record.declared.clone();
        self.add_violation(ViolationKind::InFlightAcrossUnmap, who, range, name, detail);
    }

    fn add_violation(
        &mut self,
        kind: ViolationKind,
        who: Requester,
        range: IovaRange,
        declared: Option<String>,
        detail: String,
    ) {
        let seq = self.next_seq();
        if let Some(trace) = &mut self.trace {
            trace.add(&TraceRecord::Violation(ViolationRecord {
                kind,
                channel: who.channel,
                iova: range.start().raw(),
                length: range.len_bytes(),
                epoch: who.epoch,
                detail: detail.clone(),
            }));
        }
        if self.violations.len() >= MAX_VIOLATIONS {
            self.dropped_violations += 1;
            return;
        }
        self.violations.push(Violation {
            seq,
            kind,
            function: who.function,
            channel: who.channel,
            iova: range.start(),
            length: range.len_bytes(),
            epoch: who.epoch,
            declared,
            detail,
        });
    }

    fn next_seq(&mut self) -> u64 {
        self.last_seq += 1;
        self.last_seq
    }
}

/// A range for tests and callers that hold an address and a length.
impl From<(Iova, u64)> for IovaRange {
    fn from((start, len_bytes): (Iova, u64)) -> Self {
        Self::new(start, len_bytes)
    }
}

#[cfg(test)]
mod tests;
