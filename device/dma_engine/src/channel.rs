//! [`Channel`]: registers, ring and the one transfer that is under way.
//!
//! A channel does one thing at a time: a request of register mode first, then the host's, then the
//! next descriptor. That one request is over, with all its messages answered, before its completion
//! entry is written, and the entry is answered before cause bit and vector follow.

use std::collections::VecDeque;

use dmarig_abi::completion::{DMA_STATUS_ABORTED, DMA_STATUS_NONE, DMA_STATUS_SUCCESS};
use dmarig_abi::registers::{CH_STATUS_BUSY, CH_STATUS_MESSAGE, RING_ENABLE};

use crate::bus::{DmaBus, MessageError, Ticket};
use crate::channel_id::ChannelId;
use crate::event::{EndpointEvent, Origin, RequestRecord};
use crate::interrupt::InterruptUnit;
use crate::operation::Operation;
use crate::register_file::{RegisterId, RegisterWrite};
use crate::request::Request;
use crate::ring::{Ring, has_message};
use crate::sabotage::SabotagePlan;
use crate::transfer::{Step, StepContext, Transfer, TransferRanges};

/// The read-write registers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ChannelRegisters {
    pub source: u64,
    pub destination: u64,
    pub length_bytes: u64,
    pub seed: u64,
    pub ring_base: u64,
    pub completion_base: u64,
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
    current: Option<Transfer>,
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
            RegisterId::RingControl => u64::from(self.ring.map_or(0, |_| RING_ENABLE)),
            RegisterId::RingTail => u64::from(registers.ring_tail),
            RegisterId::RingHead => u64::from(self.ring.map_or(0, |ring| ring.head())),
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
        epoch: u64,
    ) -> Option<RequestRecord> {
        let registers = &mut self.registers;
        let register_64 = match register {
            RegisterId::Command if write.covers_first_byte() => {
                return self.ring_command(write.over_u32(0), epoch);
            }
            RegisterId::RingControl if write.covers_first_byte() => {
                return self.ring_control(write.over_u32(0), epoch);
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
            _ => return None,
        };
        *register_64 = write.over(*register_64);
        None
    }

    /// Whether a turn would not be in vain. Cheap, as every channel is asked all the time.
    pub(crate) fn has_work(&self) -> bool {
        self.current.is_some()
            || self.pending.is_some()
            || !self.host_queue.is_empty()
            || self.ring.as_ref().is_some_and(Ring::has_descriptor)
    }

    /// Works until nothing is left to do without an event, or the turn is used up.
    pub(crate) fn run_turn<B: DmaBus>(
        &mut self,
        ctx: &mut StepContext<'_, B>,
        outbox: &mut Outbox<'_>,
    ) {
        while ctx.budget_bytes > 0 {
            let Some(mut transfer) = self.take_work(ctx.bus.mapping_epoch()) else {
                return;
            };
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
        let abort = |transfer: Transfer| transfer.abort(DMA_STATUS_ABORTED, epoch);
        let mut records = Vec::new();
        if let Some((record, unanswered)) = self.current.take().map(abort) {
            records.push(record);
            self.orphans.extend(unanswered);
        }
        if let Some(pending) = self.pending.take() {
            let transfer = Transfer::new(self.id, Origin::Register, pending.request, pending.epoch);
            records.push(abort(transfer).0);
        }
        for (id, request) in std::mem::take(&mut self.host_queue) {
            let transfer = Transfer::new(self.id, Origin::Host { id }, request, epoch);
            records.push(abort(transfer).0);
        }
        events.extend(records.into_iter().map(done));
        let orphans = std::mem::take(&mut self.orphans);
        *self = Self {
            orphans,
            ..Self::new(self.id)
        };
    }

    /// Ends what the ring has under way.
    pub(crate) fn abort_ring_work(&mut self, status: u16, epoch: u64) -> Option<RequestRecord> {
        let is_rings = |transfer: &mut Transfer| {
            !matches!(transfer.origin(), Origin::Register | Origin::Host { .. })
        };
        let transfer = self.current.take_if(is_rings)?;
        let (record, unanswered) = transfer.abort(status, epoch);
        self.orphans.extend(unanswered);
        Some(record)
    }

    /// The ranges of the guest's or host's request under way and of the one that is latched. The
    /// ring's own accesses lie in the rings.
    pub(crate) fn requests_under_way(&self) -> impl Iterator<Item = TransferRanges> {
        let is_request = |transfer: &&Transfer| {
            matches!(
                transfer.origin(),
                Origin::Register | Origin::Ring { .. } | Origin::Host { .. }
            )
        };
        let current = self.current.as_ref().filter(is_request);
        let pending = self.pending.map(|pending| {
            Transfer::new(self.id, Origin::Register, pending.request, pending.epoch).ranges()
        });
        current.map(Transfer::ranges).into_iter().chain(pending)
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
    fn take_work(&mut self, epoch: u64) -> Option<Transfer> {
        if let Some(current) = self.current.take() {
            return Some(current);
        }
        if !self.orphans.is_empty() {
            return None;
        }
        if let Some(PendingRequest { request, epoch }) = self.pending.take() {
            return Some(Transfer::new(self.id, Origin::Register, request, epoch));
        }
        if let Some((id, request)) = self.host_queue.pop_front() {
            return Some(Transfer::new(self.id, Origin::Host { id }, request, epoch));
        }
        if self.ring_status != DMA_STATUS_SUCCESS {
            return None;
        }
        let (index, request) = self.ring.as_ref()?.next_descriptor()?;
        Some(Transfer::internal(
            self.id,
            Origin::DescriptorFetch { index },
            request,
            Operation::FetchDescriptor { bytes: [0; 64] },
            epoch,
        ))
    }

    /// Publishes a transfer that is over, in the order that the driver relies on.
    fn finish<B: DmaBus>(
        &mut self,
        transfer: Transfer,
        ctx: &mut StepContext<'_, B>,
        outbox: &mut Outbox<'_>,
    ) {
        let epoch = ctx.bus.mapping_epoch();
        let is_asked = self.wants_interrupt(&transfer) && !transfer.has_interrupted();
        let (record, operation) = transfer.finish(epoch);
        let is_success = record.status == DMA_STATUS_SUCCESS;
        let status = record.status;
        match record.origin {
            Origin::Register => {
                self.publish_result(&record);
                outbox.events.push(done(record));
                outbox.request_ended(self.id, is_asked, ctx.sabotage);
            }
            Origin::Host { .. } => outbox.events.push(done(record)),
            Origin::Ring { .. } => {
                self.current = self.completion_transfer(&record, epoch);
                outbox.events.push(done(record));
            }
            Origin::DescriptorFetch { index } if is_success => {
                outbox.events.push(done(record));
                self.current = self.descriptor_transfer(index, &operation, epoch);
            }
            Origin::CompletionEntry { .. } if is_success => {
                outbox.events.push(done(record));
                if let Some(ring) = &mut self.ring {
                    ring.completion_written();
                    outbox.request_ended(self.id, is_asked, ctx.sabotage);
                }
            }
            Origin::DescriptorFetch { .. } | Origin::CompletionEntry { .. } => {
                outbox.events.push(done(record));
                self.ring_status = status;
                // The driver waits for an entry that will not come, so it is told in any case.
                outbox.request_ended(self.id, true, ctx.sabotage);
            }
        }
    }

    /// Whether the driver asked for an interrupt at the end of this transfer.
    fn wants_interrupt(&self, transfer: &Transfer) -> bool {
        match transfer.origin() {
            Origin::CompletionEntry { .. } => {
                self.ring.as_ref().is_some_and(|ring| ring.wants_interrupt)
            }
            _ => transfer.wants_interrupt(),
        }
    }

    fn publish_result(&mut self, record: &RequestRecord) {
        self.result = RegisterResult {
            status: record.status,
            has_message: has_message(record.path),
            crc32c: record.crc32c,
            expected: record.expected,
            seen: record.seen,
            mismatch_offset: record.mismatch_offset.unwrap_or(u64::MAX),
            done_bytes: record.done_bytes,
            epoch: record.epoch_at_issue,
        };
    }

    fn descriptor_transfer(
        &mut self,
        index: u32,
        fetched: &Operation,
        epoch: u64,
    ) -> Option<Transfer> {
        let Operation::FetchDescriptor { bytes } = fetched else {
            return None;
        };
        let request = self.ring.as_mut()?.take_descriptor(bytes);
        Some(Transfer::new(
            self.id,
            Origin::Ring { index },
            request,
            epoch,
        ))
    }

    fn completion_transfer(&self, record: &RequestRecord, epoch: u64) -> Option<Transfer> {
        let (index, request, bytes) = self.ring.as_ref()?.completion(record);
        Some(Transfer::internal(
            self.id,
            Origin::CompletionEntry { index },
            request,
            Operation::StoreCompletion { bytes },
            epoch,
        ))
    }
}

impl Outbox<'_> {
    fn request_ended(&mut self, channel: ChannelId, is_asked: bool, sabotage: &mut SabotagePlan) {
        let is_asked = is_asked && !sabotage.takes_interrupt();
        if let Some(vector) = self.interrupts.request_ended(channel, is_asked) {
            self.events.push(EndpointEvent::Interrupt { vector });
        }
    }
}

/// A record as an event.
pub(crate) fn done(record: RequestRecord) -> EndpointEvent {
    EndpointEvent::RequestDone(Box::new(record))
}
