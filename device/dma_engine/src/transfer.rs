//! [`Transfer`]: one request from its validation to its record.
//!
//! Bytes go chunk by chunk: by the mapped path at once (`mapped_path`), by message through a
//! [`Pipeline`] (`message_path`). A transfer is over only when every message that it sent has
//! been answered, so whatever is published after it (completion entry, status, vector) cannot
//! overtake its writes.

mod admission;
mod mapped_path;
mod message_path;

use dmarig_abi::Iova;
use dmarig_abi::completion::{
    DMA_STATUS_MISMATCH, DMA_STATUS_NONE, DMA_STATUS_OPCODE, DMA_STATUS_PERMISSION,
    DMA_STATUS_SUCCESS, DMA_STATUS_UNMAPPED,
};

use endpoint::Tick;

use crate::address_rules::AddressRules;
use crate::bus::{BusFault, BusFaultKind, DmaBus, InterruptOrder, MessageError, Ticket};
use crate::channel_id::ChannelId;
use crate::event::{AccessPath, Fallback, Origin, RequestRecord};
use crate::operation::Operation;
use crate::request::{Request, RequestMode};
use crate::sabotage::{SabotagePlan, WriteAction};
use crate::stage::{Pipeline, StageState};

/// Bytes that the mapped path moves at a time: large enough to be cheap, small enough for the cache.
pub(crate) const CHUNK_SIZE_BYTES: usize = 32 << 10;
/// What an access costs at least, so that a turn of tiny accesses ends, too.
const ACCESS_MIN_COST_BYTES: u64 = 4096;
/// The platform tells a missing mapping page by page, so fall-backs go page by page.
const PAGE_SIZE_BYTES: u64 = 4096;
/// Addresses that mean interrupts to the platform: a message there would raise one.
const INTERRUPT_RANGE: std::ops::Range<u64> = 0xfee0_0000..0xfef0_0000;

/// Room for one chunk and for the pattern that it is compared with.
#[derive(Debug)]
pub(crate) struct Scratch {
    data: Vec<u8>,
    expected: Vec<u8>,
}

impl Scratch {
    pub(crate) fn new() -> Self {
        Self {
            data: vec![0; CHUNK_SIZE_BYTES],
            expected: vec![0; CHUNK_SIZE_BYTES],
        }
    }
}

/// What a step works with.
#[derive(Debug)]
pub(crate) struct StepContext<'a, B> {
    pub bus: &'a mut B,
    pub scratch: &'a mut Scratch,
    pub sabotage: &'a mut SabotagePlan,
    /// Why the function may do no DMA now, as a status.
    pub gate: Result<(), u16>,
    /// Which addresses the device can use.
    pub rules: &'a AddressRules,
    /// The time.
    pub now: Tick,
    /// What is left of the turn; below zero where the last access was larger than that.
    pub budget_bytes: i64,
}

impl<B> StepContext<'_, B> {
    pub(crate) fn spend(&mut self, len_bytes: u64) {
        let cost = i64::try_from(len_bytes.max(ACCESS_MIN_COST_BYTES)).unwrap_or(i64::MAX);
        self.budget_bytes = self.budget_bytes.saturating_sub(cost);
    }
}

/// What a step leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The transfer is over.
    Done,
    /// It waits for answers, or for room to ask.
    Blocked,
    /// The turn is used up.
    Spent,
}

/// The ranges of a transfer, both of the same length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TransferRanges {
    pub source: Option<Iova>,
    pub destination: Option<Iova>,
    pub len_bytes: u64,
}

/// What a transfer that is a piece of a request goes on from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// Where in the request the piece begins, in bytes.
    pub position: u64,
    /// CRC-32C of the pieces before it.
    pub crc32c: u32,
    /// Whether the request ends with it.
    pub is_last: bool,
}

/// One request under way, or a piece of one.
#[derive(Debug)]
pub(crate) struct Transfer {
    record: RequestRecord,
    operation: Operation,
    mode: RequestMode,
    /// Bytes to move; 0 for a request that moves none.
    length_bytes: u64,
    /// Bytes for which a chunk has been begun.
    begun_bytes: u64,
    pipeline: Pipeline,
    /// The status with which the transfer ends before its length is reached.
    ending: Option<u16>,
    is_checked: bool,
    /// For a piece of a request: its addresses have been checked, and whether it is the last.
    part: Option<Part>,
    interrupt_order: InterruptOrder,
    has_interrupted: bool,
}

impl Transfer {
    /// A transfer for a guest's or the host's request; nothing is checked or moved yet.
    pub(crate) fn new(channel: ChannelId, origin: Origin, request: Request, epoch: u64) -> Self {
        let (operation, unknown) = match Operation::decode(&request) {
            Ok(operation) => (operation, None),
            Err(status) => (Operation::Nop, Some(status)),
        };
        let mode = match origin {
            Origin::Ring { .. } => request.mode_in_ring(),
            _ => request.mode(),
        };
        let ending = unknown.or(mode.is_none().then_some(DMA_STATUS_OPCODE));
        let mut transfer = Self::internal(channel, origin, request, operation, epoch);
        transfer.mode = mode.unwrap_or(RequestMode::Probe);
        transfer.ending = ending;
        transfer
    }

    /// A transfer of the engine's own, by the mapped path with its fall-back.
    pub(crate) fn internal(
        channel: ChannelId,
        origin: Origin,
        request: Request,
        operation: Operation,
        epoch: u64,
    ) -> Self {
        let record = RequestRecord {
            channel,
            origin,
            request,
            source: operation.reads().then_some(request.source),
            destination: operation.writes().then_some(request.destination),
            status: DMA_STATUS_NONE,
            done_bytes: 0,
            path: AccessPath::None,
            crc32c: 0,
            mismatch_offset: None,
            expected: 0,
            seen: 0,
            fault_iova: None,
            fallback: None,
            runs: None,
            epoch_at_issue: epoch,
            epoch_at_completion: epoch,
        };
        Self {
            record,
            length_bytes: if operation.moves() {
                request.length_bytes
            } else {
                0
            },
            operation,
            mode: RequestMode::Mapped,
            begun_bytes: 0,
            pipeline: Pipeline::default(),
            ending: None,
            is_checked: false,
            part: None,
            interrupt_order: InterruptOrder::Last,
            has_interrupted: false,
        }
    }

    /// The same as a piece of a longer request.
    pub(crate) fn into_part(mut self, part: Part) -> Self {
        self.operation.start_at(part.position);
        self.record.crc32c = part.crc32c;
        self.part = Some(part);
        self
    }

    /// The same, but it ends with this status before anything is moved.
    pub(crate) fn refused(mut self, status: u16) -> Self {
        self.ending = self.ending.or(Some(status));
        self
    }

    /// Whether the transfer waits for the other channels.
    pub(crate) fn is_fence_of_all(&self) -> bool {
        self.ending.is_none() && matches!(self.operation, Operation::FenceAll)
    }

    /// What the transfer may still access.
    pub(crate) fn ranges(&self) -> TransferRanges {
        TransferRanges {
            source: self.record.source,
            destination: self.record.destination,
            len_bytes: self.length_bytes,
        }
    }

    pub(crate) fn origin(&self) -> Origin {
        self.record.origin
    }

    /// Whether the interrupt is to be raised now, before anything is visible; says so once.
    pub(crate) fn takes_early_interrupt(&mut self) -> bool {
        self.interrupt_order == InterruptOrder::First
            && !std::mem::replace(&mut self.has_interrupted, true)
    }

    /// Whether the interrupt was raised before its time.
    pub(crate) fn has_interrupted(&self) -> bool {
        self.has_interrupted
    }

    pub(crate) fn wants_interrupt(&self) -> bool {
        self.record.request.wants_interrupt()
    }

    /// Moves bytes until the transfer is over, has to wait, or has used up the turn.
    pub(crate) fn step<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>) -> Step {
        self.check(ctx);
        loop {
            if let (Err(status), false) = (ctx.gate, self.is_over()) {
                self.end(status, None);
            }
            if self.ending.is_some() {
                self.pipeline.drop_unsent();
            }
            if self.is_over() {
                return Step::Done;
            }
            if ctx.budget_bytes <= 0 {
                return Step::Spent;
            }
            let has_moved = match self.mode {
                RequestMode::Probe => self.probe_chunk(ctx),
                RequestMode::Mapped if self.pipeline.is_empty() => self.move_mapped_chunk(ctx),
                _ => self.move_stages(ctx),
            };
            if !has_moved {
                return Step::Blocked;
            }
        }
    }

    /// Takes an answer if this transfer asked.
    pub(crate) fn message_done(
        &mut self,
        ticket: Ticket,
        answer: Result<&[u8], MessageError>,
    ) -> bool {
        let (source, destination) = (self.record.request.source, self.record.request.destination);
        let is_final = !self.operation.writes();
        let Some(stage) = self.pipeline.awaiting(ticket) else {
            return false;
        };
        let base = match stage.state {
            StageState::Reading(_) => source,
            _ => destination,
        };
        stage.answer(answer, is_final, advance(base, stage.offset));
        let has_succeeded = matches!(stage.state, StageState::Complete | StageState::Fetched);
        if has_succeeded && self.mode == RequestMode::Mapped {
            let fault = stage.table_fault.take();
            self.note_fallback(fault);
        }
        true
    }

    /// Ends every message under way; none of them will be answered.
    pub(crate) fn disconnected(&mut self) {
        let tickets: Vec<_> = self.pipeline.tickets().collect();
        for ticket in tickets {
            self.message_done(ticket, Err(MessageError::Disconnected));
        }
    }

    /// Closes the books.
    pub(crate) fn finish(mut self, epoch: u64) -> (RequestRecord, Operation) {
        let whole = if self.record.mismatch_offset.is_some() {
            DMA_STATUS_MISMATCH
        } else {
            DMA_STATUS_SUCCESS
        };
        self.record.status = self.ending.unwrap_or(whole);
        self.record.epoch_at_completion = epoch;
        (self.record, self.operation)
    }

    /// Ends the transfer where it stands: its record, and the messages that are still unanswered.
    pub(crate) fn abort(mut self, status: u16, epoch: u64) -> (RequestRecord, Vec<Ticket>) {
        self.end(status, None);
        let unanswered = self.pipeline.tickets().collect();
        (self.finish(epoch).0, unanswered)
    }

    fn is_over(&self) -> bool {
        self.pipeline.is_empty() && (self.ending.is_some() || self.begun_bytes == self.length_bytes)
    }

    /// The first reason to end stays.
    fn end(&mut self, status: u16, iova: Option<Iova>) {
        if self.ending.is_none() {
            self.ending = Some(status);
            self.record.fault_iova = iova;
        }
    }

    fn remaining_bytes(&self) -> u64 {
        self.length_bytes - self.begun_bytes
    }

    fn source(&self, offset: u64) -> Iova {
        advance(self.record.request.source, offset)
    }

    fn destination(&self, offset: u64) -> Iova {
        advance(self.record.request.destination, offset)
    }

    fn write_action<B>(&self, ctx: &StepContext<'_, B>, offset: u64, len: usize) -> WriteAction {
        if self.record.origin.is_upkeep() {
            return WriteAction::Make;
        }
        let is_last =
            offset + len as u64 == self.length_bytes && self.part.is_none_or(|part| part.is_last);
        ctx.sabotage.action(is_last)
    }

    fn account(&mut self, offset: u64, data: &[u8], expected: &mut [u8]) {
        self.record.crc32c = crc32c::crc32c_append(self.record.crc32c, data);
        self.record.done_bytes += data.len() as u64;
        let mismatch = self.operation.absorb(offset, data, expected);
        if let (Some(mismatch), None) = (mismatch, self.record.mismatch_offset) {
            self.record.mismatch_offset = Some(mismatch.offset);
            self.record.expected = mismatch.expected;
            self.record.seen = mismatch.seen;
        }
    }

    fn note_path(&mut self, path: AccessPath) {
        self.record.path = match (self.record.path, path) {
            (AccessPath::None, path) => path,
            (seen, path) if seen == path => path,
            _ => AccessPath::Both,
        };
    }

    fn note_fallback(&mut self, fault: Option<BusFault>) {
        if let (Some(fault), None) = (fault, self.record.fallback) {
            self.record.fallback = Some(Fallback {
                iova: fault.iova,
                kind: fault.kind,
            });
        }
    }
}

/// The address `offset` further on; the caller has checked that the whole range fits.
fn advance(start: Iova, offset: u64) -> Iova {
    Iova::new(start.raw().wrapping_add(offset))
}

fn clamp_len(len_bytes: u64, max: usize) -> usize {
    usize::try_from(len_bytes).map_or(max, |len| len.min(max))
}

/// Bytes moved in front of a fault of an access at `start`; a bus that names a byte outside the
/// access is taken to have moved nothing.
fn reached(start: Iova, fault: &BusFault, len: usize) -> usize {
    let moved = fault.iova.checked_offset_from(start);
    moved
        .and_then(|moved| usize::try_from(moved).ok())
        .filter(|moved| *moved < len)
        .unwrap_or(0)
}

fn to_page_end(iova: Iova) -> u64 {
    PAGE_SIZE_BYTES - iova.raw() % PAGE_SIZE_BYTES
}

/// The fault, if it means that the table refuses the access.
fn refusal(fault: BusFault) -> Option<BusFault> {
    (fault.kind != BusFaultKind::MessageOnly).then_some(fault)
}

fn table_status(kind: BusFaultKind) -> u16 {
    match kind {
        BusFaultKind::Unmapped => DMA_STATUS_UNMAPPED,
        BusFaultKind::Permission => DMA_STATUS_PERMISSION,
        BusFaultKind::MessageOnly => DMA_STATUS_SUCCESS,
    }
}
