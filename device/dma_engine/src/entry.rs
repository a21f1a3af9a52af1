//! [`Entry`]: the descriptor of a ring that is under way, with the chain that hangs on it.

use dmarig_abi::completion::{COMPLETION_FLAG_MESSAGE, DMA_STATUS_CHAIN, DMA_STATUS_SUCCESS};
use dmarig_abi::descriptor::{CHAIN_MAX_DESCRIPTORS, DESCRIPTOR_FLAG_CHAIN, DESCRIPTOR_SIZE_BYTES};
use dmarig_abi::{CompletionEntry, Descriptor, Iova};
use endpoint::{AccessPath, Request, RequestRecord};
use zerocopy::FromBytes;

use crate::prefetch::DescriptorBytes;

/// What goes on with one descriptor of the ring.
#[derive(Debug)]
pub(crate) struct Entry {
    pub index: u32,
    /// The descriptor as fetched.
    pub descriptor: DescriptorBytes,
    /// Whether a descriptor of the chain asked for an interrupt.
    pub wants_interrupt: bool,
    /// The completion entry as far as it is known.
    pub completion: CompletionEntry,
    /// The next descriptor of the chain.
    next: Option<Iova>,
    /// Where the descriptors of the chain lay.
    visited: Vec<Iova>,
}

/// Why a chain cannot be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ChainFault {
    /// `next` is not a multiple of 64, or too high.
    Address,
    /// The descriptor at `next` has been done already.
    Loop,
    /// There are more than [`CHAIN_MAX_DESCRIPTORS`].
    Length,
}

impl Entry {
    /// The entry of a descriptor just fetched from `at`.
    pub(crate) fn new(
        index: u32,
        at: Iova,
        descriptor: DescriptorBytes,
        request: &Request,
    ) -> Self {
        let mut entry = Self {
            index,
            descriptor,
            wants_interrupt: false,
            completion: CompletionEntry {
                tag: request.tag,
                mismatch_offset: u64::MAX,
                ..CompletionEntry::default()
            },
            next: None,
            visited: Vec::new(),
        };
        entry.begin(request);
        if entry.next.is_some() {
            entry.visited.push(at);
        }
        entry
    }

    /// Notes a descriptor of the chain that begins.
    pub(crate) fn begin(&mut self, request: &Request) {
        self.wants_interrupt |= request.wants_interrupt();
        let is_chained = request.flags & DESCRIPTOR_FLAG_CHAIN != 0;
        self.next = is_chained.then_some(request.next);
    }

    /// Notes a descriptor of the chain that has ended.
    pub(crate) fn note(&mut self, record: &RequestRecord) {
        let completion = &mut self.completion;
        completion.status = record.status;
        if has_message(record.path) {
            completion.flags |= COMPLETION_FLAG_MESSAGE;
        }
        completion.crc32c = record.crc32c;
        completion.done_bytes = completion.done_bytes.saturating_add(record.done_bytes);
        completion.mismatch_offset = record.mismatch_offset.unwrap_or(u64::MAX);
        completion.expected = record.expected;
        completion.seen = record.seen;
        completion.epoch = record.epoch_at_issue;
    }

    /// Ends the chain with a status of its own.
    pub(crate) fn fail(&mut self, status: u16) {
        self.completion.status = status;
        self.next = None;
    }

    /// Ends the chain here, as if it led no further.
    pub(crate) const fn cut(&mut self) {
        self.next = None;
    }

    /// The descriptor of the chain that is still to come.
    pub(crate) const fn next(&self) -> Option<Iova> {
        self.next
    }

    /// Takes the next descriptor's address if the chain goes on; a fault ends it.
    pub(crate) fn follow(&mut self, last_address: u64) -> Option<Result<Iova, ChainFault>> {
        if self.completion.status != DMA_STATUS_SUCCESS {
            return None;
        }
        let next = self.next?;
        let size_bytes = DESCRIPTOR_SIZE_BYTES as u64;
        let fault = if !next.is_aligned(size_bytes) || next.raw() > last_address {
            ChainFault::Address
        } else if self.visited.contains(&next) {
            ChainFault::Loop
        } else if self.completion.chained >= CHAIN_MAX_DESCRIPTORS {
            ChainFault::Length
        } else {
            self.visited.push(next);
            self.completion.chained += 1;
            return Some(Ok(next));
        };
        self.fail(DMA_STATUS_CHAIN);
        Some(Err(fault))
    }
}

/// A fetched descriptor as a request.
pub(crate) fn decode(bytes: &DescriptorBytes) -> Request {
    let descriptor = Descriptor::read_from_bytes(bytes).expect("the sizes are equal");
    Request {
        opcode: descriptor.opcode,
        flags: descriptor.flags,
        source_elements: descriptor.source_elements,
        destination_elements: descriptor.destination_elements,
        tag: descriptor.tag,
        source: Iova::new(descriptor.source),
        destination: Iova::new(descriptor.destination),
        length_bytes: descriptor.length_bytes,
        seed: descriptor.seed,
        next: Iova::new(descriptor.next),
    }
}

/// Whether any access went by message.
pub(crate) fn has_message(path: AccessPath) -> bool {
    matches!(path, AccessPath::Message | AccessPath::Both)
}
