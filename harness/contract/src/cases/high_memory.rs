//! Memory above 4 GiB: pages that a narrow adapter does not reach (CM-10), and machines that hand out nothing
//! else as long as they can.

use crate::bench::{Bench, DOCUMENTED_FAILURES};
use crate::case::Case;
use crate::cases::{BOTH, OFF, ON};
use crate::finding::{CaseEnd, Finding};
use crate::oracle::PAGE_SIZE;
use crate::profile::{GuestMemory, Profile};
use crate::step::Routine;

const FOUR_GIB: u64 = 0x1_0000_0000;
const LAST_32_BIT: u64 = FOUR_GIB - 1;
const LAST: u64 = i64::MAX.cast_unsigned();

/// 3 GiB, 1 GiB of it above 4 GiB.
static BOTH_SIDES: Profile = Profile {
    name: "both-sides",
    memory: GuestMemory::BothSides,
    ..Profile::DEFAULT
};

/// The same machine; what has no limit comes from above.
static HIGH_FIRST: Profile = Profile {
    name: "high-first",
    memory: GuestMemory::HighFirst,
    ..Profile::DEFAULT
};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("CM-10/pages-above-a-32-bit-adapter", "contiguous pages above 4 GiB are refused without remapping: nothing bounces", OFF, pages_above_refused).under(&BOTH_SIDES),
    Case::new("CM-10/mapped-inside-the-width", "pages above 4 GiB get a logical address below it", ON, pages_above_mapped).under(&BOTH_SIDES),
    Case::new("CM-10/scattered-above", "16 scattered pages above 4 GiB for a 32-bit adapter", ON, scattered_above).under(&BOTH_SIDES),
    Case::new("CM-1/above-4-gib", "contiguous memory above 4 GiB for a 64-bit adapter", BOTH, contiguous_above).under(&BOTH_SIDES),
    Case::new("CM-1/below-4-gib", "contiguous memory below 4 GiB for a 32-bit adapter", BOTH, contiguous_below).under(&BOTH_SIDES).showing(&["MD-14"]),
    Case::new("CM-3/above-4-gib", "pages of MmAllocatePagesForMdlEx above 4 GiB", BOTH, pages_of_mdl_above).under(&BOTH_SIDES),
    Case::new("AC-8/both-sides", "a 32-bit adapter's buffer lies below 4 GiB where there is more", BOTH, |bench| allocated(bench, 32)).under(&BOTH_SIDES),
    Case::new("CM-10/high-first-refused", "memory from above, a 32-bit adapter: refused without remapping", OFF, high_first_refused).under(&HIGH_FIRST),
    Case::new("CM-10/high-first-mapped", "memory from above, a 32-bit adapter: mapped below 4 GiB", ON, high_first_mapped).under(&HIGH_FIRST),
    Case::new("CM-1/high-first", "memory from above, a 64-bit adapter", BOTH, high_first).under(&HIGH_FIRST),
    Case::new("CM-2/high-first", "locked pages from above, a 64-bit adapter", BOTH, high_first_locked).under(&HIGH_FIRST),
    Case::new("CM-3/high-first", "scattered pages from above", ON, high_first_scattered).under(&HIGH_FIRST),
    Case::new("AC-8/high-first", "a 32-bit adapter's buffer lies below 4 GiB all the same", BOTH, |bench| allocated(bench, 32)).under(&HIGH_FIRST),
    Case::new("AC-8/high-first-24-bit", "a 24-bit adapter's buffer lies below 16 MiB all the same", BOTH, |bench| allocated(bench, 24)).under(&HIGH_FIRST),
    Case::new("AC-8/high-first-64-bit", "a 64-bit adapter's buffers", BOTH, |bench| allocated(bench, 64)).under(&HIGH_FIRST),
];

fn pages_above_refused(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(32)?;
    let source = bench.contiguous_mdl_within(4, FOUR_GIB, LAST)?;
    bench.create_refused(adapter, &source, None, DOCUMENTED_FAILURES)
}

fn pages_above_mapped(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.contiguous_mdl_within(4, FOUR_GIB, LAST)?;
    succeeds(bench, 32, &source)
}

fn scattered_above(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.pages_mdl_within(16, FOUR_GIB, LAST, false)?;
    succeeds(bench, 32, &source)
}

fn contiguous_above(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.contiguous_mdl_within(4, FOUR_GIB, LAST)?;
    succeeds(bench, 64, &source)
}

fn contiguous_below(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.contiguous_mdl_within(4, 0, LAST_32_BIT)?;
    succeeds(bench, 32, &source)
}

fn pages_of_mdl_above(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.pages_mdl_within(4, FOUR_GIB, LAST, true)?;
    succeeds(bench, 64, &source)
}

fn high_first_refused(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(32)?;
    let source = bench.contiguous_mdl(4)?;
    all_above(&source)?;
    bench.create_refused(adapter, &source, None, DOCUMENTED_FAILURES)
}

fn high_first_mapped(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.contiguous_mdl(4)?;
    all_above(&source)?;
    succeeds(bench, 32, &source)
}

fn high_first(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.contiguous_mdl(4)?;
    all_above(&source)?;
    succeeds(bench, 64, &source)
}

fn high_first_locked(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.locked_mdl(4)?;
    all_above(&source)?;
    succeeds(bench, 64, &source)
}

fn high_first_scattered(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.scattered_mdl(32)?;
    all_above(&source)?;
    succeeds(bench, 64, &source)
}

/// The profile would show nothing if the memory came from elsewhere.
fn all_above(source: &crate::bench::MdlSource) -> Result<(), CaseEnd> {
    let is_low = |pfn: &&u64| **pfn < FOUR_GIB / PAGE_SIZE;
    let Some(pfn) = source.pfns.iter().find(is_low) else {
        return Ok(());
    };
    Err(Finding {
        view: "guest",
        what: "the frames of a machine that hands out memory from above".to_owned(),
        buffer: Some(source.name.clone()),
        logical_address: None,
        expected: "all above 4 GiB".to_owned(),
        seen: format!("frame {pfn:#x}"),
    }
    .into())
}

fn succeeds(
    bench: &mut Bench<'_>,
    width: u32,
    source: &crate::bench::MdlSource,
) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(width)?;
    let buffer = bench.create_ok(adapter, source, None)?;
    let last = u64::MAX >> (64 - width);
    bench.check_inside("CreateCommonBufferFromMdl", &buffer, None, Some(last))?;
    bench.exercise(&buffer)?;
    bench.check_canaries(source)?;
    bench.free(&buffer)
}

fn allocated(bench: &mut Bench<'_>, width: u32) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(width)?;
    let last = u64::MAX >> (64 - width);
    for routine in [Routine::PLAIN, Routine::EX, Routine::WITH_BOUNDS] {
        bench.allocate_and_exercise(adapter, 0x4000, routine, last)?;
    }
    Ok(())
}
