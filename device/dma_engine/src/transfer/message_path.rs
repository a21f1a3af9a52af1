//! The message path of a [`Transfer`]: chunks are planned, sent, answered and accounted for in order.

use dmarig_abi::Iova;
use dmarig_abi::completion::DMA_STATUS_ADDRESS;

use super::{
    INTERRUPT_RANGE, Scratch, StepContext, Transfer, advance, clamp_len, refusal, to_page_end,
};
use crate::bus::{BusFault, DmaBus, MESSAGE_MAX_SIZE_BYTES, SubmitError};
use crate::event::AccessPath;
use crate::request::RequestMode;
use crate::sabotage::{WriteAction, change_byte, flip_bit};
use crate::stage::{Stage, StageState};

impl Transfer {
    /// Adds chunks, sends messages and accounts for chunks that have ended; whether anything moved.
    pub(super) fn move_stages<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>) -> bool {
        let mut has_moved = false;
        while self.mode == RequestMode::Message
            && self.ending.is_none()
            && self.remaining_bytes() > 0
            && self.pipeline.is_open()
        {
            let stage = self.plan_stage(ctx.bus);
            self.begun_bytes += stage.len_bytes();
            self.pipeline.push(stage);
            has_moved = true;
        }
        if self.ending.is_none() {
            has_moved |= self.send_stages(ctx);
        }
        while let Some(stage) = self.pipeline.pop_ended() {
            has_moved = true;
            self.retire(stage, ctx.scratch);
        }
        has_moved
    }

    /// Cuts the next chunk of a request that goes by message. The table says where the platform is
    /// likely to refuse, and the chunk ends in front of that, so that `done_bytes` is exact.
    fn plan_stage(&self, bus: &impl DmaBus) -> Stage {
        let offset = self.begun_bytes;
        let wanted = self.remaining_bytes().min(MESSAGE_MAX_SIZE_BYTES as u64);
        let (wanted, state) = match self.message_reach(bus, offset, wanted) {
            Ok(wanted) if self.operation.reads() => (wanted, StageState::Fetch),
            Ok(wanted) => (wanted, StageState::Fetched),
            Err(iova) => {
                let status = DMA_STATUS_ADDRESS;
                (wanted, StageState::Failed { status, iova })
            }
        };
        let wanted = self.access_bytes(bus, offset, wanted);
        let (len_bytes, table_fault) = self.uniform_bytes(bus, offset, wanted);
        let mut data = vec![0; clamp_len(len_bytes, MESSAGE_MAX_SIZE_BYTES)];
        if !self.operation.reads() {
            self.operation.generate(offset, &mut data);
        }
        Stage {
            offset,
            data,
            state,
            store_by_message: true,
            table_fault,
        }
    }

    /// Bytes from `offset` on, at most `wanted`, that one message can carry and that lie in front of the
    /// interrupt addresses; the address itself if `offset` lies among them.
    pub(super) fn message_reach(
        &self,
        bus: &impl DmaBus,
        offset: u64,
        wanted: u64,
    ) -> Result<u64, Iova> {
        let mut reach = wanted;
        for (start, direction) in self.sides() {
            let Some(start) = start else { continue };
            let iova = advance(start, offset);
            if INTERRUPT_RANGE.contains(&iova.raw()) {
                return Err(iova);
            }
            if let Some(distance) = INTERRUPT_RANGE.start.checked_sub(iova.raw()) {
                reach = reach.min(distance);
            }
            reach = bus.message_reach(iova, reach, direction).clamp(1, reach);
        }
        Ok(reach)
    }

    /// Bytes from `offset` on of which the table says the same: all permitted, or one refused page.
    pub(super) fn uniform_bytes(
        &self,
        bus: &impl DmaBus,
        offset: u64,
        wanted: u64,
    ) -> (u64, Option<BusFault>) {
        let mut permitted = 0;
        while permitted < wanted {
            match self.permitted_bytes(bus, offset + permitted, wanted - permitted) {
                Ok(len_bytes) => permitted += len_bytes,
                Err(_) if permitted > 0 => break,
                Err(fault) => return (wanted.min(to_page_end(fault.iova)), refusal(fault)),
            }
        }
        (permitted, None)
    }

    /// Sends what can be sent, writes in order; whether anything was.
    fn send_stages<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>) -> bool {
        // The stages leave the transfer for the time being, so that its other parts can be used.
        let mut pipeline = std::mem::take(&mut self.pipeline);
        let mut has_moved = false;
        let mut may_write = true;
        for stage in pipeline.stages_mut() {
            let before = stage.state;
            match before {
                StageState::Fetch => self.send_read(ctx, stage),
                StageState::Fetched if may_write => self.store_stage(ctx, stage),
                StageState::Failed { .. } => break,
                _ => {}
            }
            has_moved |= stage.state != before;
            may_write &= matches!(stage.state, StageState::Writing(_) | StageState::Complete);
            if stage.state == before && matches!(before, StageState::Fetch) {
                break;
            }
        }
        self.pipeline = pipeline;
        has_moved
    }

    fn send_read<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>, stage: &mut Stage) {
        let iova = self.source(stage.offset);
        match ctx.bus.submit_read(iova, stage.data.len()) {
            Ok(ticket) => {
                ctx.spend(stage.len_bytes());
                self.note_path(AccessPath::Message);
                stage.state = StageState::Reading(ticket);
            }
            Err(SubmitError::Busy) => {}
            Err(SubmitError::Unavailable) => stage.fail(None, iova),
        }
    }

    fn store_stage<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>, stage: &mut Stage) {
        if !stage.store_by_message && !self.store_fallen_back(ctx, stage) {
            return;
        }
        let iova = self.destination(stage.offset);
        let action = self.write_action(ctx, stage.offset, stage.data.len());
        if action == WriteAction::Flip {
            flip_bit(&mut stage.data);
        }
        let sent = match action {
            WriteAction::Skip => None,
            WriteAction::Hold => {
                ctx.sabotage.hold(self.record.channel, iova, &stage.data);
                None
            }
            _ => Some(ctx.bus.submit_write(iova, &stage.data)),
        };
        if action == WriteAction::Flip {
            flip_bit(&mut stage.data);
        }
        match sent {
            Some(Err(SubmitError::Busy)) => return,
            Some(Err(SubmitError::Unavailable)) => return stage.fail(None, iova),
            Some(Ok(ticket)) => stage.state = StageState::Writing(ticket),
            None => stage.state = StageState::Complete,
        }
        ctx.spend(stage.len_bytes());
        self.note_path(AccessPath::Message);
        if action == WriteAction::Extend {
            change_byte(ctx.bus, iova.checked_add(stage.len_bytes()));
        }
        if action != WriteAction::Make {
            ctx.sabotage.note_fired();
        }
    }

    /// A copy whose read fell back writes by the mapped path first. Whether the write falls back, too;
    /// then, and after a partial write, the chunk is cut and the rest is begun anew.
    fn store_fallen_back<B: DmaBus>(
        &mut self,
        ctx: &mut StepContext<'_, B>,
        stage: &mut Stage,
    ) -> bool {
        let (len, fault) = self.write_mapped(ctx, stage.offset, &mut stage.data);
        ctx.spend(len as u64);
        let falls_back = len == 0;
        if !falls_back {
            self.note_path(AccessPath::Mapped);
            stage.data.truncate(len);
            stage.state = StageState::Complete;
        } else if let Some(fault) = fault {
            if INTERRUPT_RANGE.contains(&fault.iova.raw()) {
                stage.state = StageState::Failed {
                    status: DMA_STATUS_ADDRESS,
                    iova: fault.iova,
                };
                return false;
            }
            stage
                .data
                .truncate(clamp_len(to_page_end(fault.iova), stage.data.len()));
            stage.store_by_message = true;
            stage.table_fault = refusal(fault);
        }
        self.begun_bytes = stage.offset + stage.len_bytes();
        falls_back
    }

    /// Accounts for a chunk that has ended, in its turn.
    fn retire(&mut self, stage: Stage, scratch: &mut Scratch) {
        match stage.state {
            StageState::Failed { status, iova } => self.end(status, Some(iova)),
            _ if self.ending.is_none() => {
                self.account(stage.offset, &stage.data, &mut scratch.expected);
            }
            _ => {}
        }
    }
}
