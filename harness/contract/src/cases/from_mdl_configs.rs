//! CreateCommonBufferFromMdl: extended configurations (CM-11 to CM-21).

use crate::bench::{Bench, Buffer, DOCUMENTED_FAILURES, Pass};
use crate::case::{Case, Tag};
use crate::cases::{BOTH, OFF, ON};
use crate::extended_config::{ExtendedConfig, HardwareAccess};
use crate::finding::CaseEnd;
use crate::oracle::PAGE_SIZE;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("CM-11/middle-of-mdl", "pages 1 and 2 of 4: only they are the buffer", BOTH, middle_of_mdl),
    Case::new("CM-12/second-of-chain", "a SubSection inside the second MDL of a chain", BOTH, second_of_chain),
    Case::new("CM-12/first-of-chain", "a SubSection inside the first MDL of a chain", BOTH, first_of_chain),
    Case::new("CM-13/spanning", "a SubSection over the seam of a chain is refused", BOTH, spanning),
    Case::new("CM-14/offset-unaligned", "SubSection offset 0x800 is refused", BOTH, |bench| bad_sub_section(bench, 0x800, 0x1000)),
    Case::new("CM-14/length-unaligned", "SubSection length 0x1800 is refused", BOTH, |bench| bad_sub_section(bench, 0, 0x1800)),
    Case::new("CM-14/length-zero", "an empty SubSection is refused", BOTH, |bench| bad_sub_section(bench, 0x1000, 0)),
    Case::new("CM-14/beyond-end", "a SubSection that passes the end is refused", BOTH, |bench| bad_sub_section(bench, 0x3000, 0x2000)),
    Case::new("CM-14/offset-beyond-end", "a SubSection that starts far behind the end is refused", BOTH, |bench| bad_sub_section(bench, 0xffff_ffff_ffff_f000, 0x2000)),
    Case::new("CM-15/wide-limits", "a gigabyte of room: the buffer lies inside", ON, wide_limits),
    Case::new("CM-15/exact-limits", "limits that leave one place: the buffer lies there", BOTH, exact_limits),
    Case::new("CM-17/read-write", "access ReadWrite: created, data moves both ways", BOTH, read_write),
    Case::new("CM-18/read-only-refused", "access ReadOnly is refused without remapping", OFF, |bench| access_refused(bench, HardwareAccess::ReadOnly)),
    Case::new("CM-18/write-only-refused", "access WriteOnly is refused without remapping", OFF, |bench| access_refused(bench, HardwareAccess::WriteOnly)),
    Case::new("CM-18/read-only-enforced", "the IOMMU blocks the device's write to a ReadOnly buffer", ON, read_only_enforced).tagged(&[Tag::Fatal]),
    Case::new("CM-18/write-only-enforced", "the IOMMU blocks the device's read of a WriteOnly buffer", ON, write_only_enforced).tagged(&[Tag::Fatal]),
    Case::new("CM-19/two-limits", "LogicalAddressLimits twice is refused", BOTH, |bench| twice(bench, ExtendedConfig::LogicalAddressLimits { minimum: 0, maximum: u64::MAX })),
    Case::new("CM-19/two-sub-sections", "SubSection twice is refused", BOTH, |bench| twice(bench, ExtendedConfig::SubSection { offset: 0, length: 0x1000 })),
    Case::new("CM-19/two-accesses", "HardwareAccessPermissions twice is refused", BOTH, |bench| twice(bench, ExtendedConfig::HardwareAccess(HardwareAccess::ReadWrite))),
    Case::new("CM-21/null-configs", "NULL and 0: the whole MDL, inside a 32-bit adapter's reach", BOTH, null_configs),
];

fn middle_of_mdl(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(4)?;
    let config = ExtendedConfig::SubSection {
        offset: PAGE_SIZE,
        length: 0x2000,
    };
    let buffer = bench.create_ok(adapter, &source, Some(&[config]))?;
    bench.exercise(&buffer)?;
    bench.check_canaries(&source)?;
    bench.free(&buffer)
}

fn second_of_chain(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    sub_section_of_chain(bench, 2 * PAGE_SIZE)
}

fn first_of_chain(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    sub_section_of_chain(bench, 0)
}

fn sub_section_of_chain(bench: &mut Bench<'_>, offset: u64) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let mut first = bench.contiguous_mdl(2)?;
    let second = bench.contiguous_mdl(2)?;
    bench.chain(&mut first, &second)?;
    let config = ExtendedConfig::SubSection {
        offset,
        length: 0x2000,
    };
    let buffer = bench.create_ok(adapter, &first, Some(&[config]))?;
    bench.exercise(&buffer)?;
    bench.check_canaries(&first)?;
    bench.check_canaries(&second)?;
    bench.free(&buffer)
}

fn spanning(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let mut first = bench.contiguous_mdl(2)?;
    let second = bench.contiguous_mdl(2)?;
    bench.chain(&mut first, &second)?;
    let config = ExtendedConfig::SubSection {
        offset: PAGE_SIZE,
        length: 0x2000,
    };
    bench.create_refused(adapter, &first, Some(&[config]), DOCUMENTED_FAILURES)
}

fn bad_sub_section(bench: &mut Bench<'_>, offset: u64, length: u32) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(4)?;
    let config = ExtendedConfig::SubSection { offset, length };
    bench.create_refused(adapter, &source, Some(&[config]), DOCUMENTED_FAILURES)
}

fn wide_limits(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (minimum, maximum) = (0x20_0000_0000, 0x20_3fff_ffff);
    let adapter = bench.adapter(64)?;
    let source = bench.pool_mdl(4)?;
    within_limits(bench, adapter, &source, minimum, maximum)
}

fn exact_limits(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(4)?;
    // With remapping any free place will do; without it the only place is where the pages are.
    let minimum = if bench.is_remapped() {
        0x21_0004_0000
    } else {
        source.pfns.first().map_or(0, |pfn| pfn * PAGE_SIZE)
    };
    let maximum = minimum + source.length_bytes() - 1;
    within_limits(bench, adapter, &source, minimum, maximum)
}

fn within_limits(
    bench: &mut Bench<'_>,
    adapter: u32,
    source: &crate::bench::MdlSource,
    minimum: u64,
    maximum: u64,
) -> Result<(), CaseEnd> {
    let config = ExtendedConfig::LogicalAddressLimits { minimum, maximum };
    let buffer = bench.create_ok(adapter, source, Some(&[config]))?;
    let what = "CreateCommonBufferFromMdl with LogicalAddressLimits";
    bench.check_inside(what, &buffer, Some(minimum), Some(maximum))?;
    bench.exercise(&buffer)?;
    bench.check_canaries(source)?;
    bench.free(&buffer)
}

fn read_write(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(2)?;
    let config = ExtendedConfig::HardwareAccess(HardwareAccess::ReadWrite);
    let buffer = bench.create_ok(adapter, &source, Some(&[config]))?;
    bench.exercise(&buffer)?;
    bench.check_canaries(&source)?;
    bench.free(&buffer)
}

fn access_refused(bench: &mut Bench<'_>, access: HardwareAccess) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(2)?;
    let config = ExtendedConfig::HardwareAccess(access);
    bench.create_refused(adapter, &source, Some(&[config]), DOCUMENTED_FAILURES)
}

fn read_only_enforced(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const SEED: u64 = 0x18;
    let (adapter, source) = (bench.adapter(64)?, bench.contiguous_mdl(2)?);
    let config = ExtendedConfig::HardwareAccess(HardwareAccess::ReadOnly);
    let buffer = bench.create_ok(adapter, &source, Some(&[config]))?;
    bench.cpu_fill(&buffer, SEED)?;
    // The write comes first: a read would leave a cached translation that hides the fault.
    bench.refused_by_iommu(&buffer, true)?;
    bench.cpu_check("the blocked write", &buffer, SEED)?;
    allow(bench, &buffer, true, false)?;
    bench.free(&buffer)
}

fn write_only_enforced(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (adapter, source) = (bench.adapter(64)?, bench.contiguous_mdl(2)?);
    let config = ExtendedConfig::HardwareAccess(HardwareAccess::WriteOnly);
    let buffer = bench.create_ok(adapter, &source, Some(&[config]))?;
    bench.refused_by_iommu(&buffer, false)?;
    allow(bench, &buffer, false, true)?;
    bench.free(&buffer)
}

/// The permitted direction works, by the device's mapping and through the IOMMU.
fn allow(bench: &mut Bench<'_>, buffer: &Buffer, reads: bool, writes: bool) -> Result<(), CaseEnd> {
    let id = bench.declare(buffer, reads, writes)?;
    for (index, pass) in Pass::DEFAULT.into_iter().enumerate() {
        let seed = 0x1800 + index as u64;
        if reads {
            bench.cpu_to_device(buffer, pass, seed)?;
        }
        if writes {
            bench.device_to_cpu(buffer, pass, seed)?;
        }
    }
    bench.undeclare(id)
}

fn twice(bench: &mut Bench<'_>, config: ExtendedConfig) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(4)?;
    bench.create_refused(
        adapter,
        &source,
        Some(&[config, config]),
        DOCUMENTED_FAILURES,
    )
}

fn null_configs(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const LAST_32_BIT: u64 = 0xffff_ffff;
    let adapter = bench.adapter(32)?;
    let source = bench.contiguous_mdl(4)?;
    let buffer = bench.create_ok(adapter, &source, None)?;
    let what = "CreateCommonBufferFromMdl without configurations";
    bench.check_inside(what, &buffer, None, Some(LAST_32_BIT))?;
    bench.exercise(&buffer)?;
    bench.check_canaries(&source)?;
    bench.free(&buffer)
}
