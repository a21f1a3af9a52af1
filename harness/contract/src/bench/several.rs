//! Several devices under test on the bench: what one's work must leave of another, and requests that several
//! have under way at the same time.

use dmarig_abi::completion::{DMA_STATUS_MISMATCH, DMA_STATUS_SUCCESS};
use dmarig_abi::descriptor::DMA_OP_WRITE_PATTERN;
use dmarig_abi::registers::{
    CH_COMMAND, CH_DESTINATION, CH_DONE_BYTES, CH_LENGTH, CH_MISMATCH_BYTES, CH_MISMATCH_OFFSET,
    CH_SEED, CH_SOURCE, CH_STATUS, CH_STATUS_BUSY, CHANNEL_BASE, CHANNEL_STRIDE,
};

use crate::bench::{Bench, Buffer, describe_dma_status};
use crate::finding::{CaseEnd, Finding};
use crate::rig::MappingView;
use crate::step::Step;

/// How often the end of a request is looked for, and the pause between two looks.
const LOOKS: usize = 1000;
const LOOK_US: u64 = 1000;

/// A request that a driver starts by a channel's registers and leaves under way.
#[derive(Clone, Debug)]
pub(crate) struct Errand<'b> {
    /// Number of the device under test.
    pub(crate) dut: u32,
    /// Channel.
    pub(crate) channel: u32,
    /// One of `DMA_OP_*` of the pattern.
    pub(crate) opcode: u16,
    /// Bits of `DESCRIPTOR_FLAG_*`.
    pub(crate) flags: u16,
    /// The buffer whose bytes move.
    pub(crate) buffer: &'b Buffer,
    /// The first of them.
    pub(crate) offset: u64,
    /// How many.
    pub(crate) length_bytes: u64,
    /// Seed of the pattern.
    pub(crate) seed: u64,
}

impl Errand<'_> {
    fn register(&self, offset: u64) -> u64 {
        CHANNEL_BASE + u64::from(self.channel) * CHANNEL_STRIDE + offset
    }

    fn set_up(&self) -> [Step; 4] {
        let address = match self.opcode {
            DMA_OP_WRITE_PATTERN => CH_DESTINATION,
            _ => CH_SOURCE,
        };
        let write = |offset, value| Step::write_register_64(self.dut, self.register(offset), value);
        [
            write(address, self.buffer.at(self.offset).raw()),
            write(CH_LENGTH, self.length_bytes),
            write(CH_SEED, self.seed),
            // What lies in the way of the doorbells is done by now.
            Step::read_register(self.dut, self.register(CH_STATUS)),
        ]
    }

    fn ring(&self) -> Step {
        let command = u64::from(self.opcode) | u64::from(self.flags) << 16;
        Step::write_register(self.dut, self.register(CH_COMMAND), command)
    }

    fn finding(&self, what: &str, expected: String, seen: String) -> Finding {
        Finding {
            view: "device",
            what: format!("{what} on channel {} of dut{}", self.channel, self.dut),
            buffer: Some(self.buffer.name.clone()),
            logical_address: Some(self.buffer.at(self.offset)),
            expected,
            seen,
        }
    }
}

impl Bench<'_> {
    /// The mapping set of another device under test than the one that the case is at.
    pub(crate) fn mappings_of(&mut self, dut: u32) -> Result<MappingView, CaseEnd> {
        let here = self.dut;
        self.turn_to(dut)?;
        let view = self.rig.mappings()?;
        self.turn_to(here)?;
        Ok(view)
    }

    /// The mapping set of that device is still this one.
    pub(crate) fn check_mappings_of(
        &mut self,
        dut: u32,
        expected: &MappingView,
        what: &str,
    ) -> Result<(), CaseEnd> {
        let here = self.dut;
        self.turn_to(dut)?;
        let change = self.mapping_change(expected, what)?;
        if let Some(change) = change {
            return Err(change.into());
        }
        Ok(self.turn_to(here)?)
    }

    /// Starts requests, one right after the other, and waits for none.
    pub(crate) fn start(&mut self, errands: &[Errand<'_>]) -> Result<(), CaseEnd> {
        let mut steps: Vec<Step> = errands.iter().flat_map(Errand::set_up).collect();
        steps.extend(errands.iter().map(Errand::ring));
        self.require_all("starting requests by registers", &steps)
    }

    /// Waits for the end of a request; it must have moved all its bytes. What it wrote is compared by the
    /// CPU.
    pub(crate) fn await_end(&mut self, errand: &Errand<'_>) -> Result<(), CaseEnd> {
        let what = "a request that others went beside";
        let status = Step::read_register(errand.dut, errand.register(CH_STATUS));
        let mut seen = u64::MAX;
        for _ in 0..LOOKS {
            seen = self
                .require("reading a status", status.clone())?
                .result
                .value[0];
            if seen & u64::from(CH_STATUS_BUSY) == 0 {
                break;
            }
            self.require("waiting", Step::delay(LOOK_US))?;
        }
        let status = u16::try_from(seen & 0xffff).expect("masked to 16 bits");
        if seen & u64::from(CH_STATUS_BUSY) != 0 {
            let waited = format!("under way after {LOOKS} looks");
            return Err(errand.finding(what, "its end".into(), waited).into());
        }
        if status == DMA_STATUS_MISMATCH {
            return Err(self.mismatch_of(errand, what)?.into());
        }
        if status != DMA_STATUS_SUCCESS {
            let seen = describe_dma_status(status);
            return Err(errand.finding(what, "success".into(), seen).into());
        }
        let done = Step::read_register(errand.dut, errand.register(CH_DONE_BYTES));
        let done = self.require("reading the bytes done", done)?.result.value[0];
        if done != errand.length_bytes {
            let expected = format!("{:#x} bytes moved", errand.length_bytes);
            return Err(errand.finding(what, expected, format!("{done:#x}")).into());
        }
        if errand.opcode != DMA_OP_WRITE_PATTERN {
            return Ok(());
        }
        let check = Step::cpu_check(
            errand.buffer.slot,
            errand.offset,
            errand.length_bytes,
            errand.seed,
        );
        let checked = self.run_one(check)?;
        self.judge_cpu_check(what, &checked, Some(errand.buffer))
    }

    fn mismatch_of(&mut self, errand: &Errand<'_>, what: &str) -> Result<Finding, CaseEnd> {
        let read = |offset| Step::read_register(errand.dut, errand.register(offset));
        let steps = [read(CH_MISMATCH_OFFSET), read(CH_MISMATCH_BYTES)];
        let results = self.run(&steps)?;
        let (offset, bytes) = (results[0].result.value[0], results[1].result.value[0]);
        let expected = format!("byte {:#04x} at offset {offset:#x}", bytes & 0xff);
        let seen = format!("{:#04x}", bytes >> 8 & 0xff);
        Ok(errand.finding(what, expected, seen))
    }
}
