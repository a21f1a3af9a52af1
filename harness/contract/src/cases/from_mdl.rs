//! CreateCommonBufferFromMdl: which MDLs make a common buffer (CM-1 to CM-9).

use crate::bench::{Bench, DOCUMENTED_FAILURES, Pass};
use crate::case::Case;
use crate::cases::{BOTH, OFF, ON};
use crate::finding::CaseEnd;
use crate::nt_status::NtStatus;
use crate::oracle::PAGE_SIZE;

const INVALID: &[NtStatus] = &[NtStatus::INVALID_PARAMETER];

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("CM-1/nonpaged-pool", "4 pages of nonpaged pool: created, data moves both ways", BOTH, nonpaged_pool),
    Case::new("CM-1/one-page-by-ring", "1 page, data moves both ways over the descriptor ring", BOTH, one_page_by_ring),
    Case::new("CM-2/locked-and-mapped", "4 locked and mapped pages: created, data moves both ways", BOTH, locked_and_mapped),
    Case::new("CM-3/scattered-pages", "16 scattered pages become one logical range", ON, scattered_pages),
    Case::new("CM-3/contiguous-pages", "4 contiguous pages of MmAllocatePagesForMdlEx: created", BOTH, contiguous_pages),
    Case::new("CM-4/unmapped-mdl", "pages without a system mapping are refused", BOTH, unmapped_mdl),
    Case::new("CM-5/unbuilt-mdl", "an MDL fresh from IoAllocateMdl is refused", BOTH, unbuilt_mdl),
    Case::new("CM-6/byte-offset", "whole pages that start 16 bytes late are refused", BOTH, byte_offset),
    Case::new("CM-7/partial-page", "2 pages less 16 bytes are refused", BOTH, partial_page),
    Case::new("CM-8/chained-mdl", "a chain of two good MDLs is refused", BOTH, chained_mdl),
    Case::new("CM-9/scattered-refused", "scattered pages are refused without remapping", OFF, scattered_refused),
    Case::new("CM-9/scattered-mapped", "64 scattered pages are contiguous for the device", ON, scattered_mapped),
];

pub(super) fn nonpaged_pool(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.pool_mdl(4)?;
    let buffer = bench.create_ok(adapter, &source, None)?;
    bench.exercise(&buffer)?;
    bench.check_canaries(&source)?;
    bench.free(&buffer)
}

fn one_page_by_ring(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    bench.rings(adapter, Pass::RING_CHANNEL)?;
    let source = bench.pool_mdl(1)?;
    let buffer = bench.create_ok(adapter, &source, None)?;
    // More turns than the ring has entries: the indices and the phase bit wrap.
    for _ in 0..3 {
        bench.exercise_by(&buffer, &Pass::RING)?;
    }
    bench.check_canaries(&source)?;
    bench.free(&buffer)
}

pub(super) fn locked_and_mapped(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.locked_mdl(4)?;
    let buffer = bench.create_ok(adapter, &source, None)?;
    bench.exercise(&buffer)?;
    bench.check_canaries(&source)?;
    bench.free(&buffer)
}

fn scattered_pages(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.scattered_mdl(16)?;
    let buffer = bench.create_ok(adapter, &source, None)?;
    bench.exercise(&buffer)?;
    bench.free(&buffer)
}

pub(super) fn contiguous_pages(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.allocated_pages_mdl(4, true)?;
    let buffer = bench.create_ok(adapter, &source, None)?;
    bench.exercise(&buffer)?;
    bench.free(&buffer)
}

fn unmapped_mdl(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.allocated_pages_mdl(4, false)?;
    bench.create_refused(adapter, &source, None, INVALID)
}

fn unbuilt_mdl(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.unbuilt_mdl(4)?;
    bench.create_refused(adapter, &source, None, DOCUMENTED_FAILURES)
}

fn byte_offset(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.odd_mdl(16, 2 * PAGE_SIZE)?;
    bench.create_refused(adapter, &source, None, INVALID)
}

fn partial_page(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.odd_mdl(0, 2 * PAGE_SIZE - 16)?;
    bench.create_refused(adapter, &source, None, INVALID)
}

pub(super) fn chained_mdl(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let mut first = bench.contiguous_mdl(2)?;
    let second = bench.contiguous_mdl(2)?;
    bench.chain(&mut first, &second)?;
    bench.create_refused(adapter, &first, None, INVALID)
}

pub(super) fn scattered_refused(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.scattered_mdl(16)?;
    bench.create_refused(adapter, &source, None, DOCUMENTED_FAILURES)
}

pub(super) fn scattered_mapped(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.scattered_mdl(64)?;
    let buffer = bench.create_ok(adapter, &source, None)?;
    bench.exercise(&buffer)?;
    bench.free(&buffer)
}
