//! Misuse of MDLs under the verifier; each case ends the guest.

use crate::bench::Bench;
use crate::case::Case;
use crate::cases::BOTH;
use crate::finding::CaseEnd;
use crate::profile::Stop;
use crate::step::Step;

use super::detected_violation;

/// What a case does to an MDL in a slot.
type Call = fn(u32) -> Step;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("VF-C4-70/lock-above-dispatch", "MmProbeAndLockPages at a device's IRQL", BOTH, |bench| unbuilt(bench, |mdl| Step::mdl_probe_and_lock(mdl).at_device_irql())).stops(detected_violation(0x70)),
    Case::new("VF-C4-70/paged-at-dispatch", "MmProbeAndLockPages of paged pool at DISPATCH_LEVEL", BOTH, |bench| paged(bench, |mdl| Step::mdl_probe_and_lock(mdl).at_dispatch())).stops(detected_violation(0x70)),
    Case::new("VF-C4-76/map-above-dispatch", "MmMapLockedPagesSpecifyCache at a device's IRQL", BOTH, |bench| locked(bench, |mdl| Step::mdl_map(mdl).at_device_irql())).stops(detected_violation(0x76)),
    Case::new("VF-C4-78/unlock-above-dispatch", "MmUnlockPages at a device's IRQL", BOTH, |bench| locked(bench, |mdl| Step::mdl_unlock(mdl).at_device_irql())).stops(detected_violation(0x78)),
    Case::new("VF-C4-79/unmap-above-dispatch", "MmUnmapLockedPages at a device's IRQL", BOTH, |bench| mapped(bench, |mdl| Step::mdl_unmap(mdl).at_device_irql())).stops(detected_violation(0x79)),
    Case::new("VF-C4-7C/unlock-of-unlocked", "MmUnlockPages of an MDL that was never locked", BOTH, |bench| unbuilt(bench, |mdl| Step::mdl_unlock(mdl).keep())).showing(&["MD-7"]).stops(detected_violation(0x7c)),
    Case::new("VF-C4-7C/unlock-twice", "MmUnlockPages twice", BOTH, unlock_twice).stops(detected_violation(0x7c)),
    Case::new("VF-C4-7D/unlock-of-built", "MmUnlockPages of an MDL built for nonpaged pool", BOTH, |bench| built(bench, |mdl| Step::mdl_unlock(mdl).keep())).showing(&["MD-4"]).stops(detected_violation(0x7d)),
    Case::new("VF-C4-7E/pages-above-dispatch", "MmAllocatePagesForMdlEx at a device's IRQL", BOTH, pages_above_dispatch).stops(detected_violation(0x7e)),
    Case::new("VF-C4-7E/pages-freed-above-dispatch", "MmFreePagesFromMdl at a device's IRQL", BOTH, pages_freed_above_dispatch).stops(detected_violation(0x7e)),
    Case::new("VF-C4-7F/build-over-paged", "MmBuildMdlForNonPagedPool over paged pool", BOTH, |bench| paged(bench, Step::mdl_build_nonpaged)).showing(&["MD-4"]).stops(detected_violation(0x7f)),
    Case::new("VF-C4-82/bug-check-on-failure", "mapped with BugCheckOnFailure", BOTH, |bench| locked(bench, |mdl| Step::mdl_map_again(mdl, true))).stops(detected_violation(0x82)),
    Case::new("VF-C4-85/map-of-unlocked", "MmMapLockedPagesSpecifyCache before the pages are locked", BOTH, |bench| unbuilt(bench, |mdl| Step::mdl_map_again(mdl, false))).stops(detected_violation(0x85)),
    Case::new("VF-C4-B0/lock-twice", "MmProbeAndLockPages twice", BOTH, |bench| locked(bench, |mdl| Step::mdl_probe_and_lock(mdl).keep())).showing(&["MD-6"]).stops(detected_violation(0xb0)),
    Case::new("VF-C4-B0/lock-of-built", "MmProbeAndLockPages of an MDL built for nonpaged pool", BOTH, |bench| built(bench, |mdl| Step::mdl_probe_and_lock(mdl).keep())).showing(&["MD-4", "MD-6"]).stops(detected_violation(0xb0)),
    Case::new("VF-C4-B0/lock-of-partial", "MmProbeAndLockPages of a partial MDL", BOTH, |bench| partial(bench, |mdl| Step::mdl_probe_and_lock(mdl).keep())).showing(&["MD-6"]).stops(detected_violation(0xb0)),
    Case::new("VF-C4-B2/map-twice", "MmMapLockedPagesSpecifyCache of an MDL that is mapped", BOTH, |bench| mapped(bench, |mdl| Step::mdl_map_again(mdl, false))).stops(detected_violation(0xb2)),
    Case::new("VF-C4-B4/unlock-of-partial", "MmUnlockPages of a partial MDL", BOTH, |bench| partial(bench, |mdl| Step::mdl_unlock(mdl).keep())).stops(detected_violation(0xb4)),
    Case::new("VF-C4-B5/unmap-of-partial", "MmUnmapLockedPages of a partial MDL that shares its source's mapping", BOTH, |bench| partial(bench, |mdl| Step::mdl_unmap(mdl).keep())).stops(detected_violation(0xb5)),
    Case::new("VF-C4-B6/unmap-of-unmapped", "MmUnmapLockedPages of an MDL that is not mapped", BOTH, |bench| locked(bench, |mdl| Step::mdl_unmap(mdl).keep())).showing(&["MD-9"]).stops(detected_violation(0xb6)),
    Case::new("VF-C4-B8/free-while-mapped", "IoFreeMdl of an MDL that is mapped", BOTH, |bench| mapped(bench, |mdl| Step::mdl_free(mdl).keep())).showing(&["MD-2"]).stops(detected_violation(0xb8)),
    Case::new("MD-2/free-while-locked", "IoFreeMdl before MmUnlockPages", BOTH, |bench| locked(bench, |mdl| Step::mdl_free(mdl).keep())).stops(Stop::Finding("mdl-freed-while-locked")),
    Case::new("MD-2/free-twice", "IoFreeMdl twice", BOTH, free_twice).stops(Stop::Finding("mdl-freed-twice")),
    Case::new("MD-3/partial-of-unlocked", "IoBuildPartialMdl of a source without frames", BOTH, partial_of_unlocked).stops(Stop::Finding("partial-mdl-of-unlocked-source")),
    Case::new("MD-4/build-twice", "MmBuildMdlForNonPagedPool twice", BOTH, |bench| built(bench, |mdl| Step::mdl_build_nonpaged(mdl).keep())).stops(Stop::Finding("mdl-built-twice")),
    Case::new("MD-13/free-pages-twice", "MmFreePagesFromMdl twice", BOTH, free_pages_twice).stops(Stop::Finding("pages-freed-twice")),
    Case::new("MD-14/free-contiguous-twice", "MmFreeContiguousMemory twice", BOTH, free_contiguous_twice).stops(Stop::Finding("contiguous-memory-freed-twice")),
];

fn unbuilt(bench: &mut Bench<'_>, call: Call) -> Result<(), CaseEnd> {
    let source = bench.unbuilt_mdl(2)?;
    bench.run_one(call(source.slot)).map(drop)
}

fn built(bench: &mut Bench<'_>, call: Call) -> Result<(), CaseEnd> {
    let source = bench.contiguous_mdl(2)?;
    bench.run_one(call(source.slot)).map(drop)
}

/// Locked, not mapped.
fn locked(bench: &mut Bench<'_>, call: Call) -> Result<(), CaseEnd> {
    let source = bench.unbuilt_mdl(2)?;
    bench.require("MmProbeAndLockPages", Step::mdl_probe_and_lock(source.slot))?;
    bench.run_one(call(source.slot)).map(drop)
}

fn mapped(bench: &mut Bench<'_>, call: Call) -> Result<(), CaseEnd> {
    let source = bench.locked_mdl(2)?;
    bench.run_one(call(source.slot)).map(drop)
}

/// One page of a locked and mapped MDL.
fn partial(bench: &mut Bench<'_>, call: Call) -> Result<(), CaseEnd> {
    let source = bench.locked_mdl(2)?;
    let part = bench.slot();
    let build = Step::mdl_build_partial(part, source.slot, 0x1000, 0x1000);
    bench.require("IoBuildPartialMdl", build)?;
    bench.run_one(call(part)).map(drop)
}

fn paged(bench: &mut Bench<'_>, call: Call) -> Result<(), CaseEnd> {
    let (memory, mdl) = (bench.slot(), bench.slot());
    bench.require("ExAllocatePool2", Step::paged_allocate(memory, 0x2000))?;
    bench.require("IoAllocateMdl", Step::mdl_allocate(mdl, memory, 0, 0x2000))?;
    bench.run_one(call(mdl)).map(drop)
}

fn unlock_twice(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.locked_mdl(2)?;
    let unlock = Step::mdl_unlock(source.slot).keep();
    bench.run(&[unlock.clone(), unlock]).map(drop)
}

fn pages_above_dispatch(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let slot = bench.slot();
    bench
        .run_one(Step::mdl_allocate_pages(slot, 0x2000, 0).at_device_irql())
        .map(drop)
}

fn pages_freed_above_dispatch(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.allocated_pages_mdl(2, false)?;
    bench
        .run_one(Step::mdl_free_pages(source.slot).at_device_irql())
        .map(drop)
}

fn free_twice(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.contiguous_mdl(2)?;
    let free = Step::mdl_free(source.slot).keep();
    bench.run(&[free.clone(), free]).map(drop)
}

fn partial_of_unlocked(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.unbuilt_mdl(2)?;
    let part = bench.slot();
    let build = Step::mdl_build_partial(part, source.slot, 0, 0x1000);
    bench.run_one(build.keep()).map(drop)
}

fn free_pages_twice(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.allocated_pages_mdl(2, false)?;
    let free = Step::mdl_free_pages(source.slot).keep();
    bench.run(&[free.clone(), free]).map(drop)
}

fn free_contiguous_twice(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let memory = bench.slot();
    bench.require("allocating", Step::contiguous_allocate(memory, 0x1000))?;
    let free = Step::memory_free(memory).keep();
    bench.run(&[free.clone(), free]).map(drop)
}
