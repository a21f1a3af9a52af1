//! Channels and their map registers.

use dmarig_abi::operation_transfer::REQUEST_OUT;

use super::list::elements_of;
use super::{Element, Packet};
use crate::bench::{Bench, driver_finding};
use crate::finding::CaseEnd;
use crate::nt_status::NtStatus;
use crate::step::{Action, Bytes, RequestForm};
use crate::step::{Step, StepResult};

/// Map registers that a case holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Registers {
    pub(crate) channel: u32,
}

/// A list buffer that is large enough for any list of these cases.
pub(crate) const AMPLE_LIST_BYTES: u64 = 0x4000;

impl Bench<'_> {
    /// A fresh transfer context.
    pub(crate) fn context(&mut self, adapter: u32) -> Result<u32, CaseEnd> {
        let slot = self.slot();
        let step = Step::context_initialize(slot, adapter);
        self.require("InitializeDmaTransferContext", step)?;
        Ok(slot)
    }

    /// AllocateAdapterChannel whose routine keeps the registers and lets the adapter object go.
    pub(crate) fn registers(&mut self, adapter: u32, count: u64) -> Result<Registers, CaseEnd> {
        let channel = self.slot();
        let what = "AllocateAdapterChannel";
        let step = Step::channel_allocate(channel, adapter, count, Action::KeepRegisters);
        let result = self.require(what, step)?;
        self.judge_routine(what, &result)?;
        Ok(Registers { channel })
    }

    /// AllocateAdapterChannelEx with a context of its own; the result, whatever came of it.
    pub(crate) fn channel_ex(
        &mut self,
        adapter: u32,
        context: u32,
        count: u64,
    ) -> Result<(u32, StepResult), CaseEnd> {
        let channel = self.slot();
        let form = RequestForm::default();
        let action = Action::KeepRegisters;
        let step = Step::channel_allocate_ex(channel, adapter, context, count, action, form);
        let result = self.run_one(step.not_awaited())?;
        Ok((channel, result))
    }

    /// A synchronous AllocateAdapterChannelEx without a routine.
    pub(crate) fn channel_synchronous(
        &mut self,
        adapter: u32,
        context: u32,
        count: u64,
    ) -> (u32, Step) {
        let channel = self.slot();
        let form = RequestForm {
            flags: RequestForm::SYNCHRONOUS,
            bits: REQUEST_OUT | dmarig_abi::operation_transfer::REQUEST_NO_ROUTINE,
        };
        let step = Step::channel_allocate_ex(channel, adapter, context, count, Action::Keep, form);
        (channel, step)
    }

    /// How often a request's routine has run by now.
    pub(crate) fn runs(&mut self, request: u32, wait_us: u64) -> Result<u64, CaseEnd> {
        let step = Step::routine_query(request, wait_us);
        let result = self.require("looking at a request", step)?;
        Ok(result.result.value[1])
    }

    /// FreeMapRegisters of all of them.
    pub(crate) fn free_registers(&mut self, channel: u32) -> Result<(), CaseEnd> {
        let step = Step::channel_free_registers(channel);
        self.require("FreeMapRegisters", step).map(drop)
    }

    /// MapTransferEx that must succeed: elements and bytes mapped.
    pub(crate) fn map_ex(
        &mut self,
        registers: Registers,
        packet: &Packet,
        bytes: Bytes,
        list_bytes: u64,
    ) -> Result<(Vec<Element>, Bytes), CaseEnd> {
        let what = "MapTransferEx";
        let step = Step::transfer_map_ex(registers.channel, bytes, list_bytes, 0, 0);
        let result = self.require(what, step)?;
        let elements = elements_of(&result);
        let sum: u64 = elements.iter().map(|element| element.length_bytes).sum();
        let mapped = result.result.length;
        if sum != mapped || mapped == 0 || mapped > bytes.length_bytes {
            let mut finding = driver_finding(what, "", &result);
            finding.buffer = Some(packet.name.clone());
            finding.expected = format!("elements of {mapped:#x} bytes in all");
            finding.seen = format!("{elements:x?}");
            return Err(finding.into());
        }
        self.check_reached(packet, &elements, bytes.write_to_device)?;
        let bytes = Bytes {
            length_bytes: mapped,
            ..bytes
        };
        Ok((elements, bytes))
    }

    /// FlushAdapterBuffersEx that must succeed: afterwards the CPU sees what the device wrote, and the device has lost
    /// its elements.
    pub(crate) fn flush_ex(
        &mut self,
        registers: Registers,
        packet: &Packet,
        bytes: Bytes,
        elements: &[Element],
    ) -> Result<(), CaseEnd> {
        let step = Step::transfer_flush_ex(registers.channel, bytes);
        self.require("FlushAdapterBuffersEx", step)?;
        self.judge_data(packet, bytes, elements)?;
        self.check_lost(packet, elements, "FlushAdapterBuffersEx")
    }

    /// A whole transfer in as many steps as registers and list buffer make of it; gives their number.
    pub(crate) fn transfer_ex(
        &mut self,
        registers: Registers,
        packet: &Packet,
        bytes: Bytes,
        list_bytes: u64,
    ) -> Result<u64, CaseEnd> {
        self.prepare(packet, bytes)?;
        let (mut done, mut n_steps) = (0, 0);
        while done < bytes.length_bytes {
            let rest = Bytes {
                offset: bytes.offset + done,
                length_bytes: bytes.length_bytes - done,
                ..bytes
            };
            let (elements, mapped) = self.map_ex(registers, packet, rest, list_bytes)?;
            self.move_data(packet, mapped, &elements)?;
            self.flush_ex(registers, packet, mapped, &elements)?;
            done += mapped.length_bytes;
            n_steps += 1;
        }
        Ok(n_steps)
    }

    /// A whole transfer by MapTransfer, piece by piece, each of which is flushed by itself.
    pub(crate) fn transfer_pieces(
        &mut self,
        registers: Registers,
        packet: &Packet,
        bytes: Bytes,
    ) -> Result<u64, CaseEnd> {
        let (mut elements, mut mapped) = (Vec::new(), 0);
        self.prepare(packet, bytes)?;
        while mapped < bytes.length_bytes {
            let rest = Bytes {
                offset: bytes.offset + mapped,
                length_bytes: bytes.length_bytes - mapped,
                ..bytes
            };
            let step = Step::transfer_map(registers.channel, rest);
            let result = self.require("MapTransfer", step)?;
            let piece = Element {
                address: result.result.logical_address,
                length_bytes: result.result.length,
            };
            let holds = piece.length_bytes > 0 && piece.length_bytes <= rest.length_bytes;
            let seen = format!("{piece:x?}");
            self.demand("MapTransfer", "bytes at a logical address", seen, holds)?;
            elements.push(piece);
            mapped += piece.length_bytes;
        }
        self.check_reached(packet, &elements, bytes.write_to_device)?;
        self.move_data(packet, bytes, &elements)?;
        let flush = Step::transfer_flush(registers.channel, bytes);
        let flushed = self.require("FlushAdapterBuffers", flush)?;
        let seen = format!("{}", flushed.result.value[0]);
        self.demand(
            "FlushAdapterBuffers",
            "TRUE",
            seen,
            flushed.result.value[0] != 0,
        )?;
        self.judge_data(packet, bytes, &elements)?;
        self.check_lost(packet, &elements, "FlushAdapterBuffers")?;
        Ok(elements.len() as u64)
    }

    /// A status among the documented ones of a failure.
    pub(crate) fn status_is(
        &mut self,
        what: &str,
        result: &StepResult,
        status: NtStatus,
    ) -> Result<(), CaseEnd> {
        let holds = result.status() == status;
        self.demand(what, &status.to_string(), result.describe(), holds)
    }
}
