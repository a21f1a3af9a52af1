//! Large common buffers: 2 MiB pages (AB-6), up to 64 MiB (AB-5, CM-3), and very many at once (FC-2).

use crate::bench::{Bench, Buffer};
use crate::case::Case;
use crate::cases::{BOTH, ON};
use crate::finding::{CaseEnd, Finding};
use crate::oracle::PAGE_SIZE;
use crate::step::{Routine, Step};

const MIB: u64 = 0x10_0000;
const LARGE_PAGE: u64 = 2 * MIB;
/// DOMAIN_COMMON_BUFFER_LARGE_PAGE
const LARGE_PAGE_FLAG: u32 = 1;
const MM_CACHED: u32 = 1;
/// Buffers that live at once.
const MANY: u32 = 10_000;
/// Operations in one program.
const BATCH: u32 = 250;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("AB-6/large-page", "2 MiB pages: aligned, one range, data moves both ways", BOTH, large_page),
    Case::new("AB-6/large-page-odd-length", "a length that is no multiple of 2 MiB", BOTH, large_page_odd_length),
    Case::new("AB-5/64-mib", "64 MiB: mapping set and data at both ends and all between", BOTH, sixty_four_mib),
    Case::new("AB-5/8-mib-less-1", "8 MiB less 1 byte", BOTH, eight_mib_less_1),
    Case::new("CM-3/64-mib-scattered", "16384 scattered pages become one logical range", ON, scattered_64_mib),
    Case::new("CM-1/32-mib", "32 MiB of contiguous memory", BOTH, contiguous_32_mib),
    Case::new("FC-2/10000-buffers", "10,000 buffers on one adapter, freed in another order", BOTH, ten_thousand),
];

fn large_page(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    large_pages(bench, 2 * LARGE_PAGE)
}

fn large_page_odd_length(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    large_pages(bench, LARGE_PAGE + 0x1234)
}

fn large_pages(bench: &mut Bench<'_>, length_bytes: u64) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let routine = Routine::WithBounds {
        minimum: None,
        maximum: None,
        flags: LARGE_PAGE_FLAG,
        cache_type: Some(MM_CACHED),
        node: 0,
    };
    let buffer = bench.allocate_large(adapter, length_bytes, routine)?;
    if !buffer.logical_address.is_aligned(LARGE_PAGE) {
        return Err(Finding {
            view: "driver",
            what: "the address of a large-page buffer".to_owned(),
            buffer: Some(buffer.name.clone()),
            logical_address: Some(buffer.logical_address),
            expected: "a multiple of 2 MiB".to_owned(),
            seen: buffer.logical_address.to_string(),
        }
        .into());
    }
    bench.exercise_mapped(&buffer)?;
    bench.free(&buffer)
}

fn sixty_four_mib(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    allocated(bench, 64 * MIB)
}

fn eight_mib_less_1(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    allocated(bench, 8 * MIB - 1)
}

fn allocated(bench: &mut Bench<'_>, length_bytes: u64) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let routine = Routine::WITH_BOUNDS;
    let buffer = bench.allocate_by(adapter, length_bytes, routine, u64::MAX)?;
    bench.exercise_mapped(&buffer)?;
    by_message_in_places(bench, &buffer)?;
    bench.free(&buffer)
}

/// The platform's translation at both ends and in the middle.
fn by_message_in_places(bench: &mut Bench<'_>, buffer: &Buffer) -> Result<(), CaseEnd> {
    let last = (buffer.length_bytes - 1) / PAGE_SIZE * PAGE_SIZE;
    let middle = buffer.length_bytes / 2 / PAGE_SIZE * PAGE_SIZE;
    for offset in [0, middle, last] {
        bench.exercise_part_by_message(
            buffer,
            offset,
            PAGE_SIZE.min(buffer.length_bytes - offset),
        )?;
    }
    Ok(())
}

fn scattered_64_mib(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.scattered_mdl(64 * MIB / PAGE_SIZE)?;
    let buffer = bench.create_ok(adapter, &source, None)?;
    bench.exercise_mapped(&buffer)?;
    by_message_in_places(bench, &buffer)?;
    bench.free(&buffer)
}

fn contiguous_32_mib(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(32 * MIB / PAGE_SIZE)?;
    let buffer = bench.create_ok(adapter, &source, None)?;
    bench.exercise_mapped(&buffer)?;
    by_message_in_places(bench, &buffer)?;
    bench.check_canaries(&source)?;
    bench.free(&buffer)
}

fn ten_thousand(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let first = bench.slots(MANY);
    let mut buffers = Vec::new();
    for batch in batches(first) {
        let allocate = |slot| Step::buffer_allocate(slot, adapter, PAGE_SIZE, Routine::EX);
        let steps: Vec<Step> = batch.map(allocate).collect();
        let results = bench.run(&steps)?;
        for (step, result) in steps.iter().zip(&results) {
            buffers.push(bench.allocated(Routine::EX, PAGE_SIZE, step.operation.dst, result)?);
        }
    }
    bench.check_all_mapped(&buffers)?;
    // The CPU writes into each, the device reads a few of them all over.
    for batch in batches(first) {
        let fill = |slot: u32| Step::cpu_fill(slot, 0, PAGE_SIZE, u64::from(slot));
        bench.require_all("the CPU's write", &batch.map(fill).collect::<Vec<_>>())?;
    }
    for buffer in buffers.iter().step_by(buffers.len() / 16) {
        bench.exercise(buffer)?;
        bench.cpu_fill(buffer, u64::from(buffer.slot))?;
    }
    // Every second one goes; the others keep what they hold.
    let is_second = |slot: &u32| (slot - first).is_multiple_of(2);
    for batch in batches(first) {
        let free: Vec<Step> = batch.filter(is_second).map(Step::buffer_free).collect();
        bench.require_all("FreeCommonBuffer", &free)?;
    }
    let (gone, left): (Vec<Buffer>, Vec<Buffer>) = buffers
        .into_iter()
        .partition(|buffer| is_second(&buffer.slot));
    bench.check_all_mapped(&left)?;
    for buffer in gone.iter().step_by(gone.len() / 16) {
        bench.check_gone(buffer)?;
    }
    for batch in batches(first) {
        let check = |slot: u32| Step::cpu_check(slot, 0, PAGE_SIZE, u64::from(slot));
        let left = batch.filter(|slot| !is_second(slot)).map(check);
        let steps: Vec<Step> = left.collect();
        for result in bench.run(&steps)? {
            bench.judge_cpu_check("the end of its neighbor", &result, None)?;
        }
    }
    for batch in batches(first) {
        let free: Vec<Step> = batch
            .filter(|slot| !is_second(slot))
            .map(Step::buffer_free)
            .collect();
        bench.require_all("FreeCommonBuffer", &free)?;
    }
    bench.check_unchanged("10,000 times FreeCommonBuffer")
}

/// The slots of [`MANY`] buffers, as many at a time as a program may have operations.
fn batches(first: u32) -> impl Iterator<Item = std::ops::Range<u32>> {
    (0..MANY / BATCH).map(move |batch| {
        let start = first + batch * BATCH;
        start..start + BATCH
    })
}
