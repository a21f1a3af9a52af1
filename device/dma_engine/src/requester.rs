//! [`DmaRequester`]: the engine's transfers for an endpoint whose registers are its own.
//!
//! A job goes the ways that the engine's requests go: slices, both paths, fall-back, records and
//! sabotage are those of [`crate::transfer`]. Jobs of one channel run in order, one at a time; a job is
//! handed back when every message that it sent has been answered, so what an endpoint shows then
//! cannot overtake its writes.

mod lane;

use std::collections::VecDeque;

use dmarig_abi::Iova;
use dmarig_abi::completion::{DMA_STATUS_BUS_MASTER_OFF, DMA_STATUS_POWER_STATE};
use endpoint::{
    ChannelId, EndpointEvent, HostQueueFull, LiveReference, MessageError, Origin, PowerState,
    Progress, Request, RequestRecord, Sabotage, Ticket, WorkContext,
};
use thiserror::Error;

use crate::address_rules::AddressRules;
use crate::sabotage::SabotagePlan;
use crate::transfer::{Scratch, StepContext};
use crate::turn::SLICE_BUDGET_BYTES;
use lane::Lane;

/// Most jobs that wait on one channel.
const QUEUE_MAX: usize = 64;
/// Longest [`DmaJob::Read`] and [`DmaJob::Write`] in bytes; a [`DmaJob::Request`] has no such bound.
const BYTES_MAX: usize = 1 << 20;

/// One access or request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DmaJob {
    /// Reads bytes, which [`DmaDone::bytes`] brings.
    Read {
        /// First byte.
        iova: Iova,
        /// Length in bytes.
        len_bytes: u32,
    },
    /// Writes bytes.
    Write {
        /// First byte.
        iova: Iova,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// One of the engine's operations, `DMA_OP_*`, of any length; no byte of it is kept.
    Request(Request),
}

/// A job that has ended.
#[derive(Clone, Debug)]
pub struct DmaDone {
    /// The number that [`DmaRequester::submit`] returned.
    pub id: u64,
    /// What came of it; `record.status` first of all.
    pub record: RequestRecord,
    /// What [`DmaJob::Read`] has read: as many bytes as were asked for, zeros behind a fault.
    pub bytes: Vec<u8>,
}

/// The channel has as much to do as it can hold, or the job is longer than any may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{queued} jobs wait on this channel, and {len_bytes:#x} bytes are asked for")]
pub struct DmaQueueFull {
    /// Jobs that wait.
    pub queued: usize,
    /// Bytes of the job refused.
    pub len_bytes: u64,
}

/// Who does the DMA of an endpoint.
#[derive(Debug)]
pub struct DmaRequester {
    /// The endpoint's channels, then the host's.
    lanes: Vec<Lane>,
    turn: usize,
    last_id: u64,
    rules: AddressRules,
    is_bus_master: bool,
    power_state: PowerState,
    sabotage: SabotagePlan,
    scratch: Scratch,
    done: VecDeque<DmaDone>,
    events: Vec<EndpointEvent>,
}

impl DmaRequester {
    /// A requester with `channels` channels, at least one, that drives `address_width_bits` bits.
    #[must_use]
    pub fn new(channels: u8, address_width_bits: u8) -> Self {
        let channels = channels.clamp(1, u8::MAX - 1);
        let lanes = (0..=channels).map(|number| Lane::new(ChannelId::new(number)));
        Self {
            lanes: lanes.collect(),
            turn: 0,
            last_id: 0,
            rules: AddressRules::of_width(address_width_bits),
            is_bus_master: false,
            power_state: PowerState::D0,
            sabotage: SabotagePlan::default(),
            scratch: Scratch::new(),
            done: VecDeque::new(),
            events: Vec::new(),
        }
    }

    /// Channels without the host's.
    #[must_use]
    pub fn channel_count(&self) -> u8 {
        u8::try_from(self.lanes.len() - 1).unwrap_or(u8::MAX)
    }

    /// Queues a job on a channel and returns its number. `origin` is what the ledger is told.
    ///
    /// # Errors
    /// [`DmaQueueFull`], also for a channel that is none.
    pub fn submit(
        &mut self,
        channel: ChannelId,
        origin: Origin,
        job: DmaJob,
        mapping_epoch: u64,
    ) -> Result<u64, DmaQueueFull> {
        let len_bytes = job.len_bytes();
        let is_host = channel.number() >= self.channel_count();
        let lane = self.lanes.get_mut(channel.index()).filter(|_| !is_host);
        let queued = lane.as_ref().map_or(0, |lane| lane.queued());
        let is_too_long = job.holds_bytes() && len_bytes > BYTES_MAX as u64;
        let Some(lane) = lane.filter(|_| queued < QUEUE_MAX && !is_too_long) else {
            return Err(DmaQueueFull { queued, len_bytes });
        };
        self.last_id += 1;
        lane.push(self.last_id, origin, job, mapping_epoch);
        Ok(self.last_id)
    }

    /// The next job that has ended; the host's are not among them.
    pub fn take_done(&mut self) -> Option<DmaDone> {
        self.done.pop_front()
    }

    /// Whether nothing waits or is under way on a channel.
    #[must_use]
    pub fn is_idle(&self, channel: ChannelId) -> bool {
        self.lanes.get(channel.index()).is_none_or(Lane::is_idle)
    }

    /// Works for one slice: [`endpoint::Endpoint::work`].
    pub fn work(&mut self, context: &mut WorkContext<'_>) -> Progress {
        let gate = match (self.power_state, self.is_bus_master) {
            (PowerState::Low, _) => Err(DMA_STATUS_POWER_STATE),
            (PowerState::D0, false) => Err(DMA_STATUS_BUS_MASTER_OFF),
            (PowerState::D0, true) => Ok(()),
        };
        for _ in 0..self.lanes.len() {
            let turn = self.turn;
            self.turn = (turn + 1) % self.lanes.len();
            let Some(lane) = self.lanes.get_mut(turn) else {
                continue;
            };
            context.bus.enter_channel(lane.id());
            let mut step = StepContext {
                bus: &mut context.bus,
                scratch: &mut self.scratch,
                sabotage: &mut self.sabotage,
                gate,
                rules: &self.rules,
                now: context.now,
                budget_bytes: SLICE_BUDGET_BYTES,
            };
            let (has_worked, ended) = lane.run(&mut step);
            if let Some(done) = ended {
                self.publish(done);
            }
            if has_worked {
                return Progress::More;
            }
        }
        Progress::Idle
    }

    /// [`endpoint::Endpoint::message_done`].
    pub fn message_done(&mut self, ticket: Ticket, answer: Result<&[u8], MessageError>) {
        let _ = self
            .lanes
            .iter_mut()
            .any(|lane| lane.message_done(ticket, answer));
    }

    /// [`endpoint::Endpoint::disconnected`].
    pub fn disconnected(&mut self) {
        self.lanes.iter_mut().for_each(Lane::disconnected);
    }

    /// Ends every job with `DMA_STATUS_ABORTED`; none of the endpoint's is handed back.
    pub fn reset(&mut self, mapping_epoch: u64) {
        let lanes = self.lanes.iter_mut();
        let aborted: Vec<_> = lanes.flat_map(|lane| lane.abort(mapping_epoch)).collect();
        self.done.clear();
        let records = aborted.into_iter().map(Box::new);
        self.events.extend(records.map(EndpointEvent::RequestDone));
        self.sabotage.forget_held();
    }

    /// [`endpoint::Endpoint::set_bus_master`].
    pub fn set_bus_master(&mut self, enabled: bool) {
        self.is_bus_master = enabled;
    }

    /// [`endpoint::Endpoint::set_power_state`].
    pub fn set_power_state(&mut self, state: PowerState) {
        self.power_state = state;
    }

    /// The ranges of the jobs that wait or are under way, without a ring's upkeep.
    pub fn live_references(&self) -> impl Iterator<Item = LiveReference> {
        self.lanes.iter().flat_map(Lane::live_references)
    }

    /// The records of what has ended since the last call.
    pub fn take_events(&mut self) -> Vec<EndpointEvent> {
        std::mem::take(&mut self.events)
    }

    /// [`endpoint::Endpoint::submit_host`].
    ///
    /// # Errors
    /// [`HostQueueFull`].
    pub fn submit_host(&mut self, request: Request) -> Result<u64, HostQueueFull> {
        let host = self.lanes.last_mut().expect("new() made this lane");
        let queued = host.queued();
        if queued >= QUEUE_MAX {
            return Err(HostQueueFull { queued });
        }
        self.last_id += 1;
        let id = self.last_id;
        host.push(id, Origin::Host { id }, DmaJob::Request(request), 0);
        Ok(id)
    }

    /// [`endpoint::Endpoint::set_sabotage`].
    pub fn set_sabotage(&mut self, sabotage: Option<Sabotage>, times: u32) {
        self.sabotage.set(sabotage, times);
    }

    /// [`endpoint::Endpoint::sabotage_fired`].
    #[must_use]
    pub fn sabotage_fired(&self) -> u32 {
        self.sabotage.fired()
    }

    /// The named point: whether a vector that an endpoint is about to raise for a job is lost.
    pub fn takes_interrupt(&mut self) -> bool {
        self.sabotage.takes_interrupt()
    }

    fn publish(&mut self, done: DmaDone) {
        let record = Box::new(done.record.clone());
        self.events.push(EndpointEvent::RequestDone(record));
        if !matches!(done.record.origin, Origin::Host { .. }) {
            self.done.push_back(done);
        }
    }
}

impl DmaJob {
    fn len_bytes(&self) -> u64 {
        match self {
            Self::Read { len_bytes, .. } => u64::from(*len_bytes),
            Self::Write { bytes, .. } => bytes.len() as u64,
            Self::Request(request) => request.length_bytes,
        }
    }

    fn holds_bytes(&self) -> bool {
        !matches!(self, Self::Request(_))
    }
}
