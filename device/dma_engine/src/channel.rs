//! [`Channel`]: registers, ring and the one transfer that is under way.
//!
//! A channel does one thing at a time: a request of register mode first, then the host's, then the
//! next descriptor. That one request is over, with all its messages answered, before its completion
//! entry is written, and the entry is answered before cause bit and vector follow.

use std::collections::VecDeque;

use dmarig_abi::Iova;
use dmarig_abi::completion::{DMA_STATUS_ABORTED, DMA_STATUS_NONE, DMA_STATUS_SUCCESS};
use dmarig_abi::descriptor::DESCRIPTOR_SIZE_BYTES;
use dmarig_abi::registers::{CH_STATUS_BUSY, CH_STATUS_MESSAGE};
use endpoint::Tick;

use crate::address_rules::AddressRules;
use crate::bus::{DmaBus, MessageError, Ticket};
use crate::channel_id::ChannelId;
use crate::entry::{Entry, decode};
use crate::event::{EndpointEvent, Origin, RequestRecord};
use crate::fence::Fence;
use crate::gather::{Gather, Next};
use crate::interrupt::InterruptUnit;
use crate::operation::Operation;
use crate::publish::done;
use crate::register_file::{RegisterId, RegisterWrite};
use crate::request::Request;
use crate::ring::Ring;
use crate::transfer::{Step, StepContext, Transfer};

/// The read-write registers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ChannelRegisters {
    pub source: u64,
    pub destination: u64,
    pub length_bytes: u64,
    pub seed: u64,
    pub ring_base: u64,
    pub completion_base: u64,
    pub index_address: u64,
    pub ring_entries: u32,
    pub ring_tail: u32,
}

/// What the last request of register mode left in the read-only registers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegisterResult {
    pub status: u16,
    pub has_message: bool,
    pub crc32c: u32,
    pub expected: u8,
    pub seen: u8,
    pub mismatch_offset: u64,
    pub done_bytes: u64,
    pub epoch: u64,
}

impl Default for RegisterResult {
    fn default() -> Self {
        Self {
            status: DMA_STATUS_NONE,
            has_message: false,
            crc32c: 0,
            expected: 0,
            seen: 0,
            mismatch_offset: u64::MAX,
            done_bytes: 0,
            epoch: 0,
        }
    }
}

/// A request of register mode whose turn has not come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PendingRequest {
    pub request: Request,
    pub epoch: u64,
}

/// What the transfer under way is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// A request, or a piece of one, or its lists.
    Request,
    /// Prefetch: a look at the descriptor at the head.
    Poll,
    /// The descriptor at the head.
    Fetch,
    /// The next descriptor of a chain.
    Chain,
    /// Prefetch: another look at the descriptor that is done.
    Check,
    /// Prefetch: giving it back.
    Release,
    /// The completion entry.
    Completion,
    /// The index behind it.
    Index,
}

/// Where a channel reports what has ended.
#[derive(Debug)]
pub(crate) struct Outbox<'a> {
    pub events: &'a mut Vec<EndpointEvent>,
    pub interrupts: &'a mut InterruptUnit,
}

/// One channel.
#[derive(Debug)]
pub(crate) struct Channel {
    id: ChannelId,
    pub(crate) registers: ChannelRegisters,
    pub(crate) result: RegisterResult,
    pub(crate) ring: Option<Ring>,
    pub(crate) ring_status: u16,
    pub(crate) pending: Option<PendingRequest>,
    /// The host's requests; only its own channel has any.
    pub(crate) host_queue: VecDeque<(u64, Request)>,
    pub(crate) current: Option<Transfer>,
    pub(crate) stage: Stage,
    /// The request under way, where it takes several transfers.
    pub(crate) gather: Option<Box<Gather>>,
    /// The fence under way, until it opens.
    pub(crate) fence: Option<Fence>,
    /// Requests that have ended or were given up.
    pub(crate) ended: u64,
    /// Messages of aborted transfers. New work waits for their answers, as it must not overtake the
    /// writes among them.
    orphans: Vec<Ticket>,
    /// Bytes by which the channel's last turn was overdrawn; they are taken from the next.
    pub(crate) debt_bytes: i64,
}

impl Channel {
    pub(crate) fn new(id: ChannelId) -> Self {
        Self {
            id,
            registers: ChannelRegisters::default(),
            result: RegisterResult::default(),
            ring: None,
            ring_status: DMA_STATUS_NONE,
            pending: None,
            host_queue: VecDeque::new(),
            current: None,
            stage: Stage::Request,
            gather: None,
            fence: None,
            ended: 0,
            orphans: Vec::new(),
            debt_bytes: 0,
        }
    }

    pub(crate) fn id(&self) -> ChannelId {
        self.id
    }

    /// Whether a request of register mode is under way.
    pub(crate) fn is_busy(&self) -> bool {
        let current = self.current.as_ref().map(Transfer::origin);
        self.pending.is_some() || current == Some(Origin::Register)
    }

    /// The value of a register.
    pub(crate) fn register(&self, register: RegisterId) -> u64 {
        let (registers, result) = (&self.registers, &self.result);
        match register {
            RegisterId::Status => u64::from(self.status_register()),
            RegisterId::Source => registers.source,
            RegisterId::Destination => registers.destination,
            RegisterId::Length => registers.length_bytes,
            RegisterId::Seed => registers.seed,
            RegisterId::Crc => u64::from(result.crc32c),
            RegisterId::MismatchBytes => {
                u64::from(u16::from_le_bytes([result.expected, result.seen]))
            }
            RegisterId::MismatchOffset => result.mismatch_offset,
            RegisterId::DoneBytes => result.done_bytes,
            RegisterId::Epoch => result.epoch,
            RegisterId::RingBase => registers.ring_base,
            RegisterId::CompletionBase => registers.completion_base,
            RegisterId::RingEntries => u64::from(registers.ring_entries),
            RegisterId::IndexAddress => registers.index_address,
            RegisterId::RingControl => u64::from(self.ring.as_ref().map_or(0, Ring::control)),
            RegisterId::RingTail => u64::from(registers.ring_tail),
            RegisterId::RingHead => u64::from(self.ring.as_ref().map_or(0, Ring::head)),
            RegisterId::RingStatus => u64::from(self.ring_status),
            // The doorbell reads zero, and the function's registers are not the channel's.
            _ => 0,
        }
    }

    /// Takes a write to a register: the record of a request that it refused or ended.
    pub(crate) fn write_register(
        &mut self,
        register: RegisterId,
        write: RegisterWrite<'_>,
        rules: &AddressRules,
        epoch: u64,
    ) -> Option<RequestRecord> {
        let registers = &mut self.registers;
        let register_64 = match register {
            RegisterId::Command if write.covers_first_byte() => {
                return self.ring_command(write.over_u32(0), epoch);
            }
            RegisterId::RingControl if write.covers_first_byte() => {
                return self.ring_control(write.over_u32(0), rules, epoch);
            }
            RegisterId::RingTail => {
                self.ring_tail(write.over_u32(self.registers.ring_tail));
                return None;
            }
            RegisterId::RingEntries => {
                registers.ring_entries = write.over_u32(registers.ring_entries);
                return None;
            }
            RegisterId::Source => &mut registers.source,
            RegisterId::Destination => &mut registers.destination,
            RegisterId::Length => &mut registers.length_bytes,
            RegisterId::Seed => &mut registers.seed,
            RegisterId::RingBase => &mut registers.ring_base,
            RegisterId::CompletionBase => &mut registers.completion_base,
            RegisterId::IndexAddress => &mut registers.index_address,
            _ => return None,
        };
        *register_64 = write.over(*register_64);
        None
    }

    /// Whether a turn would not be in vain. Cheap, as every channel is asked all the time.
    pub(crate) fn has_work(&self, now: Tick) -> bool {
        self.current.is_some()
            || self.pending.is_some()
            || !self.host_queue.is_empty()
            || (self.ring_status == DMA_STATUS_SUCCESS
                && self
                    .ring
                    .as_ref()
                    .is_some_and(|ring| ring.has_descriptor(now)))
    }

    /// When the channel looks at its ring again without being asked to.
    pub(crate) fn next_tick(&self) -> Option<Tick> {
        let ring = self.ring.as_ref()?;
        let polls = self.ring_status == DMA_STATUS_SUCCESS && self.current.is_none();
        ring.prefetch
            .filter(|_| polls)
            .map(|prefetch| prefetch.due())
    }

    /// Requests that were rung and have not ended.
    pub(crate) fn backlog(&self) -> u64 {
        let ring = self.ring.as_ref().map_or(0, Ring::backlog);
        let in_ring = if self.ring_status == DMA_STATUS_SUCCESS {
            ring
        } else {
            0
        };
        in_ring + u64::from(self.is_busy())
    }

    /// Works until nothing is left to do without an event, or the turn is used up.
    pub(crate) fn run_turn<B: DmaBus>(
        &mut self,
        ctx: &mut StepContext<'_, B>,
        outbox: &mut Outbox<'_>,
    ) {
        // The engine opens a fence; a channel that has come to one has no more to do in this turn.
        while ctx.budget_bytes > 0 && self.fence.is_none() {
            let Some(mut transfer) = self.take_work(ctx) else {
                return;
            };
            if self.fence.is_some() {
                self.current = Some(transfer);
                return;
            }
            let step = transfer.step(ctx);
            if transfer.takes_early_interrupt() {
                let is_asked = self.wants_interrupt(&transfer);
                outbox.request_ended(self.id, is_asked, ctx.sabotage);
            }
            match step {
                Step::Done => self.finish(transfer, ctx, outbox),
                Step::Blocked | Step::Spent => {
                    self.current = Some(transfer);
                    return;
                }
            }
        }
    }

    /// Takes an answer if this channel asked.
    pub(crate) fn message_done(
        &mut self,
        ticket: Ticket,
        answer: Result<&[u8], MessageError>,
    ) -> bool {
        if let Some(position) = self.orphans.iter().position(|orphan| *orphan == ticket) {
            self.orphans.swap_remove(position);
            return true;
        }
        self.current
            .as_mut()
            .is_some_and(|transfer| transfer.message_done(ticket, answer))
    }

    /// Ends every message under way; none of them will be answered.
    pub(crate) fn disconnected(&mut self) {
        self.orphans.clear();
        if let Some(transfer) = &mut self.current {
            transfer.disconnected();
        }
    }

    /// Ends all work, and brings every register to its state after power-on.
    pub(crate) fn reset(&mut self, epoch: u64, events: &mut Vec<EndpointEvent>) {
        let dropped = self.backlog();
        let mut records = Vec::new();
        records.extend(self.abort_current(DMA_STATUS_ABORTED, epoch));
        let abort = |origin, request, epoch_at_issue| {
            let transfer = Transfer::new(self.id, origin, request, epoch_at_issue);
            transfer.abort(DMA_STATUS_ABORTED, epoch).0
        };
        if let Some(pending) = self.pending.take() {
            records.push(abort(Origin::Register, pending.request, pending.epoch));
        }
        for (id, request) in std::mem::take(&mut self.host_queue) {
            records.push(abort(Origin::Host { id }, request, epoch));
        }
        events.extend(records.into_iter().map(done));
        let orphans = std::mem::take(&mut self.orphans);
        *self = Self {
            orphans,
            ended: self.ended + dropped,
            ..Self::new(self.id)
        };
    }

    /// Ends what the ring has under way, and gives up what it has not begun.
    pub(crate) fn abort_ring_work(&mut self, status: u16, epoch: u64) -> Option<RequestRecord> {
        if let Some(ring) = &self.ring {
            self.ended += ring.backlog();
        }
        let origin = self.current.as_ref()?.origin();
        if matches!(origin, Origin::Register | Origin::Host { .. }) {
            return None;
        }
        self.abort_current(status, epoch)
    }

    /// Ends the transfer under way, and the request that it is a piece of.
    fn abort_current(&mut self, status: u16, epoch: u64) -> Option<RequestRecord> {
        self.fence = None;
        let (record, unanswered) = self.current.take()?.abort(status, epoch);
        self.orphans.extend(unanswered);
        Some(match self.gather.take() {
            Some(gather) => gather.abort(record),
            None => record,
        })
    }

    /// What the request under way and the one that is latched may still access. The ring's own
    /// accesses lie in the rings; what a descriptor leads to is told as well.
    pub(crate) fn requests_under_way(&self, found: &mut impl FnMut(&'static str, Iova, u64)) {
        let mut note = |transfer: &Transfer| {
            let ranges = transfer.ranges();
            let sides = [
                ("CH_SOURCE", ranges.source),
                ("CH_DESTINATION", ranges.destination),
            ];
            for (register, start) in sides {
                if let Some(start) = start {
                    found(register, start, ranges.len_bytes);
                }
            }
        };
        let is_request = |transfer: &&Transfer| !transfer.origin().is_upkeep();
        if self.gather.is_none()
            && let Some(current) = self.current.as_ref().filter(is_request)
        {
            note(current);
        }
        if let Some(PendingRequest { request, epoch }) = self.pending {
            note(&Transfer::new(self.id, Origin::Register, request, epoch));
        }
        if let Some(gather) = &self.gather {
            gather.live(found);
        }
        let Some(ring) = &self.ring else { return };
        if let Some(next) = ring.entry.as_ref().and_then(Entry::next) {
            found("chained descriptor", next, DESCRIPTOR_SIZE_BYTES as u64);
        }
        if let Some(seen) = ring.prefetch.and_then(|prefetch| prefetch.seen) {
            let seen = decode(&seen);
            let origin = Origin::Ring { index: ring.head() };
            let gather = Gather::new(self.id, origin, seen, 0);
            gather.live(found);
        }
    }

    fn status_register(&self) -> u32 {
        let busy = if self.is_busy() { CH_STATUS_BUSY } else { 0 };
        let message = if self.result.has_message {
            CH_STATUS_MESSAGE
        } else {
            0
        };
        u32::from(self.result.status) | busy | message
    }

    /// The transfer under way, else the next one.
    fn take_work<B: DmaBus>(&mut self, ctx: &StepContext<'_, B>) -> Option<Transfer> {
        if let Some(current) = self.current.take() {
            return Some(current);
        }
        if !self.orphans.is_empty() {
            return None;
        }
        let now_epoch = ctx.bus.mapping_epoch();
        if let Some(PendingRequest { request, epoch }) = self.pending.take() {
            return Some(self.begin(Origin::Register, request, epoch, ctx.rules));
        }
        if let Some((id, request)) = self.host_queue.pop_front() {
            return Some(self.begin(Origin::Host { id }, request, now_epoch, ctx.rules));
        }
        if self.ring_status != DMA_STATUS_SUCCESS {
            return None;
        }
        let ring = self.ring.as_ref()?;
        if !ring.has_descriptor(ctx.now) {
            return None;
        }
        let is_first_look = ring
            .prefetch
            .is_some_and(|prefetch| prefetch.seen.is_none());
        let (index, request) = (ring.head(), ring.fetch());
        self.stage = if is_first_look {
            Stage::Poll
        } else {
            Stage::Fetch
        };
        Some(self.fetch(index, request, now_epoch))
    }

    /// The first transfer of a request.
    pub(crate) fn begin(
        &mut self,
        origin: Origin,
        request: Request,
        epoch: u64,
        rules: &AddressRules,
    ) -> Transfer {
        self.stage = Stage::Request;
        self.gather = None;
        if !Gather::is_needed(&request, origin, rules) {
            let transfer = Transfer::new(self.id, origin, request, epoch);
            self.fence = transfer.is_fence_of_all().then_some(Fence::Reached);
            return transfer;
        }
        let mut gather = Gather::new(self.id, origin, request, epoch);
        match gather.next(rules) {
            Next::Transfer(transfer) => {
                self.gather = Some(Box::new(gather));
                transfer
            }
            Next::Ended(record) => {
                let transfer = Transfer::new(self.id, origin, request, epoch);
                transfer.refused(record.status)
            }
        }
    }

    /// The transfer that fetches a descriptor.
    pub(crate) fn fetch(&self, index: u32, request: Request, epoch: u64) -> Transfer {
        Transfer::internal(
            self.id,
            Origin::DescriptorFetch { index },
            request,
            Operation::FetchDescriptor { bytes: [0; 64] },
            epoch,
        )
    }
}
