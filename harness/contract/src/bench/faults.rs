//! Faults of the device under a case, and transfers of a driver that must survive them.

use dmarig_abi::completion::DMA_STATUS_SUCCESS;
use dmarig_abi::operation::{TRANSFER_VALUE_ATTEMPTS_SHIFT, TRANSFER_VALUE_INTERRUPT_SEEN};

use crate::bench::{Bench, Buffer, describe_dma_status, transfer_status};
use crate::finding::{CaseEnd, Finding};
use crate::step::{Step, StepResult, Transfer, TransferMode};

/// How a transfer under a fault must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Survival {
    /// Attempts that the driver must make.
    pub(crate) attempts: u64,
    /// One of `DMA_STATUS_*`.
    pub(crate) status: u16,
}

impl Survival {
    /// Well, at this attempt.
    pub(crate) const fn at_attempt(attempts: u64) -> Self {
        Self {
            attempts,
            status: DMA_STATUS_SUCCESS,
        }
    }
}

impl Bench<'_> {
    /// Runs `body` with the rules loaded into the device under test that the case is at; they must strike at
    /// least once, and end with it.
    pub(crate) fn under_faults<T>(
        &mut self,
        rules: &str,
        body: impl FnOnce(&mut Self) -> Result<T, CaseEnd>,
    ) -> Result<T, CaseEnd> {
        let dut = self.dut;
        self.rig.load_faults(rules)?;
        let result = body(self);
        let left_at = self.dut;
        self.turn_to(dut)?;
        let strikes = self.rig.fault_strikes();
        self.rig.clear_faults()?;
        // A finding of the body tells where it was made.
        self.turn_to(left_at)?;
        let (result, strikes) = (result?, strikes?);
        if strikes == 0 {
            return Err(Finding {
                view: "device",
                what: "the faults of the case".into(),
                buffer: None,
                logical_address: None,
                expected: "at least one strike".into(),
                seen: "none: the case shows nothing".into(),
            }
            .into());
        }
        self.observe(format!("the faults struck {strikes} times"));
        Ok(result)
    }

    /// One transfer of a whole buffer by a driver that recovers, whatever comes of it.
    pub(crate) fn transfer_recovering(
        &mut self,
        buffer: &Buffer,
        (mode, channel): (TransferMode, u32),
        opcode: u16,
        seed: u64,
    ) -> Result<StepResult, CaseEnd> {
        let step = Step::device_transfer(Transfer {
            device: self.dut,
            channel,
            opcode,
            flags: 0,
            mode,
            buffer: buffer.slot,
            offset: 0,
            length_bytes: buffer.length_bytes,
            seed,
        });
        self.run_one(step.recovering())
    }

    /// Judges it.
    pub(crate) fn judge_survival(
        &self,
        what: &str,
        buffer: &Buffer,
        result: &StepResult,
        expected: Survival,
    ) -> Result<(), CaseEnd> {
        let words = |attempts, status| {
            let status = describe_dma_status(status);
            format!("{status} at attempt {attempts}")
        };
        let attempts = attempts(result);
        let status = transfer_status(result);
        if result.is_success() && attempts == expected.attempts && status == expected.status {
            return Ok(());
        }
        let seen = if result.is_success() {
            words(attempts, status)
        } else {
            result.describe()
        };
        Err(Finding {
            view: "driver",
            what: what.into(),
            buffer: Some(buffer.name.clone()),
            logical_address: Some(buffer.logical_address),
            expected: words(expected.attempts, expected.status),
            seen,
        }
        .into())
    }
}

/// Attempts that a recovering driver has made.
pub(crate) fn attempts(result: &StepResult) -> u64 {
    result.result.value[2] >> TRANSFER_VALUE_ATTEMPTS_SHIFT & 0xff
}

/// Whether the interrupt of a transfer came.
pub(crate) fn has_interrupted(result: &StepResult) -> bool {
    result.result.value[2] & TRANSFER_VALUE_INTERRUPT_SEEN != 0
}
