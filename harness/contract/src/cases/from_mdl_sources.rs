//! CreateCommonBufferFromMdl: which MDLs may be a source, beyond the plain ones (CM-1 to CM-9, CM-12 to CM-14).

use crate::bench::{Bench, DOCUMENTED_FAILURES, MdlSource};
use crate::case::Case;
use crate::cases::{BOTH, ON};
use crate::extended_config::ExtendedConfig;
use crate::finding::CaseEnd;
use crate::oracle::PAGE_SIZE;

const INVALID: &[crate::nt_status::NtStatus] = &[crate::nt_status::NtStatus::INVALID_PARAMETER];

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("CM-1/partial-of-built", "a partial MDL over two pages of a built one", BOTH, partial_of_built),
    Case::new("CM-2/partial-of-locked", "a partial MDL over two pages of a locked and mapped one", BOTH, partial_of_locked),
    Case::new("CM-2/64-pages", "64 locked pages", BOTH, many_locked_pages),
    Case::new("CM-3/partial-of-scattered", "a partial MDL over the middle of 16 scattered pages", ON, partial_of_scattered),
    Case::new("CM-4/locked-but-not-mapped", "locked pages without a system mapping are refused", BOTH, locked_but_not_mapped),
    Case::new("CM-4/partial-of-unmapped", "a partial MDL of pages without a system mapping is refused", BOTH, partial_of_unmapped),
    Case::new("CM-6/partial-that-starts-late", "a partial MDL that starts inside a page is refused", BOTH, |bench| odd_partial(bench, 0x800, 0x2000)),
    Case::new("CM-7/partial-that-ends-early", "a partial MDL of a page and a half is refused", BOTH, |bench| odd_partial(bench, 0x1000, 0x1800)),
    Case::new("CM-8/chain-of-three", "a chain of three good MDLs is refused", BOTH, chain_of_three),
    Case::new("CM-12/third-of-chain", "a SubSection inside the third MDL of a chain", BOTH, third_of_chain),
    Case::new("CM-13/spanning-three", "a SubSection over three MDLs of a chain is refused", BOTH, spanning_three),
    Case::new("CM-14/beyond-the-chain", "a SubSection behind a chain's end is refused", BOTH, beyond_the_chain),
    Case::new("CM-11/first-page", "the first page of 4", BOTH, |bench| part(bench, 0, 0x1000)),
    Case::new("CM-11/last-page", "the last page of 4", BOTH, |bench| part(bench, 0x3000, 0x1000)),
    Case::new("CM-11/whole", "a SubSection of the whole MDL", BOTH, |bench| part(bench, 0, 0x4000)),
];

fn succeeds(
    bench: &mut Bench<'_>,
    source: &MdlSource,
    configs: Option<&[ExtendedConfig]>,
) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let buffer = bench.create_ok(adapter, source, configs)?;
    bench.exercise(&buffer)?;
    bench.check_canaries(source)?;
    bench.free(&buffer)
}

fn partial_of_built(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let whole = bench.contiguous_mdl(4)?;
    let source = bench.partial_mdl(&whole, PAGE_SIZE, 2 * PAGE_SIZE)?;
    succeeds(bench, &source, None)?;
    bench.check_canaries(&whole)
}

fn partial_of_locked(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let whole = bench.locked_mdl(4)?;
    let source = bench.partial_mdl(&whole, PAGE_SIZE, 2 * PAGE_SIZE)?;
    succeeds(bench, &source, None)?;
    bench.check_canaries(&whole)
}

fn many_locked_pages(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.locked_mdl(64)?;
    succeeds(bench, &source, None)
}

fn partial_of_scattered(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let whole = bench.scattered_mdl(16)?;
    let source = bench.partial_mdl(&whole, 4 * PAGE_SIZE, 8 * PAGE_SIZE)?;
    succeeds(bench, &source, None)
}

fn refused(bench: &mut Bench<'_>, source: &MdlSource) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    bench.create_refused(adapter, source, None, INVALID)
}

fn locked_but_not_mapped(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = bench.locked_unmapped_mdl(2)?;
    refused(bench, &source)
}

fn partial_of_unmapped(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let whole = bench.allocated_pages_mdl(4, false)?;
    let source = bench.partial_mdl(&whole, PAGE_SIZE, PAGE_SIZE)?;
    refused(bench, &source)
}

fn odd_partial(bench: &mut Bench<'_>, offset: u64, length: u64) -> Result<(), CaseEnd> {
    let whole = bench.contiguous_mdl(4)?;
    let source = bench.partial_mdl(&whole, offset, length)?;
    refused(bench, &source)
}

/// Three contiguous MDLs of two pages each, chained.
fn chain(bench: &mut Bench<'_>) -> Result<MdlSource, CaseEnd> {
    let mut first = bench.contiguous_mdl(2)?;
    let mut second = bench.contiguous_mdl(2)?;
    let third = bench.contiguous_mdl(2)?;
    bench.chain(&mut second, &third)?;
    bench.chain(&mut first, &second)?;
    Ok(first)
}

fn chain_of_three(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = chain(bench)?;
    refused(bench, &source)
}

fn third_of_chain(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let source = chain(bench)?;
    let config = ExtendedConfig::SubSection {
        offset: 4 * PAGE_SIZE,
        length: 0x2000,
    };
    succeeds(bench, &source, Some(&[config]))
}

fn spanning_three(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    sub_section_refused(bench, PAGE_SIZE, 0x4000)
}

fn beyond_the_chain(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    sub_section_refused(bench, 6 * PAGE_SIZE, 0x1000)
}

fn sub_section_refused(bench: &mut Bench<'_>, offset: u64, length: u32) -> Result<(), CaseEnd> {
    let source = chain(bench)?;
    let adapter = bench.adapter(64)?;
    let config = ExtendedConfig::SubSection { offset, length };
    bench.create_refused(adapter, &source, Some(&[config]), DOCUMENTED_FAILURES)
}

fn part(bench: &mut Bench<'_>, offset: u64, length: u32) -> Result<(), CaseEnd> {
    let source = bench.contiguous_mdl(4)?;
    let config = ExtendedConfig::SubSection { offset, length };
    succeeds(bench, &source, Some(&[config]))
}
