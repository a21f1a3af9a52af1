//! What is asked before a byte of a [`Transfer`] moves: of the request itself, of the mapping table, and
//! of the bus, which may want shorter accesses.

use dmarig_abi::Iova;
use dmarig_abi::completion::DMA_STATUS_LENGTH;

use super::{StepContext, Transfer, advance, table_status};
use crate::bus::{BusFault, Direction, DmaBus, RequestStart};
use crate::event::AccessPath;
use crate::request::RequestMode;

impl Transfer {
    /// Checks the request once, on its first step.
    pub(super) fn check<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>) {
        if std::mem::replace(&mut self.is_checked, true) {
            return;
        }
        ctx.spend(0);
        if !self.record.origin.is_publication() {
            ctx.sabotage.release(self.record.channel, ctx.bus);
        }
        if self.ending.is_some() || !self.operation.moves() {
            return;
        }
        let status = if let Err(status) = ctx.gate {
            status
        } else if self.length_bytes == 0 {
            DMA_STATUS_LENGTH
        } else {
            let is_own = self.part.is_some() || self.record.origin.is_upkeep();
            let starts = [self.record.source, self.record.destination];
            let refusal = starts.into_iter().flatten().find_map(|start| {
                if is_own {
                    ctx.rules.refusal_of_width(start, self.length_bytes)
                } else {
                    ctx.rules.refusal(start, self.length_bytes)
                }
            });
            match refusal {
                None => return self.announce(ctx),
                Some(status) => status,
            }
        };
        self.ending = Some(status);
    }

    /// Asks the table about the next piece.
    pub(super) fn probe_chunk<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>) -> bool {
        ctx.spend(0);
        self.record.path = AccessPath::Probe;
        match self.permitted_bytes(ctx.bus, self.begun_bytes, self.remaining_bytes()) {
            Ok(len_bytes) => {
                self.begun_bytes += len_bytes;
                self.record.done_bytes += len_bytes;
            }
            Err(fault) => self.end(table_status(fault.kind), Some(fault.iova)),
        }
        true
    }

    /// Where it reads and where it writes, if it does.
    pub(super) const fn sides(&self) -> [(Option<Iova>, Direction); 2] {
        [
            (self.record.source, Direction::Read),
            (self.record.destination, Direction::Write),
        ]
    }

    /// Bytes from `offset` on that the table permits on both sides, at most `len_bytes`, at least 1.
    pub(super) fn permitted_bytes(
        &self,
        bus: &impl DmaBus,
        offset: u64,
        len_bytes: u64,
    ) -> Result<u64, BusFault> {
        let mut permitted = len_bytes;
        for (start, direction) in self.sides() {
            let Some(start) = start else { continue };
            let iova = advance(start, offset);
            permitted = bus.probe(iova, permitted, direction)?.clamp(1, permitted);
        }
        Ok(permitted)
    }

    /// Bytes from `offset` on that may go in one access on both sides, at most `len_bytes`, at least 1.
    pub(super) fn access_bytes(&self, bus: &impl DmaBus, offset: u64, len_bytes: u64) -> u64 {
        let sides = [
            (self.record.source, Direction::Read),
            (self.record.destination, Direction::Write),
        ];
        sides
            .iter()
            .fold(len_bytes, |len_bytes, (start, direction)| {
                start.map_or(len_bytes, |start| {
                    bus.access_bytes(advance(start, offset), len_bytes, *direction)
                        .clamp(1, len_bytes)
                })
            })
    }

    /// Says to the bus what the accesses that follow are for.
    fn announce<B: DmaBus>(&mut self, ctx: &mut StepContext<'_, B>) {
        if self.mode == RequestMode::Probe {
            return;
        }
        self.interrupt_order = ctx.bus.begin_request(&RequestStart {
            origin: self.record.origin,
            opcode: self.record.request.opcode,
            source: self.record.source,
            destination: self.record.destination,
            len_bytes: self.length_bytes,
        });
    }
}
