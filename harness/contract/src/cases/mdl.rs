//! MDLs as the sources of buffers: what the memory manager's routines give (MD).

use dmarig_abi::operation::{OUTCOME_NULL, OUTCOME_RAISED};

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
    Case::new("MD-10/locked-zeroed-unmapped", "pages that held data before: locked, not mapped, all zero", BOTH, locked_zeroed_unmapped),
    Case::new("MD-11/all-or-null", "16 pages come whole, more than the guest has give NULL", BOTH, all_or_null),
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

fn locked_zeroed_unmapped(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const LENGTH_BYTES: u64 = 4 * oracle::PAGE_SIZE;
    const LOCKED: u64 = 0x0002;
    const MAPPED: u64 = 0x0001 | 0x0004;
    let what = "MmAllocatePagesForMdlEx";
    // Pages with content go back first, so that zeros are the routine's doing.
    let used = bench.slot();
    bench.require(what, Step::mdl_allocate_pages(used, LENGTH_BYTES, 0))?;
    bench.require("mapping the pages", Step::mdl_map(used))?;
    bench.require("filling them", Step::cpu_fill(used, 0, LENGTH_BYTES, 0x10))?;
    bench.require("MmFreePagesFromMdl", Step::mdl_free_pages(used))?;

    let mdl = bench.slot();
    let granted = bench.require(what, Step::mdl_allocate_pages(mdl, LENGTH_BYTES, 0))?;
    let flags = bench.require("reading the MDL", Step::mdl_query(mdl))?;
    let flags = flags.result.value[0];
    if flags & LOCKED == 0 || flags & MAPPED != 0 {
        let what = "the flags of the pages' MDL";
        let expected = "locked and not mapped".to_owned();
        return Err(differs(what, expected, format!("{flags:#x}")));
    }
    bench.require("mapping the pages", Step::mdl_map(mdl))?;
    for offset in (0..granted.result.length).step_by(0x1000) {
        let read = bench.require("reading a page", Step::cpu_read(mdl, offset, 0x1000))?;
        if let Some(at) = read.data.iter().position(|byte| *byte != 0) {
            let what = format!(
                "the byte at offset {:#x} of fresh pages",
                offset + at as u64
            );
            let seen = format!("{:#04x}", read.data[at]);
            return Err(differs(&what, "0x00".to_owned(), seen));
        }
    }
    Ok(())
}

fn all_or_null(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const FULLY_REQUIRED: u32 = 4;
    const SMALL_BYTES: u64 = 16 * oracle::PAGE_SIZE;
    // The guest of this profile has 256 MiB, and lives in them itself.
    const LARGE_BYTES: u64 = 255 << 20;
    let what = "MmAllocatePagesForMdlEx with MM_ALLOCATE_FULLY_REQUIRED";
    let slot = bench.slot();
    let small = Step::mdl_allocate_pages(slot, SMALL_BYTES, FULLY_REQUIRED);
    let granted = bench.require(what, small)?.result.length;
    if granted != SMALL_BYTES {
        let expected = format!("{SMALL_BYTES:#x} bytes");
        return Err(differs(what, expected, format!("{granted:#x} bytes")));
    }
    let slot = bench.slot();
    let large = bench.run_one(Step::mdl_allocate_pages(slot, LARGE_BYTES, FULLY_REQUIRED))?;
    if large.result.outcome == OUTCOME_NULL {
        return Ok(());
    }
    Err(differs(what, "NULL".to_owned(), large.describe()))
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
