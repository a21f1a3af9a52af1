//! [`Collector`]: sorts out what of the ledger concerns a stop of the guest. Pure.

use std::collections::VecDeque;

use control_api::ledger::{AccessRecord, LedgerPage, Violation};
use control_api::response::Buffer;
use serde::Serialize;

use crate::event::{BufferAccess, BufferHistory, BufferViolation, DeclaredBuffer};

/// Most of each kind that a history shows.
const SHOWN_MAX: usize = 8;
/// Most numbers of the guest's words that are looked up.
const NUMBERS_MAX: usize = 16;
/// Below it a number is a code or a length rather than an address.
const PAGE_SIZE: u64 = 4096;

/// Collects a [`BufferHistory`] page by page.
///
/// Which addresses concern the stop is known when all was read: a number in the guest's words counts
/// as a logical address only where a declared buffer, an access or a violation covers it.
pub struct Collector {
    numbers: Vec<u64>,
    known: Vec<bool>,
    buffers: Vec<Buffer>,
    by_number: Kept,
    by_buffer: Kept,
    anywhere: Kept,
    n_dropped: u64,
}

impl Collector {
    /// Starts with the guest's last words and the buffers declared.
    pub fn new(words: &str, buffers: &[Buffer]) -> Self {
        let numbers = hex_numbers(words);
        Self {
            known: numbers
                .iter()
                .map(|number| buffers.iter().any(|buffer| covers(span(buffer), *number)))
                .collect(),
            numbers,
            buffers: buffers.to_vec(),
            by_number: Kept::default(),
            by_buffer: Kept::default(),
            anywhere: Kept::default(),
            n_dropped: 0,
        }
    }

    /// Takes one page.
    pub fn take(&mut self, page: &LedgerPage) {
        self.n_dropped = page.dropped_records.saturating_add(page.dropped_violations);
        for access in &page.records {
            let range = (access.iova.raw(), access.length);
            for kept in self.concerned(range) {
                kept.accesses.push(access.clone());
            }
        }
        for violation in &page.violations {
            let range = (violation.iova.raw(), violation.length);
            for kept in self.concerned(range) {
                kept.violations.push(violation.clone());
            }
        }
    }

    /// The history.
    pub fn finish(self) -> BufferHistory {
        let named: Vec<u64> = self
            .numbers
            .iter()
            .zip(&self.known)
            .filter_map(|(number, known)| known.then_some(*number))
            .collect();
        let mut buffers = self.buffers;
        let kept = if !named.is_empty() {
            buffers.retain(|buffer| named.iter().any(|number| covers(span(buffer), *number)));
            self.by_number
        } else if buffers.is_empty() {
            self.anywhere
        } else {
            self.by_buffer
        };
        let n_buffers_left_out = buffers.len().saturating_sub(SHOWN_MAX) as u64;
        BufferHistory {
            device: None,
            beside: Vec::new(),
            named: named.iter().map(|number| hex(*number)).collect(),
            buffers: buffers.iter().take(SHOWN_MAX).map(declared).collect(),
            n_left_out: n_buffers_left_out + kept.accesses.n_left_out + kept.violations.n_left_out,
            accesses: kept.accesses.last.iter().map(access).collect(),
            violations: kept.violations.last.iter().map(violation).collect(),
            n_dropped: self.n_dropped,
            unread: None,
        }
    }

    /// Where something in this range is to be kept; notes which numbers it makes known.
    fn concerned(&mut self, range: (u64, u64)) -> Vec<&mut Kept> {
        let mut is_named = false;
        for (number, known) in self.numbers.iter().zip(&mut self.known) {
            let is_in_its_buffer = self
                .buffers
                .iter()
                .any(|buffer| covers(span(buffer), *number) && overlap(span(buffer), range));
            *known |= covers(range, *number);
            is_named |= covers(range, *number) || is_in_its_buffer;
        }
        let is_declared = self
            .buffers
            .iter()
            .any(|buffer| overlap(span(buffer), range));
        let mut places = vec![&mut self.anywhere];
        if is_named {
            places.push(&mut self.by_number);
        }
        if is_declared {
            places.push(&mut self.by_buffer);
        }
        places
    }
}

/// The last accesses and violations of one choice.
#[derive(Default)]
struct Kept {
    accesses: Tail<AccessRecord>,
    violations: Tail<Violation>,
}

/// The last of many.
struct Tail<T> {
    last: VecDeque<T>,
    n_left_out: u64,
}

impl<T> Default for Tail<T> {
    fn default() -> Self {
        Self {
            last: VecDeque::new(),
            n_left_out: 0,
        }
    }
}

impl<T> Tail<T> {
    fn push(&mut self, item: T) {
        if self.last.len() == SHOWN_MAX {
            self.last.pop_front();
            self.n_left_out += 1;
        }
        self.last.push_back(item);
    }
}

const fn span(buffer: &Buffer) -> (u64, u64) {
    (buffer.iova.raw(), buffer.length)
}

/// Whether an address lies in a range of (first byte, length).
const fn covers((start, length): (u64, u64), address: u64) -> bool {
    address >= start && address - start < length
}

const fn overlap(one: (u64, u64), other: (u64, u64)) -> bool {
    covers(one, other.0) && other.1 > 0 || covers(other, one.0) && one.1 > 0
}

/// The numbers `0x...` of a text that may be addresses, each once. An offset in a module (`+0x...`) is
/// none.
fn hex_numbers(text: &str) -> Vec<u64> {
    let mut numbers = Vec::new();
    for (place, _) in text.match_indices("0x") {
        let before = text[..place].chars().next_back();
        if before.is_some_and(|before| before == '+' || before.is_alphanumeric()) {
            continue;
        }
        let digits: String = text[place + 2..]
            .chars()
            .take_while(char::is_ascii_hexdigit)
            .collect();
        if let Ok(number) = u64::from_str_radix(&digits, 16)
            && number >= PAGE_SIZE
            && !numbers.contains(&number)
            && numbers.len() < NUMBERS_MAX
        {
            numbers.push(number);
        }
    }
    numbers
}

fn declared(buffer: &Buffer) -> DeclaredBuffer {
    DeclaredBuffer {
        name: buffer.name.clone(),
        logical_address: buffer.iova.to_string(),
        length_bytes: hex(buffer.length),
        direction: name(&buffer.direction),
    }
}

fn access(record: &AccessRecord) -> BufferAccess {
    BufferAccess {
        seq: record.seq,
        direction: name(&record.direction),
        logical_address: record.iova.to_string(),
        length_bytes: hex(record.length),
        path: name(&record.path),
        status: name(&record.status),
        epoch_issue: record.epoch_issue,
        epoch_complete: record.epoch_complete,
        buffer: record.declared.clone(),
    }
}

fn violation(violation: &Violation) -> BufferViolation {
    BufferViolation {
        seq: violation.seq,
        kind: name(&violation.kind),
        logical_address: violation.iova.to_string(),
        length_bytes: hex(violation.length),
        epoch: violation.epoch,
        buffer: violation.declared.clone(),
        detail: violation.detail.clone(),
    }
}

fn hex(number: u64) -> String {
    format!("{number:#x}")
}

/// What the control socket calls a value without fields.
fn name(value: &impl Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|name| name.as_str().map(str::to_owned))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests;
