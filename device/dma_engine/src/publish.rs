//! What follows a transfer that is over, in the order that the driver relies on.
//!
//! A descriptor of a ring goes: fetch, its lists, its pieces, the descriptors chained to it, with prefetch
//! another look and the owner bit, completion entry, with index mode the index, cause bit and vector. Each
//! of these is a transfer that begins when the one before it has ended with all its messages answered.

use dmarig_abi::Iova;
use dmarig_abi::completion::DMA_STATUS_SUCCESS;
use dmarig_abi::descriptor::{
    CHAIN_MAX_DESCRIPTORS, DESCRIPTOR_FLAG_OWNED, DESCRIPTOR_SIZE_BYTES, DMA_OP_INTERRUPT,
};
use endpoint::{Finding, FindingKind, Sabotage};

use crate::bus::DmaBus;
use crate::channel::{Channel, Outbox, RegisterResult, Stage};
use crate::channel_id::ChannelId;
use crate::entry::{ChainFault, decode, has_message};
use crate::event::{EndpointEvent, Origin, RequestRecord};
use crate::gather::Next;
use crate::operation::Operation;
use crate::prefetch::{DescriptorBytes, difference};
use crate::ring::fetch_at;
use crate::sabotage::SabotagePlan;
use crate::transfer::{StepContext, Transfer};

impl Channel {
    /// Publishes a transfer that is over, and begins what follows it.
    pub(crate) fn finish<B: DmaBus>(
        &mut self,
        transfer: Transfer,
        ctx: &mut StepContext<'_, B>,
        outbox: &mut Outbox<'_>,
    ) {
        let epoch = ctx.bus.mapping_epoch();
        let has_interrupted = transfer.has_interrupted();
        let is_asked = self.wants_interrupt(&transfer) && !has_interrupted;
        let (record, operation) = transfer.finish(epoch);
        let is_success = record.status == DMA_STATUS_SUCCESS;
        match self.stage {
            Stage::Request => self.request_transfer_over(record, operation, is_asked, ctx, outbox),
            Stage::Chain => self.chained_fetched(record, &operation, ctx, outbox),
            _ if !is_success => self.stop_ring(record, ctx, outbox),
            Stage::Poll => self.polled(record, &operation, ctx),
            Stage::Fetch => self.fetched(record, &operation, ctx, outbox),
            Stage::Check => self.checked(record, &operation, ctx, outbox),
            Stage::Release => {
                outbox.events.push(done(record));
                self.begin_completion(epoch);
            }
            Stage::Completion => {
                outbox.events.push(done(record));
                self.completed(is_asked, has_interrupted, ctx, outbox);
            }
            Stage::Index => {
                outbox.events.push(done(record));
                self.entry_over(is_asked, ctx, outbox);
            }
        }
    }

    /// Whether the driver asked for an interrupt at the end of this transfer.
    pub(crate) fn wants_interrupt(&self, transfer: &Transfer) -> bool {
        match transfer.origin() {
            Origin::CompletionEntry { .. } | Origin::ProducerIndex { .. } => {
                let entry = self.ring.as_ref().and_then(|ring| ring.entry.as_ref());
                entry.is_some_and(|entry| entry.wants_interrupt)
            }
            _ => transfer.wants_interrupt(),
        }
    }

    /// A request's transfer: its next one, or its end.
    fn request_transfer_over<B: DmaBus>(
        &mut self,
        record: RequestRecord,
        operation: Operation,
        is_asked: bool,
        ctx: &mut StepContext<'_, B>,
        outbox: &mut Outbox<'_>,
    ) {
        let Some(mut gather) = self.gather.take() else {
            return self.request_over(record, is_asked, ctx, outbox);
        };
        if matches!(record.origin, Origin::ListFetch { .. }) {
            outbox.events.push(done(record.clone()));
        }
        match gather.take(record, operation, ctx.rules) {
            Next::Transfer(transfer) => {
                self.gather = Some(gather);
                self.current = Some(transfer);
            }
            Next::Ended(record) => {
                let is_asked = record.request.wants_interrupt();
                self.request_over(record, is_asked, ctx, outbox);
            }
        }
    }

    fn request_over<B: DmaBus>(
        &mut self,
        record: RequestRecord,
        is_asked: bool,
        ctx: &mut StepContext<'_, B>,
        outbox: &mut Outbox<'_>,
    ) {
        let is_success = record.status == DMA_STATUS_SUCCESS;
        let raises = is_success && record.request.opcode == DMA_OP_INTERRUPT;
        match record.origin {
            Origin::Register => {
                self.publish_result(&record);
                outbox.events.push(done(record));
                self.ended += 1;
                outbox.request_ended(self.id(), is_asked || raises, ctx.sabotage);
            }
            Origin::Ring { .. } => {
                if let Some(entry) = self.ring.as_mut().and_then(|ring| ring.entry.as_mut()) {
                    entry.note(&record);
                }
                outbox.events.push(done(record));
                if raises {
                    outbox.request_ended(self.id(), true, ctx.sabotage);
                }
                self.follow_chain(ctx, outbox);
            }
            _ => outbox.events.push(done(record)),
        }
    }

    /// The next descriptor of the chain, or what comes after the last.
    fn follow_chain<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>, outbox: &mut Outbox<'_>) {
        let epoch = ctx.bus.mapping_epoch();
        let last_address = ctx.rules.last_address();
        let entry = self.ring.as_mut().and_then(|ring| ring.entry.as_mut());
        let Some(entry) = entry else { return };
        if entry.next().is_some() && ctx.sabotage.strikes(Sabotage::IgnoreChain) {
            entry.cut();
        }
        let (index, next) = (entry.index, entry.next());
        match entry.follow(last_address) {
            Some(Ok(next)) => {
                self.stage = Stage::Chain;
                self.current = Some(self.fetch(index, fetch_at(next), epoch));
            }
            Some(Err(fault)) => {
                let next = next.unwrap_or(Iova::new(0));
                outbox
                    .events
                    .push(chain_finding(self.id(), index, next, fault));
                self.requests_over(epoch);
            }
            None => self.requests_over(epoch),
        }
    }

    fn chained_fetched<B: DmaBus>(
        &mut self,
        record: RequestRecord,
        operation: &Operation,
        ctx: &mut StepContext<'_, B>,
        outbox: &mut Outbox<'_>,
    ) {
        let epoch = ctx.bus.mapping_epoch();
        let status = record.status;
        outbox.events.push(done(record));
        let entry = self.ring.as_mut().and_then(|ring| ring.entry.as_mut());
        let (Some(entry), Operation::FetchDescriptor { bytes }) = (entry, operation) else {
            return;
        };
        if status != DMA_STATUS_SUCCESS {
            entry.fail(status);
            return self.requests_over(epoch);
        }
        let request = decode(bytes);
        entry.begin(&request);
        let origin = Origin::Ring { index: entry.index };
        self.current = Some(self.begin(origin, request, epoch, ctx.rules));
    }

    /// All descriptors of the chain are done.
    fn requests_over(&mut self, epoch: u64) {
        let Some(ring) = &self.ring else { return };
        if ring.prefetch.is_none() {
            return self.begin_completion(epoch);
        }
        let index = ring.entry.as_ref().map_or(0, |entry| entry.index);
        let request = ring.fetch_again();
        self.stage = Stage::Check;
        self.current = Some(self.fetch(index, request, epoch));
    }

    /// Prefetch: the descriptor at the head was looked at.
    fn polled<B: DmaBus>(
        &mut self,
        record: RequestRecord,
        operation: &Operation,
        ctx: &mut StepContext<'_, B>,
    ) {
        // Polls are not recorded: how many there are hangs on time alone.
        drop(record);
        let prefetch = self.ring.as_mut().and_then(|ring| ring.prefetch.as_mut());
        let (Some(prefetch), Operation::FetchDescriptor { bytes }) = (prefetch, operation) else {
            return;
        };
        if is_owned(bytes) {
            prefetch.note_seen(*bytes, ctx.now);
        } else {
            prefetch.note_nothing(ctx.now);
        }
    }

    fn fetched<B: DmaBus>(
        &mut self,
        record: RequestRecord,
        operation: &Operation,
        ctx: &mut StepContext<'_, B>,
        outbox: &mut Outbox<'_>,
    ) {
        outbox.events.push(done(record));
        let id = self.id();
        let (Some(ring), Operation::FetchDescriptor { bytes }) = (&mut self.ring, operation) else {
            return;
        };
        let index = ring.head();
        let at = ring.at(index);
        if let Some(prefetch) = &mut ring.prefetch {
            let seen = prefetch.seen.take().unwrap_or(*bytes);
            let when = "between its owner bit and its fetch";
            let change = changed(id, index, at, when, [&seen, bytes]);
            outbox.events.extend(tell(change, ctx.sabotage));
            if !is_owned(bytes) {
                // It was taken back: there is nothing to do any more.
                return prefetch.note_nothing(ctx.now);
            }
        }
        let request = ring.take_descriptor(bytes);
        let epoch = ctx.bus.mapping_epoch();
        self.current = Some(self.begin(Origin::Ring { index }, request, epoch, ctx.rules));
    }

    /// Prefetch: the descriptor was looked at once more.
    fn checked<B: DmaBus>(
        &mut self,
        record: RequestRecord,
        operation: &Operation,
        ctx: &mut StepContext<'_, B>,
        outbox: &mut Outbox<'_>,
    ) {
        let epoch = ctx.bus.mapping_epoch();
        outbox.events.push(done(record));
        let id = self.id();
        let ring = self.ring.as_ref();
        let entry = ring.and_then(|ring| Some((ring, ring.entry.as_ref()?)));
        let (Some((ring, entry)), Operation::FetchDescriptor { bytes }) = (entry, operation) else {
            return;
        };
        let index = entry.index;
        let when = "between its fetch and its completion";
        let change = changed(id, index, ring.at(index), when, [&entry.descriptor, bytes]);
        outbox.events.extend(tell(change, ctx.sabotage));
        let Some((request, bytes)) = ring.release() else {
            return;
        };
        let operation = Operation::WriteBytes { bytes };
        let origin = Origin::DescriptorRelease { index };
        self.stage = Stage::Release;
        self.current = Some(Transfer::internal(id, origin, request, operation, epoch));
    }

    fn begin_completion(&mut self, epoch: u64) {
        let completion = self.ring.as_ref().and_then(|ring| ring.completion());
        let Some((index, request, bytes)) = completion else {
            return;
        };
        let operation = Operation::StoreCompletion { bytes };
        let origin = Origin::CompletionEntry { index };
        self.stage = Stage::Completion;
        self.current = Some(Transfer::internal(
            self.id(),
            origin,
            request,
            operation,
            epoch,
        ));
    }

    fn completed<B: DmaBus>(
        &mut self,
        is_asked: bool,
        has_interrupted: bool,
        ctx: &mut StepContext<'_, B>,
        outbox: &mut Outbox<'_>,
    ) {
        let id = self.id();
        let Some(ring) = &mut self.ring else { return };
        ring.completion_written();
        let Some((index, request, mut bytes)) = ring.producer_index() else {
            return self.entry_over(is_asked, ctx, outbox);
        };
        if ctx.sabotage.strikes(Sabotage::StaleIndex) {
            bytes = ring.index_before();
        }
        if let Some(entry) = &mut ring.entry {
            entry.wants_interrupt &= !has_interrupted;
        }
        let operation = Operation::WriteBytes { bytes };
        let origin = Origin::ProducerIndex { index };
        let epoch = ctx.bus.mapping_epoch();
        self.stage = Stage::Index;
        self.current = Some(Transfer::internal(id, origin, request, operation, epoch));
    }

    /// Everything about a descriptor of the ring is visible.
    fn entry_over<B: DmaBus>(
        &mut self,
        is_asked: bool,
        ctx: &mut StepContext<'_, B>,
        outbox: &mut Outbox<'_>,
    ) {
        if let Some(ring) = &mut self.ring {
            ring.entry = None;
            if let Some(prefetch) = &mut ring.prefetch {
                prefetch.hurry();
            }
        }
        self.ended += 1;
        outbox.request_ended(self.id(), is_asked, ctx.sabotage);
    }

    /// The ring's upkeep has failed.
    fn stop_ring<B: DmaBus>(
        &mut self,
        record: RequestRecord,
        ctx: &mut StepContext<'_, B>,
        outbox: &mut Outbox<'_>,
    ) {
        self.ring_status = record.status;
        outbox.events.push(done(record));
        if let Some(ring) = &mut self.ring {
            self.ended += ring.backlog();
            ring.entry = None;
        }
        // The driver waits for an entry that will not come, so it is told in any case.
        outbox.request_ended(self.id(), true, ctx.sabotage);
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
}

impl Outbox<'_> {
    pub(crate) fn request_ended(
        &mut self,
        channel: ChannelId,
        is_asked: bool,
        sabotage: &mut SabotagePlan,
    ) {
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

fn is_owned(bytes: &DescriptorBytes) -> bool {
    decode(bytes).flags & DESCRIPTOR_FLAG_OWNED != 0
}

/// The finding that a descriptor changed while it was the device's, if it did.
fn changed(
    channel: ChannelId,
    index: u32,
    at: Iova,
    when: &str,
    [before, after]: [&DescriptorBytes; 2],
) -> Option<EndpointEvent> {
    let difference = difference(before, after)?;
    Some(finding(Finding {
        kind: FindingKind::DescriptorChanged,
        channel,
        iova: at,
        len_bytes: DESCRIPTOR_SIZE_BYTES as u64,
        detail: format!("descriptor {index} at IOVA {at} changed {when}: {difference}"),
    }))
}

/// What is told of a change.
fn tell(change: Option<EndpointEvent>, sabotage: &mut SabotagePlan) -> Option<EndpointEvent> {
    change.filter(|_| !sabotage.strikes(Sabotage::OverlookChange))
}

fn chain_finding(channel: ChannelId, index: u32, next: Iova, fault: ChainFault) -> EndpointEvent {
    let why = match fault {
        ChainFault::Address => {
            "which is not 64-byte aligned or above the device's addresses".to_owned()
        }
        ChainFault::Loop => "which the chain has been at already".to_owned(),
        ChainFault::Length => format!("but it has {CHAIN_MAX_DESCRIPTORS} descriptors already"),
    };
    finding(Finding {
        kind: FindingKind::BadChain,
        channel,
        iova: next,
        len_bytes: DESCRIPTOR_SIZE_BYTES as u64,
        detail: format!("the chain of descriptor {index} goes on at IOVA {next}, {why}"),
    })
}

fn finding(finding: Finding) -> EndpointEvent {
    EndpointEvent::Finding(Box::new(finding))
}
