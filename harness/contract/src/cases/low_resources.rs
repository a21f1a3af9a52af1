//! Low resources: each internal allocation of a call fails once, and the call must fail cleanly (CM-22, GA-5, and the
//! NULL of the allocating routines).
//!
//! The guest is ordered to let its N-th internal allocation fail (`low-resources N`), for N = 1, 2, ... until the
//! call no longer comes to that many.

use dmarig_abi::operation::OUTCOME_DONE;

use crate::bench::{Bench, driver_finding};
use crate::case::Case;
use crate::cases::{BOTH, ON};
use crate::device_description::DeviceDescription;
use crate::extended_config::ExtendedConfig;
use crate::finding::{CaseEnd, Finding};
use crate::nt_status::NtStatus;
use crate::step::{Routine, Step, StepResult};

/// More allocations than any call may make.
const WALK_MAX: u64 = 64;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("CM-22/each-allocation", "each allocation of CreateCommonBufferFromMdl fails once: INSUFFICIENT_RESOURCES, nothing mapped", BOTH, each_allocation),
    Case::new("CM-22/fresh-tables", "the same where the IOMMU needs new tables each time", ON, fresh_tables),
    Case::new("AC-1/low-resources", "each allocation of AllocateCommonBuffer fails once: NULL, nothing mapped", BOTH, |bench| allocating(bench, Routine::PLAIN)),
    Case::new("AX-1/low-resources", "each allocation of AllocateCommonBufferEx fails once: NULL, nothing mapped", BOTH, |bench| allocating(bench, Routine::EX)),
    Case::new("AB-1/low-resources", "each allocation of AllocateCommonBufferWithBounds fails once: NULL, nothing mapped", BOTH, |bench| allocating(bench, Routine::WITH_BOUNDS)),
    Case::new("GA-5/low-resources", "each allocation of IoGetDmaAdapter fails once: NULL", BOTH, opening),
];

/// Walks N; `attempt` makes the call and says whether it succeeded, and `undo` ends what a success made.
fn walk(
    bench: &mut Bench<'_>,
    what: &str,
    least: u64,
    mut attempt: impl FnMut(&mut Bench<'_>, u64) -> Result<StepResult, CaseEnd>,
    is_clean_failure: impl Fn(&StepResult) -> bool,
) -> Result<(), CaseEnd> {
    for number in 1..=WALK_MAX {
        bench.order(&format!("low-resources {number}"))?;
        let result = attempt(bench, number)?;
        let has_struck = bench.has_struck()?;
        if has_struck && !is_clean_failure(&result) {
            let what = format!("{what} whose internal allocation {number} failed");
            let expected = "STATUS_INSUFFICIENT_RESOURCES or NULL";
            return Err(driver_finding(&what, expected, &result).into());
        }
        if has_struck {
            bench.check_unchanged(&format!("{what} that ran out at allocation {number}"))?;
            continue;
        }
        if !result.is_success() {
            return Err(driver_finding(what, "success", &result).into());
        }
        bench.observe(format!(
            "{} allocations failed, one after the other",
            number - 1
        ));
        return judge_count(what, least, number - 1);
    }
    judge_count(what, WALK_MAX, WALK_MAX + 1)
}

fn judge_count(what: &str, least: u64, seen: u64) -> Result<(), CaseEnd> {
    if (least..=WALK_MAX).contains(&seen) {
        return Ok(());
    }
    Err(Finding {
        view: "guest",
        what: format!("the allocations of {what} that failed on order"),
        buffer: None,
        logical_address: None,
        expected: format!("{least} to {WALK_MAX}"),
        seen: seen.to_string(),
    }
    .into())
}

fn is_insufficient(result: &StepResult) -> bool {
    result.result.outcome == OUTCOME_DONE && result.status() == NtStatus::INSUFFICIENT_RESOURCES
}

fn is_null(result: &StepResult) -> bool {
    result.result.outcome == dmarig_abi::operation::OUTCOME_NULL
}

fn each_allocation(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(4)?;
    let what = "CreateCommonBufferFromMdl";
    let slot = bench.slot();
    let attempt = |bench: &mut Bench<'_>, _| {
        bench.run_one(Step::buffer_create_from_mdl(
            slot,
            adapter,
            source.slot,
            None,
            None,
        ))
    };
    walk(bench, what, 4, attempt, is_insufficient)?;
    bench.require("FreeCommonBuffer", Step::buffer_free(slot))?;
    bench.check_unchanged("FreeCommonBuffer")?;
    // Nothing of the failures is in the way.
    let buffer = bench.create_ok(adapter, &source, None)?;
    bench.exercise(&buffer)?;
    bench.check_canaries(&source)?;
    bench.free(&buffer)
}

fn fresh_tables(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const START: u64 = 0x40_0000_0000;
    const GIB: u64 = 0x4000_0000;
    let adapter = bench.adapter(64)?;
    let source = bench.scattered_mdl(8)?;
    let what = "CreateCommonBufferFromMdl in untouched address space";
    let slot = bench.slot();
    let attempt = |bench: &mut Bench<'_>, number| {
        let minimum = START + number * GIB;
        let config = ExtendedConfig::LogicalAddressLimits {
            minimum,
            maximum: minimum + GIB - 1,
        };
        let configs = Some([config]);
        let configs = configs.as_ref().map(<[_; 1]>::as_slice);
        let step = Step::buffer_create_from_mdl(slot, adapter, source.slot, configs, None);
        bench.run_one(step)
    };
    walk(bench, what, 8, attempt, is_insufficient)?;
    bench.require("FreeCommonBuffer", Step::buffer_free(slot))?;
    bench.check_unchanged("FreeCommonBuffer")
}

fn allocating(bench: &mut Bench<'_>, routine: Routine) -> Result<(), CaseEnd> {
    const LENGTH_BYTES: u64 = 0x4000;
    let adapter = bench.adapter(64)?;
    let slot = bench.slot();
    let attempt = |bench: &mut Bench<'_>, _| {
        bench.run_one(Step::buffer_allocate(slot, adapter, LENGTH_BYTES, routine))
    };
    walk(bench, routine.name(), 3, attempt, is_null)?;
    bench.require("FreeCommonBuffer", Step::buffer_free(slot))?;
    bench.check_unchanged("FreeCommonBuffer")?;
    bench.allocate_and_exercise(adapter, LENGTH_BYTES, routine, u64::MAX)
}

fn opening(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let slot = bench.slot();
    let attempt = |bench: &mut Bench<'_>, _| {
        bench.run_one(Step::adapter_open(
            slot,
            0,
            DeviceDescription::version_3(64),
        ))
    };
    walk(bench, "IoGetDmaAdapter", 2, attempt, is_null)?;
    bench
        .require("PutDmaAdapter", Step::adapter_put(slot))
        .map(drop)
}
