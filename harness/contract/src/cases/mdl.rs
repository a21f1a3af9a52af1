//! MDLs as the sources of buffers: what the memory manager's routines give (MD).

use dmarig_abi::operation::OUTCOME_RAISED;

use crate::bench::Bench;
use crate::case::Case;
use crate::cases::BOTH;
use crate::finding::{CaseEnd, Finding};
use crate::oracle;
use crate::step::Step;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("MD-1/no-frames", "IoAllocateMdl leaves the frames out", BOTH, no_frames),
    Case::new("MD-5/memory-that-went", "MmProbeAndLockPages of freed memory raises STATUS_ACCESS_VIOLATION", BOTH, memory_that_went),
    Case::new("MD-8/mapped-once", "asking twice for the system address gives one address", BOTH, mapped_once),
    Case::new("MD-12/one-run", "MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS gives one run", BOTH, one_run),
    Case::new("MD-15/as-many-as-touched", "0x1000 bytes at offset 0x800 have two frames", BOTH, as_many_as_touched),
];

fn differs(what: &str, expected: String, seen: String) -> CaseEnd {
    Finding {
        view: "driver",
        what: what.to_owned(),
        buffer: None,
        logical_address: None,
        expected,
        seen,
    }
    .into()
}

fn no_frames(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.unbuilt_mdl(2)?;
    let query = bench.query(&source)?;
    let flags = query.result.value[0];
    // MDL_PAGES_LOCKED, MDL_SOURCE_IS_NONPAGED_POOL, MDL_PARTIAL: the frames are there.
    if flags & 0x16 == 0 {
        return Ok(());
    }
    let what = "the flags of an MDL that was only allocated";
    Err(differs(what, "no frames".to_owned(), format!("{flags:#x}")))
}

fn memory_that_went(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const ACCESS_VIOLATION: u32 = 0xc000_0005;
    let (memory, mdl) = (bench.slot(), bench.slot());
    bench.require("ExAllocatePool2", Step::pool_allocate(memory, 0x2000))?;
    bench.require("IoAllocateMdl", Step::mdl_allocate(mdl, memory, 0, 0x2000))?;
    bench.require("ExFreePoolWithTag", Step::memory_free(memory))?;
    let result = bench.run_one(Step::mdl_probe_and_lock(mdl).keep())?;
    if result.result.outcome == OUTCOME_RAISED && result.result.status == ACCESS_VIOLATION {
        return Ok(());
    }
    let expected = "raised STATUS_ACCESS_VIOLATION".to_owned();
    Err(differs("MmProbeAndLockPages", expected, result.describe()))
}

fn mapped_once(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.locked_mdl(2)?;
    let first = bench.require("MmGetSystemAddressForMdlSafe", Step::mdl_map(source.slot))?;
    let again = bench.require("MmGetSystemAddressForMdlSafe", Step::mdl_map(source.slot))?;
    let [first, again] = [first, again].map(|result| result.result.virtual_address);
    if first == again {
        return Ok(());
    }
    let what = "the second system address of an MDL";
    Err(differs(what, format!("{first:#x}"), format!("{again:#x}")))
}

fn one_run(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.allocated_pages_mdl(4, false)?;
    if oracle::is_contiguous(&source.pfns) {
        return Ok(());
    }
    let what = "the frames of MmAllocatePagesForMdlEx";
    Err(differs(
        what,
        "one run".to_owned(),
        format!("{:x?}", source.pfns),
    ))
}

fn as_many_as_touched(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.odd_mdl(0x800, 0x1000)?;
    if source.pfns.len() == 2 {
        return Ok(());
    }
    let seen = source.pfns.len().to_string();
    Err(differs("the frames of the MDL", "2".to_owned(), seen))
}
