//! The mapped path of a [`Transfer`]: chunks that move at once, and the first message of a fall-back.

use dmarig_abi::completion::DMA_STATUS_ADDRESS;

use super::{
    CHUNK_SIZE_BYTES, INTERRUPT_RANGE, StepContext, Transfer, clamp_len, reached, refusal,
    to_page_end,
};
use crate::bus::{BusFault, BusFaultKind, DmaBus, MESSAGE_MAX_SIZE_BYTES};
use crate::event::AccessPath;
use crate::sabotage::{WriteAction, change_byte, flip_bit};
use crate::stage::{Stage, StageState};

impl Transfer {
    /// Moves one chunk by the mapped path; where that has no way, begins one by message.
    pub(super) fn move_mapped_chunk<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>) -> bool {
        let offset = self.begun_bytes;
        let len = self.access_bytes(ctx.bus, offset, self.remaining_bytes());
        let len = clamp_len(len, CHUNK_SIZE_BYTES);
        let (read_len, read_fault) = self.fetch_mapped(ctx, offset, len);
        let (len, fault, needs_read) = match (self.operation.writes() && read_len > 0, read_fault) {
            (true, _) => {
                let (len, fault) = self.store_mapped(ctx, offset, read_len);
                (len, fault, false)
            }
            (false, fault) => (read_len, fault, true),
        };
        ctx.spend(len as u64);
        if len > 0 {
            self.note_path(AccessPath::Mapped);
            self.begun_bytes += len as u64;
            let data = std::mem::take(&mut ctx.scratch.data);
            self.account(offset, &data[..len], &mut ctx.scratch.expected);
            ctx.scratch.data = data;
        } else if let Some(fault) = fault {
            self.fall_back(ctx, fault, needs_read, read_len);
        }
        true
    }

    /// Brings the next bytes into the scratch buffer: how many, and what stopped it.
    fn fetch_mapped<B: DmaBus>(
        &self,
        ctx: &mut StepContext<'_, B>,
        offset: u64,
        len: usize,
    ) -> (usize, Option<BusFault>) {
        let data = &mut ctx.scratch.data[..len];
        if !self.operation.reads() {
            self.operation.generate(offset, data);
            return (len, None);
        }
        let iova = self.source(offset);
        match ctx.bus.read(iova, data) {
            Ok(()) => (len, None),
            Err(fault) => (reached(iova, &fault, len), Some(fault)),
        }
    }

    /// Writes bytes of the scratch buffer: how many, and what stopped it.
    fn store_mapped<B: DmaBus>(
        &self,
        ctx: &mut StepContext<'_, B>,
        offset: u64,
        len: usize,
    ) -> (usize, Option<BusFault>) {
        let mut data = std::mem::take(&mut ctx.scratch.data);
        let result = self.write_mapped(ctx, offset, &mut data[..len]);
        ctx.scratch.data = data;
        result
    }

    pub(super) fn write_mapped<B: DmaBus>(
        &self,
        ctx: &mut StepContext<'_, B>,
        offset: u64,
        data: &mut [u8],
    ) -> (usize, Option<BusFault>) {
        let iova = self.destination(offset);
        let action = self.write_action(ctx, offset, data.len());
        let result = match action {
            WriteAction::Make => ctx.bus.write(iova, data),
            WriteAction::Flip => {
                flip_bit(data);
                let result = ctx.bus.write(iova, data);
                flip_bit(data);
                result
            }
            WriteAction::Skip => Ok(()),
            WriteAction::Hold => {
                ctx.sabotage.hold(self.record.channel, iova, data);
                Ok(())
            }
            WriteAction::Extend => {
                let result = ctx.bus.write(iova, data);
                if result.is_ok() {
                    change_byte(ctx.bus, iova.checked_add(data.len() as u64));
                }
                result
            }
        };
        match result {
            Ok(()) => {
                if action != WriteAction::Make {
                    ctx.sabotage.note_fired();
                }
                (data.len(), None)
            }
            Err(fault) => (reached(iova, &fault, data.len()), Some(fault)),
        }
    }

    /// The mapped path has no way at `fault`: repeats the access as a message, so that the platform
    /// judges it and records a true fault. `data_len` bytes to write lie in the scratch buffer.
    fn fall_back<B: DmaBus>(
        &mut self,
        ctx: &mut StepContext<'_, B>,
        fault: BusFault,
        needs_read: bool,
        data_len: usize,
    ) {
        if INTERRUPT_RANGE.contains(&fault.iova.raw()) {
            self.end(DMA_STATUS_ADDRESS, Some(fault.iova));
            return;
        }
        let wanted = if needs_read {
            self.remaining_bytes()
        } else {
            data_len as u64
        };
        let len = self.fall_back_len(ctx.bus, fault, wanted);
        self.pipeline.push(Stage {
            offset: self.begun_bytes,
            data: ctx.scratch.data[..len].to_vec(),
            state: if needs_read {
                StageState::Fetch
            } else {
                StageState::Fetched
            },
            store_by_message: !needs_read,
            table_fault: refusal(fault),
        });
        self.begun_bytes += len as u64;
    }

    /// How much goes in one message: to the end of the refused page, or, where it is only that the
    /// memory cannot be mapped, as much as a message holds.
    fn fall_back_len(&self, bus: &impl DmaBus, fault: BusFault, wanted: u64) -> usize {
        let wanted = wanted.min(MESSAGE_MAX_SIZE_BYTES as u64);
        let wanted = self.access_bytes(bus, self.begun_bytes, wanted);
        let in_page = wanted.min(to_page_end(fault.iova));
        if fault.kind != BusFaultKind::MessageOnly {
            return clamp_len(in_page, MESSAGE_MAX_SIZE_BYTES);
        }
        let reach = self
            .message_reach(bus, self.begun_bytes, wanted)
            .unwrap_or(in_page);
        let len_bytes = match self.uniform_bytes(bus, self.begun_bytes, reach) {
            (permitted, None) => permitted,
            // The other side is refused: this access alone is settled first.
            (_, Some(_)) => in_page,
        };
        clamp_len(len_bytes, MESSAGE_MAX_SIZE_BYTES)
    }
}
