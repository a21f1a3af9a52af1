//! Accesses by translations that were removed, for injected faults.

use dmarig_abi::Iova;
use endpoint::Direction;
use guest_memory::MappedRange;

use super::{DutMemory, access, as_u64, at};
use crate::dut::stale::StaleTranslations;

impl DutMemory {
    /// From now on translations that go away are kept for injected faults, or no longer. A sabotage that
    /// keeps them stays.
    pub(in crate::dut) fn keep_removed(&mut self, stale: Option<StaleTranslations>) {
        if self
            .stale
            .as_ref()
            .is_none_or(StaleTranslations::is_passive)
        {
            self.set_stale(stale);
        }
    }

    /// Reads memory by translations that were removed; whether they lead to all of it.
    pub(in crate::dut) fn read_stale(&mut self, iova: Iova, buffer: &mut [u8]) -> bool {
        let len = buffer.len();
        let is_replaying = self.tape.borrow().is_replaying();
        let is_reached = self.for_each_stale_piece(iova, len, Direction::Read, |offset, piece| {
            if !is_replaying {
                piece.read_into(&mut buffer[offset..]);
            }
        });
        if is_reached {
            self.tape.borrow_mut().exchange(iova, buffer);
        }
        is_reached
    }

    /// Writes memory in the same way; what comes before a byte that is not reached is written.
    pub(in crate::dut) fn write_stale(&mut self, iova: Iova, data: &[u8]) -> bool {
        let is_replaying = self.tape.borrow().is_replaying();
        self.for_each_stale_piece(iova, data.len(), Direction::Write, |offset, piece| {
            if !is_replaying {
                piece.write_from(&data[offset..]);
            }
        })
    }

    /// Hands the pieces of an access by removed translations to `visit`; whether all were reached.
    fn for_each_stale_piece(
        &self,
        iova: Iova,
        len: usize,
        direction: Direction,
        mut visit: impl FnMut(usize, &MappedRange<'_>),
    ) -> bool {
        let Some(stale) = &self.stale else {
            return false;
        };
        let mut done = 0;
        while done < len {
            let left = as_u64(len - done);
            let segment = stale.translate_for_fault(at(iova, done), left, access(direction));
            let Some((segment, region)) = segment.and_then(|it| Some((it, it.backing?))) else {
                return false;
            };
            let piece_len = usize::try_from(segment.len_bytes).unwrap_or(usize::MAX);
            let piece_len = piece_len.min(len - done);
            let range = self
                .guest
                .range(region, segment.offset_bytes, piece_len)
                .expect("a region was checked to hold its mappings, and it never shrinks");
            visit(done, &range);
            done += piece_len;
        }
        true
    }
}
