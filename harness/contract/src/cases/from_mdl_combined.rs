//! CreateCommonBufferFromMdl: configurations combined, unknown and unsatisfiable (CM-16, CM-20, CM-24).

use dmarig_abi::operation::OUTCOME_DONE;

use crate::bench::{Bench, Buffer, DOCUMENTED_FAILURES, MdlSource, Pass, driver_finding};
use crate::case::{Case, Tag};
use crate::cases::{BOTH, OFF, ON};
use crate::extended_config::{ExtendedConfig, HardwareAccess};
use crate::finding::CaseEnd;
use crate::oracle::PAGE_SIZE;
use crate::step::Step;

const READ_WRITE: ExtendedConfig = ExtendedConfig::HardwareAccess(HardwareAccess::ReadWrite);
const READ_ONLY: ExtendedConfig = ExtendedConfig::HardwareAccess(HardwareAccess::ReadOnly);
const MIDDLE: ExtendedConfig = ExtendedConfig::SubSection {
    offset: PAGE_SIZE,
    length: 0x2000,
};
const FULL: ExtendedConfig = ExtendedConfig::LogicalAddressLimits {
    minimum: 0,
    maximum: u64::MAX,
};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("CM-11/with-limits", "limits and a SubSection: the part lies inside the limits", BOTH, |bench| combined(bench, &[Part::Limits, Part::Section])),
    Case::new("CM-11/with-access", "a SubSection and ReadWrite", BOTH, |bench| combined(bench, &[Part::Section, Part::Access])),
    Case::new("CM-15/with-access", "limits and ReadWrite", BOTH, |bench| combined(bench, &[Part::Limits, Part::Access])),
    Case::new("CM-15/all-three", "limits, SubSection and access together", BOTH, |bench| combined(bench, &[Part::Limits, Part::Section, Part::Access])),
    Case::new("CM-15/all-three-reversed", "the same in another order", BOTH, |bench| combined(bench, &[Part::Access, Part::Section, Part::Limits])),
    Case::new("CM-18/all-three-read-only", "limits, SubSection and ReadOnly: the device may read", ON, all_three_read_only),
    Case::new("CM-18/sub-section-read-only-refused", "a SubSection and ReadOnly are refused without remapping", OFF, |bench| refused(bench, &[MIDDLE, READ_ONLY])),
    Case::new("CM-19/duplicate-behind-others", "the third configuration repeats the first: refused", BOTH, |bench| refused(bench, &[FULL, MIDDLE, FULL])),
    Case::new("CM-19/three-alike", "three configurations of one type are refused", BOTH, |bench| refused(bench, &[READ_WRITE, READ_WRITE, READ_WRITE])),
    Case::new("CM-19/four-entries", "four configurations of three types are refused", BOTH, |bench| refused(bench, &[FULL, MIDDLE, READ_WRITE, MIDDLE])),
    Case::new("CM-20/type-3", "configuration type Max is refused", BOTH, |bench| fails(bench, &[ExtendedConfig::UnknownType(3)])),
    Case::new("CM-20/type-77", "an unknown configuration type is refused", BOTH, |bench| fails(bench, &[ExtendedConfig::UnknownType(77)])),
    Case::new("CM-20/type-negative", "a negative configuration type is refused", BOTH, |bench| fails(bench, &[ExtendedConfig::UnknownType(u32::MAX)])),
    Case::new("CM-20/type-behind-good-ones", "an unknown type behind good ones is refused", BOTH, |bench| fails(bench, &[FULL, MIDDLE, ExtendedConfig::UnknownType(4)])),
    Case::new("CM-20/access-3", "access type Max is refused", BOTH, |bench| fails(bench, &[ExtendedConfig::HardwareAccess(HardwareAccess::Raw(3))])),
    Case::new("CM-20/access-unknown", "an unknown access type is refused", BOTH, |bench| fails(bench, &[ExtendedConfig::HardwareAccess(HardwareAccess::Raw(0x8000_0000))])),
    Case::new("CM-21/empty-array", "an array with a count of 0 is no configuration", BOTH, empty_array),
    Case::new("CM-21/count-without-array", "NULL with a count of 2 fails", BOTH, count_without_array).tagged(&[Tag::Undefined]),
    Case::new("CM-16/crossed-limits", "a minimum above the maximum fails; the code is noted", BOTH, |bench| limits(bench, 64, 0x2000_0000, 0x1000_0000)),
    Case::new("CM-16/room-too-small", "room for one page of four fails; the code is noted", BOTH, |bench| limits(bench, 64, 0x2_0000_0000, 0x2_0000_0fff)),
    Case::new("CM-16/above-adapter-width", "limits above a 32-bit adapter's reach fail; the code is noted", BOTH, |bench| limits(bench, 32, 0x1_0000_0000, 0x2_0000_0000)),
    Case::new("CM-16/other-place", "limits where the pages are not, without remapping; the code is noted", OFF, |bench| limits(bench, 64, 0x10_0000_0000, 0x11_0000_0000)),
    Case::new("CM-24/address-after-failure", "what a refused call leaves in LogicalAddress is noted", BOTH, address_after_failure),
];

#[derive(Clone, Copy)]
enum Part {
    Limits,
    Section,
    Access,
}

fn combined(bench: &mut Bench<'_>, parts: &[Part]) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(4)?;
    let (minimum, maximum) = room(bench, &source);
    let configs: Vec<ExtendedConfig> = parts
        .iter()
        .map(|part| match part {
            Part::Limits => ExtendedConfig::LogicalAddressLimits { minimum, maximum },
            Part::Section => MIDDLE,
            Part::Access => READ_WRITE,
        })
        .collect();
    let buffer = bench.create_ok(adapter, &source, Some(&configs))?;
    if configs
        .iter()
        .any(|config| matches!(config, ExtendedConfig::LogicalAddressLimits { .. }))
    {
        inside(bench, &buffer, minimum, maximum)?;
    }
    bench.exercise(&buffer)?;
    bench.check_canaries(&source)?;
    bench.free(&buffer)
}

/// Limits with some room: far away with remapping, round the pages without it.
fn room(bench: &Bench<'_>, source: &MdlSource) -> (u64, u64) {
    if bench.is_remapped() {
        return (0x30_0000_0000, 0x30_0fff_ffff);
    }
    let start = source.pfns.first().map_or(0, |pfn| pfn * PAGE_SIZE);
    (start, start + source.length_bytes() - 1)
}

fn inside(
    bench: &mut Bench<'_>,
    buffer: &Buffer,
    minimum: u64,
    maximum: u64,
) -> Result<(), CaseEnd> {
    let what = "CreateCommonBufferFromMdl with LogicalAddressLimits";
    bench.check_inside(what, buffer, Some(minimum), Some(maximum))
}

fn all_three_read_only(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(4)?;
    let (minimum, maximum) = room(bench, &source);
    let limits = ExtendedConfig::LogicalAddressLimits { minimum, maximum };
    let buffer = bench.create_ok(adapter, &source, Some(&[MIDDLE, limits, READ_ONLY]))?;
    inside(bench, &buffer, minimum, maximum)?;
    let id = bench.declare(&buffer, true, false)?;
    for pass in Pass::DEFAULT {
        bench.cpu_to_device(&buffer, pass, 0x1803)?;
    }
    bench.undeclare(id)?;
    bench.free(&buffer)
}

fn refused(bench: &mut Bench<'_>, configs: &[ExtendedConfig]) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(4)?;
    bench.create_refused(adapter, &source, Some(configs), DOCUMENTED_FAILURES)
}

/// Fails with a code that is not documented.
fn fails(bench: &mut Bench<'_>, configs: &[ExtendedConfig]) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(4)?;
    bench.create_fails(adapter, &source, configs)
}

fn limits(bench: &mut Bench<'_>, width: u32, minimum: u64, maximum: u64) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(width)?;
    let source = bench.contiguous_mdl(4)?;
    let config = ExtendedConfig::LogicalAddressLimits { minimum, maximum };
    bench.create_fails(adapter, &source, &[config])
}

fn empty_array(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(4)?;
    let buffer = bench.create_ok(adapter, &source, Some(&[]))?;
    bench.exercise(&buffer)?;
    bench.check_canaries(&source)?;
    bench.free(&buffer)
}

fn count_without_array(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.contiguous_mdl(4)?;
    let slot = bench.slot();
    let step = Step::buffer_create_without_array(slot, adapter, source.slot, 2);
    let result = bench.run_one(step)?;
    if result.result.outcome != OUTCOME_DONE || result.status().is_success() {
        let what = "CreateCommonBufferFromMdl with a count and no array";
        return Err(driver_finding(what, "a failure", &result).into());
    }
    bench.observe(format!("seen: {}", result.status()));
    bench.check_unchanged("the refused call")
}

fn address_after_failure(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.odd_mdl(16, 2 * PAGE_SIZE)?;
    let (_, result) = bench.create(adapter, &source, None)?;
    if result.is_success() {
        let what = "CreateCommonBufferFromMdl of an odd MDL";
        return Err(driver_finding(what, "a failure", &result).into());
    }
    let left = result.result.logical_address;
    bench.observe(match left {
        u64::MAX => "seen: LogicalAddress is untouched".to_owned(),
        left => format!("seen: LogicalAddress is {left:#x}"),
    });
    bench.check_unchanged("the refused call")
}
