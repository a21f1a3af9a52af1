//! Doorbells: what a write to `CH_COMMAND`, `CH_RING_CONTROL` or `CH_RING_TAIL` latches.
//!
//! Nothing is moved here, so a posted write costs the guest no DMA; [`Channel::run_turn`] does the
//! work. Values count as they are at the doorbell: what the guest writes afterwards belongs to the
//! next request.

use dmarig_abi::Iova;
use dmarig_abi::completion::{
    DMA_STATUS_ABORTED, DMA_STATUS_BUSY, DMA_STATUS_RING, DMA_STATUS_SUCCESS,
};
use dmarig_abi::registers::RING_ENABLE;

use crate::address_rules::AddressRules;
use crate::channel::{Channel, PendingRequest};
use crate::event::{Origin, RequestRecord};
use crate::request::Request;
use crate::ring::{Ring, RingRegisters};
use crate::transfer::Transfer;

impl Channel {
    /// Register mode: latches a request. While one is under way the new one is dropped: registers
    /// and status stay those of the running one, and a record with `DMA_STATUS_BUSY` says so.
    pub(crate) fn ring_command(&mut self, command: u32, epoch: u64) -> Option<RequestRecord> {
        let [opcode_low, opcode_high, flags_low, flags_high] = command.to_le_bytes();
        let request = Request {
            opcode: u16::from_le_bytes([opcode_low, opcode_high]),
            flags: u16::from_le_bytes([flags_low, flags_high]),
            tag: 0,
            source: Iova::new(self.registers.source),
            destination: Iova::new(self.registers.destination),
            length_bytes: self.registers.length_bytes,
            seed: self.registers.seed,
            ..Request::default()
        };
        if self.is_busy() {
            let refused = Transfer::new(self.id(), Origin::Register, request, epoch);
            return Some(refused.abort(DMA_STATUS_BUSY, epoch).0);
        }
        self.result = Default::default();
        self.result.epoch = epoch;
        self.pending = Some(PendingRequest { request, epoch });
        None
    }

    /// Ring mode: enables the ring from its registers, or disables it. Either ends what the ring has
    /// under way, without a completion entry; the record is returned.
    pub(crate) fn ring_control(
        &mut self,
        control: u32,
        rules: &AddressRules,
        epoch: u64,
    ) -> Option<RequestRecord> {
        let aborted = self.abort_ring_work(DMA_STATUS_ABORTED, epoch);
        self.registers.ring_tail = 0;
        self.ring = None;
        if control & RING_ENABLE != 0 {
            let registers = RingRegisters {
                base: self.registers.ring_base,
                completion_base: self.registers.completion_base,
                index_address: self.registers.index_address,
                entries: self.registers.ring_entries,
                control,
            };
            match Ring::try_new(&registers, rules) {
                Ok(ring) => {
                    self.ring_status = DMA_STATUS_SUCCESS;
                    self.ring = Some(ring);
                }
                Err(status) => self.ring_status = status,
            }
        }
        aborted
    }

    /// Ring mode: takes the producer index. One beyond the ring, or one for a ring that is disabled,
    /// stops with `DMA_STATUS_RING`; a descriptor under way still gets its completion entry.
    pub(crate) fn ring_tail(&mut self, tail: u32) {
        self.registers.ring_tail = tail;
        let taken = match &mut self.ring {
            Some(ring) if self.ring_status == DMA_STATUS_SUCCESS => ring.set_tail(tail),
            Some(_) => Ok(()),
            None => Err(DMA_STATUS_RING),
        };
        if let Err(status) = taken {
            self.ring_status = status;
        }
    }
}
