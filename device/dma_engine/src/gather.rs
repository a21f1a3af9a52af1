//! [`Gather`]: a request whose bytes lie in several runs, done as one [`Transfer`] after the other.
//!
//! That is so with scatter-gather lists, and where the device drops address bits or wraps
//! ([`AddressRules::places`]). The lists are fetched first, once, and the copies are checked as a whole;
//! then each piece runs to the end of the nearer side's run. CRC, pattern and counts go on from piece to
//! piece, and all together make one record.

use dmarig_abi::Iova;
use dmarig_abi::ListElement;
use dmarig_abi::completion::{
    DMA_STATUS_LENGTH, DMA_STATUS_LIST, DMA_STATUS_MISMATCH, DMA_STATUS_SUCCESS,
};
use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_DESTINATION_LIST, DESCRIPTOR_FLAG_SOURCE_LIST, LIST_ELEMENT_SIZE_BYTES,
    LIST_MAX_ELEMENTS,
};
use endpoint::{AccessPath, Extent, Origin, Request, RequestRecord, RequestRuns};
use zerocopy::FromBytes;

use crate::address_rules::AddressRules;
use crate::channel_id::ChannelId;
use crate::operation::Operation;
use crate::transfer::{Part, Transfer};

/// Runs that a record names; what a wrapping device does beyond that is in its count of bytes alone.
const RUNS_MAX: usize = LIST_MAX_ELEMENTS as usize;

/// A request and how far it has come.
#[derive(Debug)]
pub(crate) struct Gather {
    channel: ChannelId,
    origin: Origin,
    request: Request,
    epoch: u64,
    /// What is read, what is written.
    sides: [Side; 2],
    /// The side whose list is under way.
    fetching: Option<usize>,
    /// Bytes done.
    position: u64,
    sum: Option<RequestRecord>,
    runs: RequestRuns,
}

/// One side of the request.
#[derive(Debug, Default)]
struct Side {
    is_used: bool,
    /// The list that is to be fetched: address and number of elements.
    list: Option<(Iova, u16)>,
    elements: Vec<Extent>,
    /// The element under way, and how many bytes of it are done.
    element: usize,
    inside: u64,
}

/// What is to be done now.
#[derive(Debug)]
pub(crate) enum Next {
    Transfer(Transfer),
    /// The request is over.
    Ended(RequestRecord),
}

impl Gather {
    /// Whether a request needs this at all.
    pub(crate) fn is_needed(request: &Request, origin: Origin, rules: &AddressRules) -> bool {
        const LISTS: u16 = DESCRIPTOR_FLAG_SOURCE_LIST | DESCRIPTOR_FLAG_DESTINATION_LIST;
        let has_list = request.flags & LISTS != 0 && matches!(origin, Origin::Ring { .. });
        (has_list || rules.places())
            && Operation::decode(request).is_ok_and(|operation| operation.moves())
            && request.length_bytes > 0
    }

    pub(crate) fn new(channel: ChannelId, origin: Origin, request: Request, epoch: u64) -> Self {
        let operation = Operation::decode(&request).unwrap_or(Operation::Nop);
        let is_ring = matches!(origin, Origin::Ring { .. });
        let side = |is_used: bool, flag: u16, start: Iova, count: u16| {
            let has_list = is_ring && request.flags & flag != 0;
            let whole = Extent {
                start,
                len_bytes: request.length_bytes,
            };
            Side {
                is_used,
                list: (is_used && has_list).then_some((start, count)),
                elements: if is_used && !has_list {
                    vec![whole]
                } else {
                    Vec::new()
                },
                ..Side::default()
            }
        };
        let sides = [
            side(
                operation.reads(),
                DESCRIPTOR_FLAG_SOURCE_LIST,
                request.source,
                request.source_elements,
            ),
            side(
                operation.writes(),
                DESCRIPTOR_FLAG_DESTINATION_LIST,
                request.destination,
                request.destination_elements,
            ),
        ];
        Self {
            channel,
            origin,
            request,
            epoch,
            sides,
            fetching: None,
            position: 0,
            sum: None,
            runs: RequestRuns::default(),
        }
    }

    /// The next list or piece.
    pub(crate) fn next(&mut self, rules: &AddressRules) -> Next {
        for number in 0..self.sides.len() {
            if let Some((start, count)) = self.sides[number].list {
                self.fetching = Some(number);
                return self.fetch_list(rules.place_own(start), count);
            }
        }
        if self.position == 0
            && let Some(status) = self.refusal(rules)
        {
            return Next::Ended(self.refused(status, None));
        }
        Next::Transfer(self.piece(rules))
    }

    /// Takes a transfer that has ended.
    pub(crate) fn take(
        &mut self,
        record: RequestRecord,
        operation: Operation,
        rules: &AddressRules,
    ) -> Next {
        let Some(number) = self.fetching.take() else {
            return self.take_piece(record, rules);
        };
        self.sides[number].list = None;
        if record.status != DMA_STATUS_SUCCESS {
            return Next::Ended(self.refused(record.status, record.fault_iova));
        }
        let Operation::ReadBytes { bytes } = operation else {
            return Next::Ended(self.refused(DMA_STATUS_LIST, None));
        };
        if !self.sides[number].take_list(&bytes, self.request.length_bytes) {
            return Next::Ended(self.refused(DMA_STATUS_LIST, None));
        }
        self.next(rules)
    }

    /// Ends the request where it stands; `record` is that of the transfer under way.
    pub(crate) fn abort(mut self, record: RequestRecord) -> RequestRecord {
        if self.fetching.is_some() {
            return self.refused(record.status, None);
        }
        self.add(record);
        self.close()
    }

    /// Everything that may still be accessed: what it is, and where.
    pub(crate) fn live(&self, found: &mut impl FnMut(&'static str, Iova, u64)) {
        const WORDS: [[&str; 2]; 2] = [
            ["source list", "source element"],
            ["destination list", "destination element"],
        ];
        for (side, [list, element]) in self.sides.iter().zip(WORDS) {
            if let Some((start, count)) = side.list {
                let len_bytes = u64::from(count) * LIST_ELEMENT_SIZE_BYTES as u64;
                found(list, start, len_bytes);
            }
            for extent in side.elements.iter().skip(side.element) {
                found(element, extent.start, extent.len_bytes);
            }
        }
    }

    fn fetch_list(&mut self, start: Iova, count: u16) -> Next {
        let is_good = (1..=LIST_MAX_ELEMENTS).contains(&count)
            && start.is_aligned(LIST_ELEMENT_SIZE_BYTES as u64);
        if !is_good {
            return Next::Ended(self.refused(DMA_STATUS_LIST, None));
        }
        let len = usize::from(count) * LIST_ELEMENT_SIZE_BYTES;
        let index = match self.origin {
            Origin::Ring { index } => index,
            _ => 0,
        };
        Next::Transfer(Transfer::internal(
            self.channel,
            Origin::ListFetch { index },
            Request {
                source: start,
                length_bytes: len as u64,
                ..Request::default()
            },
            Operation::ReadBytes {
                bytes: vec![0; len],
            },
            self.epoch,
        ))
    }

    /// Why one of the elements is refused.
    fn refusal(&self, rules: &AddressRules) -> Option<u16> {
        let mut elements = self.sides.iter().flat_map(|side| &side.elements);
        elements.find_map(|extent| rules.refusal(extent.start, extent.len_bytes))
    }

    /// The next piece: as long as both sides go on side by side.
    fn piece(&self, rules: &AddressRules) -> Transfer {
        let mut len_bytes = self.request.length_bytes - self.position;
        let mut starts = [Iova::new(0); 2];
        for (side, start) in self.sides.iter().zip(&mut starts) {
            let Some(extent) = side.elements.get(side.element) else {
                continue;
            };
            let (at, run_bytes) = rules.place(extent.start, side.inside);
            *start = at;
            len_bytes = len_bytes.min(run_bytes).min(extent.len_bytes - side.inside);
        }
        let request = Request {
            source: starts[0],
            destination: starts[1],
            length_bytes: len_bytes,
            ..self.request
        };
        Transfer::new(self.channel, self.origin, request, self.epoch).into_part(Part {
            position: self.position,
            crc32c: self.sum.as_ref().map_or(0, |sum| sum.crc32c),
            is_last: self.position + len_bytes == self.request.length_bytes,
        })
    }

    fn take_piece(&mut self, record: RequestRecord, rules: &AddressRules) -> Next {
        let asked_bytes = record.request.length_bytes;
        let goes_on = matches!(record.status, DMA_STATUS_SUCCESS | DMA_STATUS_MISMATCH);
        self.add(record);
        if !goes_on || self.position >= self.request.length_bytes || asked_bytes == 0 {
            return Next::Ended(self.close());
        }
        self.next(rules)
    }

    /// Adds a piece to the sum.
    fn add(&mut self, record: RequestRecord) {
        let done_bytes = record.done_bytes;
        self.position += done_bytes;
        let starts = [record.source, record.destination];
        let lists = [&mut self.runs.source, &mut self.runs.destination];
        for (start, runs) in starts.into_iter().zip(lists) {
            if let Some(start) = start.filter(|_| done_bytes > 0) {
                add_run(runs, start, done_bytes);
            }
        }
        for side in self.sides.iter_mut().filter(|side| side.is_used) {
            side.advance(done_bytes);
        }
        let Some(sum) = &mut self.sum else {
            self.sum = Some(RequestRecord {
                request: self.request,
                ..record
            });
            return;
        };
        sum.status = record.status;
        sum.done_bytes += done_bytes;
        sum.crc32c = record.crc32c;
        sum.path = joined(sum.path, record.path);
        if sum.mismatch_offset.is_none() {
            sum.mismatch_offset = record.mismatch_offset;
            sum.expected = record.expected;
            sum.seen = record.seen;
        }
        sum.fault_iova = record.fault_iova;
        sum.fallback = sum.fallback.or(record.fallback);
        sum.epoch_at_completion = record.epoch_at_completion;
    }

    /// The record of all pieces.
    fn close(&mut self) -> RequestRecord {
        let Some(mut record) = self.sum.take() else {
            return self.refused(DMA_STATUS_LENGTH, None);
        };
        if record.status == DMA_STATUS_SUCCESS && record.mismatch_offset.is_some() {
            record.status = DMA_STATUS_MISMATCH;
        }
        record.runs = Some(Box::new(std::mem::take(&mut self.runs)));
        record
    }

    /// The record of a request of which nothing was moved.
    fn refused(&self, status: u16, fault_iova: Option<Iova>) -> RequestRecord {
        let transfer = Transfer::new(self.channel, self.origin, self.request, self.epoch);
        let (mut record, _) = transfer.abort(status, self.epoch);
        record.fault_iova = fault_iova;
        record.runs = Some(Box::default());
        record
    }
}

impl Side {
    /// Takes a fetched list, cut to the bytes that are asked for; whether it holds so many.
    fn take_list(&mut self, bytes: &[u8], length_bytes: u64) -> bool {
        let mut left_bytes = length_bytes;
        for chunk in bytes.chunks_exact(LIST_ELEMENT_SIZE_BYTES) {
            let element = ListElement::read_from_bytes(chunk).expect("the sizes are equal");
            let len_bytes = element.length_bytes.min(left_bytes);
            if len_bytes > 0 {
                self.elements.push(Extent {
                    start: Iova::new(element.iova),
                    len_bytes,
                });
                left_bytes -= len_bytes;
            }
        }
        left_bytes == 0
    }

    fn advance(&mut self, len_bytes: u64) {
        self.inside += len_bytes;
        let done = |extent: &&Extent| self.inside >= extent.len_bytes;
        if self.elements.get(self.element).filter(done).is_some() {
            self.element += 1;
            self.inside = 0;
        }
    }
}

/// Adds a run, to the last one where it goes on from there.
fn add_run(runs: &mut Vec<Extent>, start: Iova, len_bytes: u64) {
    if let Some(last) = runs.last_mut()
        && last.start.checked_add(last.len_bytes) == Some(start)
    {
        last.len_bytes += len_bytes;
    } else if runs.len() < RUNS_MAX {
        runs.push(Extent { start, len_bytes });
    }
}

fn joined(first: AccessPath, second: AccessPath) -> AccessPath {
    match (first, second) {
        (AccessPath::None, path) | (path, AccessPath::None) => path,
        (first, second) if first == second => first,
        _ => AccessPath::Both,
    }
}
