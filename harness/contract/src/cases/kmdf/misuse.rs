//! Misuse of the framework that stops the machine (KD-9): bug check WDF_VIOLATION. A boot for each.

use super::KMDF;
use crate::bench::Bench;
use crate::case::{Case, Tag};
use crate::cases::BOTH;
use crate::finding::{CaseEnd, Finding};
use crate::framework::{CommonBufferConfig, DmaProfile, EnablerConfig};
use crate::profile::Stop;
use crate::step::{Creation, Step};

const WDF_VIOLATION: u32 = 0x10d;
const REQUIRED_PARAMETER_NULL: u64 = 4;
const INVALID_HANDLE: u64 = 5;

const NULL_PARAMETER: Stop = stop(REQUIRED_PARAMETER_NULL);
const BAD_HANDLE: Stop = stop(INVALID_HANDLE);

const fn stop(parameter_1: u64) -> Stop {
    Stop::BugCheck {
        code: WDF_VIOLATION,
        parameter_1,
    }
}

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("KD-9/config-null", "a NULL configuration stops the machine", BOTH, config_null).under(&KMDF).tagged(&[Tag::Fatal]).stops(NULL_PARAMETER),
    Case::new("KD-9/out-pointer-null", "a NULL out pointer stops the machine", BOTH, out_null).under(&KMDF).tagged(&[Tag::Fatal]).stops(NULL_PARAMETER),
    Case::new("KD-9/handle-of-no-object", "a number that is no handle stops the machine", BOTH, |bench| handle(bench, |_| 0x1230)).under(&KMDF).tagged(&[Tag::Fatal]).stops(BAD_HANDLE),
    Case::new("KD-9/handle-of-another-type", "a common buffer's handle in place of an enabler's stops the machine", BOTH, |bench| handle(bench, |buffer| buffer)).under(&KMDF).tagged(&[Tag::Fatal]).stops(BAD_HANDLE),
];

fn enabler(bench: &mut Bench<'_>) -> Result<u32, CaseEnd> {
    bench.enabler(EnablerConfig::new(DmaProfile::ScatterGather64))
}

/// Runs the step that the guest does not survive.
fn stops(bench: &mut Bench<'_>, what: &str, step: Step) -> Result<(), CaseEnd> {
    let result = bench.run_one(step)?;
    Err(Finding {
        view: "driver",
        what: what.to_owned(),
        buffer: None,
        logical_address: None,
        expected: "the end of the guest".to_owned(),
        seen: result.describe(),
    }
    .into())
}

fn config_null(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let enabler = enabler(bench)?;
    let slot = bench.slot();
    let creation = Creation {
        null_config: true,
        ..Creation::default()
    };
    let config = Some(CommonBufferConfig::new(0));
    let step = Step::common_buffer_create(slot, enabler, 10, config, creation);
    stops(
        bench,
        "WdfCommonBufferCreateWithConfig without a configuration",
        step,
    )
}

fn out_null(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let enabler = enabler(bench)?;
    let slot = bench.slot();
    let creation = Creation {
        null_out: true,
        ..Creation::default()
    };
    let config = Some(CommonBufferConfig::new(0));
    let step = Step::common_buffer_create(slot, enabler, 10, config, creation);
    stops(
        bench,
        "WdfCommonBufferCreateWithConfig without an out pointer",
        step,
    )
}

fn handle(bench: &mut Bench<'_>, choose: fn(u64) -> u64) -> Result<(), CaseEnd> {
    let enabler = enabler(bench)?;
    let slot = bench.slot();
    let config = Some(CommonBufferConfig::new(0));
    let step = Step::common_buffer_create(slot, enabler, 10, config, Creation::default());
    let buffer = bench.require("WdfCommonBufferCreateWithConfig", step)?;
    let creation = Creation {
        handle: Some(choose(buffer.result.value[0])),
        ..Creation::default()
    };
    let slot = bench.slot();
    let step = Step::common_buffer_create(slot, enabler, 10, config, creation);
    stops(
        bench,
        "WdfCommonBufferCreateWithConfig with a bad handle",
        step,
    )
}
