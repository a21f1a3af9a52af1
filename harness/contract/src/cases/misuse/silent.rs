//! Misuse without the verifier: a status or silence, as on retail Windows. What real Windows does then is not
//! documented; nt says what it found and goes on.

use crate::bench::Bench;
use crate::case::{Case, Tag};
use crate::cases::BOTH;
use crate::device_description::DeviceDescription;
use crate::finding::CaseEnd;
use crate::step::{FreedAs, Routine, Step};

use super::VERIFIER_OFF;

/// A case that goes on although the guest finds this.
const fn silent(
    id: &'static str,
    title: &'static str,
    findings: &'static [&'static str],
    body: crate::case::Body,
) -> Case {
    Case::new(id, title, BOTH, body)
        .tagged(&[Tag::Undefined])
        .under(&VERIFIER_OFF)
        .finds(findings)
}

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    silent("VF-E6-03/double-free-unverified", "a second FreeCommonBuffer does nothing", &["common-buffer-freed-twice"], double_free),
    silent("VF-E6-0F/tail-written-unverified", "an overrun is found when the buffer is freed", &["common-buffer-overrun"], tail_written),
    silent("VF-E6-13/allocate-at-dispatch-unverified", "AllocateCommonBuffer at DISPATCH_LEVEL", &["dma-irql"], allocate_at_dispatch),
    silent("VF-E6-18/allocate-after-put-unverified", "an adapter that was put gives no common buffer", &["adapter-used-after-release"], allocate_after_put),
    silent("VF-E6-19/put-of-null-unverified", "PutDmaAdapter of NULL does nothing", &["adapter-null"], put_of_null),
    silent("GA-3/version-4", "a description of version 4 gives NULL", &["device-description-version"], unknown_version),
    silent("FC-2/other-length-unverified", "FreeCommonBuffer with another length frees nothing", &["free-common-buffer-mismatch"], free_with_other_length),
    silent("VF-C4-7C/unlock-of-unlocked-unverified", "MmUnlockPages of what is not locked does nothing", &["mdl-unlocked-wrongly"], unlock_of_unlocked),
    silent("VF-C4-B0/lock-twice-unverified", "a second MmProbeAndLockPages does nothing", &["mdl-locked-twice"], lock_twice),
    silent("VF-C4-B6/unmap-twice-unverified", "a second MmUnmapLockedPages does nothing", &["mdl-unmapped-twice"], unmap_twice),
    silent("MD-2/free-twice-unverified", "a second IoFreeMdl does nothing", &["mdl-freed-twice"], free_mdl_twice),
];

fn double_free(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let buffer = bench.allocate_ok(adapter, 0x2000, None, None)?;
    let free = Step::buffer_free(buffer.slot).keep();
    bench.run(&[free.clone(), free, Step::forget(buffer.slot)])?;
    bench.check_freed(&buffer)
}

fn tail_written(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let buffer = bench.allocate_ok(adapter, 5000, None, None)?;
    bench.run_one(Step::cpu_touch(buffer.slot, 5000, 0))?;
    bench.free(&buffer)
}

/// Whether a buffer comes of it is not documented: it is recorded.
fn allocate_at_dispatch(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let slot = bench.slot();
    let step = Step::buffer_allocate(slot, adapter, 0x1000, Routine::PLAIN);
    let result = bench.run_one(step.at_dispatch())?;
    bench.observe(format!("seen: {}", result.describe()));
    Ok(())
}

fn allocate_after_put(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let slot = bench.slot();
    let steps = [
        Step::adapter_put(adapter).keep(),
        Step::buffer_allocate(slot, adapter, 0x1000, Routine::PLAIN),
        Step::forget(adapter),
    ];
    let results = bench.run(&steps)?;
    bench.expect_null(
        "AllocateCommonBuffer of an adapter that was put",
        &results[1],
    )
}

fn put_of_null(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    bench.run_one(Step::adapter_put_other(adapter, 0)).map(drop)
}

fn unknown_version(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let description = DeviceDescription {
        version: 4,
        ..DeviceDescription::version_3(64)
    };
    let slot = bench.slot();
    let result = bench.run_one(Step::adapter_open(slot, 0, description))?;
    bench.expect_null("IoGetDmaAdapter with description version 4", &result)
}

fn free_with_other_length(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let slot = bench.slot();
    let what = "AllocateCommonBufferWithBounds";
    let step = Step::buffer_allocate_with_bounds(slot, adapter, 0x2000, None, None);
    let made = bench.require(what, step)?.result;
    let values = FreedAs {
        length_bytes: 0x1000,
        logical_address: made.logical_address,
        virtual_address: made.virtual_address,
        cache_enabled: true,
    };
    bench.run(&[Step::buffer_free_as(slot, values), Step::buffer_free(slot)])?;
    Ok(())
}

fn unlock_of_unlocked(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.unbuilt_mdl(2)?;
    bench
        .run_one(Step::mdl_unlock(source.slot).keep())
        .map(drop)
}

fn lock_twice(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.locked_mdl(2)?;
    bench
        .run_one(Step::mdl_probe_and_lock(source.slot).keep())
        .map(drop)
}

fn unmap_twice(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.locked_mdl(2)?;
    let steps = [
        Step::mdl_unmap(source.slot),
        Step::mdl_unmap(source.slot).keep(),
    ];
    bench.run(&steps).map(drop)
}

fn free_mdl_twice(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.contiguous_mdl(2)?;
    let free = Step::mdl_free(source.slot).keep();
    bench
        .run(&[free.clone(), free, Step::forget(source.slot)])
        .map(drop)
}
