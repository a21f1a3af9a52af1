//! [`Bus`]: the engine's way to memory, for the time of one step.

use std::time::Instant;

use control_api::FunctionName;
use control_api::ledger::AccessDirection;
use dmarig_abi::Iova;
use endpoint::{BusFault, ChannelId, Direction, DmaBus, SubmitError, Ticket};
use recording::log::{Event, SubmitFailure};
use vfio_user::Connection;

use super::iommu_records;
use super::memory::DutMemory;
use super::messages::{Messages, Payload};
use crate::ledger::{IovaRange, Ledger, Requester};

pub(super) struct Bus<'a> {
    pub(super) memory: &'a mut DutMemory,
    pub(super) ledger: &'a mut Ledger,
    pub(super) messages: &'a mut Messages,
    pub(super) connection: Option<&'a mut Connection>,
    pub(super) channels: u8,
    pub(super) function: FunctionName,
    pub(super) channel: Option<u32>,
    pub(super) now: Instant,
}

impl Bus<'_> {
    fn judge(&mut self, iova: Iova, len: usize, direction: AccessDirection) {
        let who = Requester {
            function: self.function,
            channel: self.channel,
            epoch: self.memory.epoch(),
        };
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        self.ledger.judge(who, IovaRange::new(iova, len), direction);
    }

    /// Judges what an access reached: all of it, or the bytes before the fault.
    fn judge_reached(
        &mut self,
        iova: Iova,
        len: usize,
        outcome: Result<(), BusFault>,
        direction: AccessDirection,
    ) {
        let reached = match outcome {
            Ok(()) => len,
            Err(fault) => fault
                .iova
                .checked_offset_from(iova)
                .and_then(|reached| usize::try_from(reached).ok())
                .unwrap_or(0),
        };
        if reached > 0 {
            self.judge(iova, reached, direction);
        }
        if outcome.is_err() {
            self.note_remapping_fault();
        }
    }

    /// Adds what the device's own remapping unit has refused to the trace.
    fn note_remapping_fault(&mut self) {
        if let Some((fault, fate)) = self.memory.take_remapping_fault() {
            self.ledger.note(|| iommu_records::fault(&fault, fate));
        }
    }

    fn submit(&mut self, iova: Iova, payload: &Payload<'_>) -> Result<Ticket, SubmitError> {
        let (direction, judged) = match payload {
            Payload::Read { .. } => (Direction::Read, AccessDirection::Read),
            Payload::Write { .. } => (Direction::Write, AccessDirection::Write),
        };
        let len_bytes = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        let Some(target) = self.memory.message_target(iova, len_bytes, direction) else {
            self.note_remapping_fault();
            return Err(SubmitError::Unavailable);
        };
        let connection = self.connection.as_deref_mut();
        let tape = self.memory.tape_mut();
        let submitted = match tape.player() {
            Some(player) => self.messages.submit_again(player.submit_failure()),
            None => self.messages.submit(connection, target, payload, self.now),
        };
        if let Err(error) = submitted {
            tape.note(|| {
                Event::SubmitFailed(match error {
                    SubmitError::Busy => SubmitFailure::Busy,
                    SubmitError::Unavailable => SubmitFailure::Unavailable,
                })
            });
        }
        let ticket = submitted?;
        self.judge(iova, payload.len(), judged);
        Ok(ticket)
    }
}

impl DmaBus for Bus<'_> {
    fn mapping_epoch(&self) -> u64 {
        self.memory.epoch()
    }

    fn enter_channel(&mut self, channel: ChannelId) {
        let is_own = channel.number() < self.channels;
        self.channel = is_own.then(|| channel.number().into());
    }

    fn probe(&self, iova: Iova, len_bytes: u64, direction: Direction) -> Result<u64, BusFault> {
        self.memory.probe(iova, len_bytes, direction)
    }

    fn message_reach(&self, iova: Iova, len_bytes: u64, direction: Direction) -> u64 {
        self.memory.message_reach(iova, len_bytes, direction)
    }

    fn read_stale(&mut self, iova: Iova, buffer: &mut [u8]) -> bool {
        let is_reached = self.memory.read_stale(iova, buffer);
        if is_reached {
            self.judge(iova, buffer.len(), AccessDirection::Read);
        }
        is_reached
    }

    fn write_stale(&mut self, iova: Iova, data: &[u8]) -> bool {
        let is_reached = self.memory.write_stale(iova, data);
        if is_reached {
            self.judge(iova, data.len(), AccessDirection::Write);
        }
        is_reached
    }

    fn read(&mut self, iova: Iova, buffer: &mut [u8]) -> Result<(), BusFault> {
        let len = buffer.len();
        let outcome = self.memory.read(iova, buffer);
        self.judge_reached(iova, len, outcome, AccessDirection::Read);
        outcome
    }

    fn write(&mut self, iova: Iova, data: &[u8]) -> Result<(), BusFault> {
        let outcome = self.memory.write(iova, data);
        self.judge_reached(iova, data.len(), outcome, AccessDirection::Write);
        outcome
    }

    fn submit_read(&mut self, iova: Iova, len_bytes: usize) -> Result<Ticket, SubmitError> {
        self.submit(iova, &Payload::Read { len: len_bytes })
    }

    fn submit_write(&mut self, iova: Iova, data: &[u8]) -> Result<Ticket, SubmitError> {
        self.submit(iova, &Payload::Write { data })
    }
}
