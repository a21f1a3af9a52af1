//! [`Ring`]: indices and addresses of a channel's descriptor ring and its completion ring.
//!
//! All values are latched when the ring is enabled; what the guest writes to the registers later
//! counts at the next enabling. Both rings have the same number of entries, and the entries of the
//! completion ring are written in order, one for each descriptor.

use dmarig_abi::Iova;
use dmarig_abi::completion::{
    COMPLETION_FLAG_MESSAGE, COMPLETION_FLAG_PHASE, COMPLETION_SIZE_BYTES, CompletionEntry,
    DMA_STATUS_RING,
};
use dmarig_abi::descriptor::{DESCRIPTOR_SIZE_BYTES, Descriptor};
use dmarig_abi::registers::{RING_MAX_ENTRIES, RING_MIN_ENTRIES};
use zerocopy::{FromBytes, IntoBytes};

use crate::event::{AccessPath, RequestRecord};
use crate::request::Request;

/// Alignment of both rings in bytes.
const RING_ALIGNMENT_BYTES: u64 = 64;

/// An enabled ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ring {
    base: Iova,
    completion_base: Iova,
    entries: u32,
    head: u32,
    tail: u32,
    completion_index: u32,
    phase: bool,
    /// Whether the descriptor under way asked for an interrupt.
    pub wants_interrupt: bool,
}

impl Ring {
    /// Latches and checks the ring registers; a wrong one is `DMA_STATUS_RING`.
    pub(crate) fn try_new(base: u64, completion_base: u64, entries: u32) -> Result<Self, u16> {
        let is_size_good =
            entries.is_power_of_two() && (RING_MIN_ENTRIES..=RING_MAX_ENTRIES).contains(&entries);
        let is_base_good = |base: u64, entry_size: usize| {
            let size_bytes = u64::from(entries) * entry_size as u64;
            base.is_multiple_of(RING_ALIGNMENT_BYTES) && base.checked_add(size_bytes - 1).is_some()
        };
        if !is_size_good
            || !is_base_good(base, DESCRIPTOR_SIZE_BYTES)
            || !is_base_good(completion_base, COMPLETION_SIZE_BYTES)
        {
            return Err(DMA_STATUS_RING);
        }
        Ok(Self {
            base: Iova::new(base),
            completion_base: Iova::new(completion_base),
            entries,
            head: 0,
            tail: 0,
            completion_index: 0,
            phase: true,
            wants_interrupt: false,
        })
    }

    /// Takes the producer index of the doorbell. An index beyond the ring is `DMA_STATUS_RING`, not
    /// taken modulo: a driver that rings it has lost count.
    pub(crate) fn set_tail(&mut self, tail: u32) -> Result<(), u16> {
        if tail >= self.entries {
            return Err(DMA_STATUS_RING);
        }
        self.tail = tail;
        Ok(())
    }

    /// Start and length in bytes of the descriptor ring and of the completion ring.
    pub(crate) fn ranges(&self) -> [(Iova, u64); 2] {
        let len_bytes = |entry_size: usize| u64::from(self.entries) * entry_size as u64;
        [
            (self.base, len_bytes(DESCRIPTOR_SIZE_BYTES)),
            (self.completion_base, len_bytes(COMPLETION_SIZE_BYTES)),
        ]
    }

    pub(crate) fn head(&self) -> u32 {
        self.head
    }

    /// Whether the driver has filled a descriptor that is not fetched yet.
    pub(crate) fn has_descriptor(&self) -> bool {
        self.head != self.tail
    }

    /// Index and address of the next descriptor, if the driver has filled it. At most `entries - 1`
    /// follow one doorbell, because head and tail are below `entries` and equal means empty.
    pub(crate) fn next_descriptor(&self) -> Option<(u32, Request)> {
        self.has_descriptor().then(|| {
            let request = Request {
                source: entry(self.base, self.head, DESCRIPTOR_SIZE_BYTES),
                length_bytes: DESCRIPTOR_SIZE_BYTES as u64,
                ..Request::default()
            };
            (self.head, request)
        })
    }

    /// Turns a fetched descriptor into a request and steps on.
    pub(crate) fn take_descriptor(&mut self, bytes: &[u8; DESCRIPTOR_SIZE_BYTES]) -> Request {
        let descriptor = Descriptor::read_from_bytes(bytes).expect("the sizes are equal");
        self.head = (self.head + 1) % self.entries;
        let request = Request {
            opcode: descriptor.opcode,
            flags: descriptor.flags,
            tag: descriptor.tag,
            source: Iova::new(descriptor.source),
            destination: Iova::new(descriptor.destination),
            length_bytes: descriptor.length_bytes,
            seed: descriptor.seed,
        };
        self.wants_interrupt = request.wants_interrupt();
        request
    }

    /// Index, address and bytes of the completion entry for a request that has ended.
    pub(crate) fn completion(
        &self,
        record: &RequestRecord,
    ) -> (u32, Request, [u8; COMPLETION_SIZE_BYTES]) {
        let entry_flags = [
            (self.phase, COMPLETION_FLAG_PHASE),
            (has_message(record.path), COMPLETION_FLAG_MESSAGE),
        ];
        let completion = CompletionEntry {
            tag: record.request.tag,
            status: record.status,
            flags: entry_flags
                .iter()
                .filter(|(is_set, _)| *is_set)
                .fold(0, |flags, (_, bit)| flags | bit),
            crc32c: record.crc32c,
            done_bytes: record.done_bytes,
            mismatch_offset: record.mismatch_offset.unwrap_or(u64::MAX),
            expected: record.expected,
            seen: record.seen,
            epoch: record.epoch_at_issue,
            ..CompletionEntry::default()
        };
        let mut bytes = [0; COMPLETION_SIZE_BYTES];
        bytes.copy_from_slice(completion.as_bytes());
        let request = Request {
            tag: record.request.tag,
            destination: entry(
                self.completion_base,
                self.completion_index,
                COMPLETION_SIZE_BYTES,
            ),
            length_bytes: COMPLETION_SIZE_BYTES as u64,
            ..Request::default()
        };
        (self.completion_index, request, bytes)
    }

    /// Steps on after a completion entry; the phase changes with each lap.
    pub(crate) fn completion_written(&mut self) {
        self.completion_index = (self.completion_index + 1) % self.entries;
        if self.completion_index == 0 {
            self.phase = !self.phase;
        }
    }
}

/// Whether any access went by message.
pub(crate) fn has_message(path: AccessPath) -> bool {
    matches!(path, AccessPath::Message | AccessPath::Both)
}

/// Address of an entry; the ring was checked not to wrap.
fn entry(base: Iova, index: u32, entry_size: usize) -> Iova {
    base.checked_add(u64::from(index) * entry_size as u64)
        .expect("the ring ends below 2^64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_ring_registers_are_refused() {
        let check = |base, completion_base, entries, is_good: bool| {
            let ring = Ring::try_new(base, completion_base, entries);
            assert_eq!(
                ring.is_ok(),
                is_good,
                "{base:#x} {completion_base:#x} {entries}"
            );
        };
        check(0x1000, 0x2000, 2, true);
        check(0x1000, 0x2000, 4096, true);
        check(u64::MAX - 127, 0x2000, 2, true);
        check(0x1000, 0x2000, 0, false);
        check(0x1000, 0x2000, 1, false);
        check(0x1000, 0x2000, 3, false);
        check(0x1000, 0x2000, 8192, false);
        check(0x1020, 0x2000, 2, false);
        check(0x1000, 0x2001, 2, false);
        check(u64::MAX - 63, 0x2000, 2, false);
    }

    #[test]
    fn tail_beyond_the_ring_is_refused_and_changes_nothing() {
        let mut ring = Ring::try_new(0, 0x1000, 4).expect("the registers are good");
        ring.set_tail(3).expect("3 is in the ring");
        assert_eq!(ring.set_tail(4), Err(DMA_STATUS_RING));
        assert_eq!(ring.tail, 3);
    }
}
