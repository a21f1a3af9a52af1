//! WdfDmaEnablerCreate and what an enabler tells (KD-1 to KD-6, KD-19).

use super::KMDF;
use crate::bench::Bench;
use crate::case::Case;
use crate::cases::BOTH;
use crate::finding::{CaseEnd, Finding};
use crate::framework::{CommonBufferConfig, DmaProfile, EnablerConfig, ObjectAttributes, Parent};
use crate::nt_status::NtStatus;
use crate::oracle::PAGE_SIZE;
use crate::step::{Creation, Step};

use DmaProfile::{
    Packet, Packet64, ScatterGather, ScatterGather64, ScatterGather64Duplex, ScatterGatherDuplex,
};

const GIB_4: u64 = 0x1_0000_0000;
const INVALID: &[NtStatus] = &[NtStatus::INVALID_PARAMETER];
/// WDF_DMA_ENABLER_CONFIG_REQUIRE_SINGLE_TRANSFER.
const SINGLE_TRANSFER: u32 = 2;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("KD-1/32-bit-profile", "a 32-bit profile: the buffer lies below 4 GiB, data moves both ways", BOTH, |bench| profile(bench, ScatterGather, GIB_4)).under(&KMDF),
    Case::new("KD-1/32-bit-packet-profile", "a 32-bit packet profile: the same", BOTH, |bench| profile(bench, Packet, GIB_4)).under(&KMDF),
    Case::new("KD-1/64-bit-profile", "a 64-bit profile: data moves both ways", BOTH, |bench| profile(bench, ScatterGather64, u64::MAX)).under(&KMDF),
    Case::new("KD-1/64-bit-packet-profile", "a 64-bit packet profile: data moves both ways", BOTH, |bench| profile(bench, Packet64, u64::MAX)).under(&KMDF),
    Case::new("KD-1/default-version", "the default adapter has the version 2 table (observed)", BOTH, default_version).under(&KMDF),
    Case::new("KD-2/version-too-low", "WdmDmaVersionOverride 1 is refused", BOTH, |bench| refused(bench, "version 1", EnablerConfig { wdm_dma_version_override: 1, ..EnablerConfig::new(ScatterGather64) }, INVALID)).under(&KMDF),
    Case::new("KD-2/width-needs-version-3", "version 2 with an address width is refused", BOTH, |bench| refused(bench, "version 2 and a width", EnablerConfig { wdm_dma_version_override: 2, address_width_override: 36, ..EnablerConfig::new(ScatterGather64) }, INVALID)).under(&KMDF),
    Case::new("KD-2/version-3-of-a-32-bit-profile", "version 3 of a 32-bit profile: the buffer lies below 4 GiB", BOTH, |bench| with(bench, EnablerConfig::new(ScatterGather).version_3(), GIB_4)).under(&KMDF),
    Case::new("KD-2/version-3-of-a-64-bit-profile", "version 3 of a 64-bit profile: data moves both ways", BOTH, |bench| with(bench, EnablerConfig::new(ScatterGather64).version_3(), u64::MAX)).under(&KMDF),
    Case::new("KD-2/version-2-asked-for", "WdmDmaVersionOverride 2 is the default's own version", BOTH, |bench| with(bench, EnablerConfig { wdm_dma_version_override: 2, ..EnablerConfig::new(ScatterGather64) }, u64::MAX)).under(&KMDF),
    Case::new("KD-3/36-bits", "an address width of 36 bits: the buffer lies inside", BOTH, |bench| width(bench, ScatterGather64, 36)).under(&KMDF),
    Case::new("KD-3/40-bits", "an address width of 40 bits: the buffer lies inside", BOTH, |bench| width(bench, Packet64, 40)).under(&KMDF),
    Case::new("KD-3/28-bits-of-a-32-bit-profile", "an address width of 28 bits: the buffer lies inside", BOTH, |bench| width(bench, ScatterGather, 28)).under(&KMDF),
    Case::new("KD-3/36-bits-of-a-32-bit-profile", "a width above 32 bits of a 32-bit profile is refused", BOTH, |bench| refused(bench, "36 bits", EnablerConfig { address_width_override: 36, ..EnablerConfig::new(ScatterGather) }, INVALID)).under(&KMDF),
    Case::new("KD-3/width-too-small", "a width of 23 bits is refused", BOTH, |bench| refused(bench, "23 bits", EnablerConfig { address_width_override: 23, ..EnablerConfig::new(ScatterGather64) }, TOO_NARROW)).under(&KMDF),
    Case::new("KD-4/size-of-1.9", "the size that KMDF 1.9 had is refused", BOTH, |bench| refused(bench, "Size 0x40", EnablerConfig { size: 0x40, ..EnablerConfig::new(ScatterGather64) }, LENGTH_MISMATCH)).under(&KMDF),
    Case::new("KD-4/size-zero", "Size 0 is refused", BOTH, |bench| refused(bench, "Size 0", EnablerConfig { size: 0, ..EnablerConfig::new(ScatterGather64) }, LENGTH_MISMATCH)).under(&KMDF),
    Case::new("KD-4/profile-zero", "WdfDmaProfileInvalid is refused", BOTH, |bench| refused(bench, "profile 0", EnablerConfig::new(DmaProfile::Raw(0)), INVALID)).under(&KMDF),
    Case::new("KD-4/profile-unknown", "profile 9 is refused", BOTH, |bench| refused(bench, "profile 9", EnablerConfig::new(DmaProfile::Raw(9)), INVALID)).under(&KMDF),
    Case::new("KD-4/maximum-length-zero", "MaximumLength 0 is refused", BOTH, |bench| refused(bench, "MaximumLength 0", EnablerConfig { maximum_length_bytes: 0, ..EnablerConfig::new(ScatterGather64) }, INVALID)).under(&KMDF),
    Case::new("KD-4/single-transfer", "the single-transfer flag of a client before 1.19 is refused", BOTH, |bench| refused(bench, "the single-transfer flag", EnablerConfig { flags: SINGLE_TRANSFER, ..EnablerConfig::new(ScatterGather64).version_3() }, INVALID)).under(&KMDF),
    Case::new("KD-5/parent-is-the-device", "the device itself as the parent", BOTH, parent_is_the_device).under(&KMDF),
    Case::new("KD-5/parent-below-the-device", "an object below the device as the parent: the enabler goes with it", BOTH, parent_below_the_device).under(&KMDF),
    Case::new("KD-5/foreign-parent", "a parent that is not below the device is refused", BOTH, foreign_parent).under(&KMDF),
    Case::new("KD-6/duplex", "a duplex profile has two adapters, and buffers all the same", BOTH, |bench| duplex(bench, ScatterGatherDuplex)).under(&KMDF),
    Case::new("KD-6/duplex-64", "a 64-bit duplex profile has two adapters", BOTH, |bench| duplex(bench, ScatterGather64Duplex)).under(&KMDF),
    Case::new("KD-6/simplex", "any other profile has one for both directions", BOTH, simplex).under(&KMDF),
    Case::new("KD-6/bad-direction", "a direction that does not exist gives NULL", BOTH, bad_direction).under(&KMDF),
    Case::new("KD-19/maximum-length", "the fragment length is MaximumLength or fits the map registers", BOTH, fragment_length).under(&KMDF),
    Case::new("KD-19/maximum-elements", "the number of elements is unlimited until it is set", BOTH, maximum_elements).under(&KMDF),
];

const LENGTH_MISMATCH: &[NtStatus] = &[NtStatus::INFO_LENGTH_MISMATCH];
/// Refused by the framework, or by IoGetDmaAdapter, which knows the same limit.
const TOO_NARROW: &[NtStatus] = &[
    NtStatus::INVALID_PARAMETER,
    NtStatus::UNSUCCESSFUL,
    NtStatus::NOT_SUPPORTED,
];

fn profile(bench: &mut Bench<'_>, profile: DmaProfile, end: u64) -> Result<(), CaseEnd> {
    with(bench, EnablerConfig::new(profile), end)
}

/// A common buffer of an enabler: below `end`, and good both ways.
fn with(bench: &mut Bench<'_>, config: EnablerConfig, end: u64) -> Result<(), CaseEnd> {
    let enabler = bench.enabler(config)?;
    let buffer = bench.common_buffer(enabler, 2 * PAGE_SIZE, None, 0)?;
    bench.check_inside("the enabler's reach", &buffer, None, Some(end - 1))?;
    bench.exercise(&buffer)?;
    bench.free(&buffer)?;
    bench.delete_with_buffers(enabler, &[])
}

fn width(bench: &mut Bench<'_>, profile: DmaProfile, bits: u32) -> Result<(), CaseEnd> {
    let config = EnablerConfig {
        address_width_override: bits,
        ..EnablerConfig::new(profile)
    };
    with(bench, config, 1 << bits)
}

fn refused(
    bench: &mut Bench<'_>,
    what: &str,
    config: EnablerConfig,
    expected: &[NtStatus],
) -> Result<(), CaseEnd> {
    bench.enabler_refused(what, config, Creation::default(), expected)
}

fn default_version(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    for (name, config, version) in [
        ("default", EnablerConfig::new(ScatterGather64), 2),
        (
            "version 3",
            EnablerConfig::new(ScatterGather64).version_3(),
            3,
        ),
    ] {
        let enabler = bench.enabler(config)?;
        let (_, adapter) = bench.adapter_of(enabler, 0, version)?;
        let [_, size, adapter_version] = adapter.result.value;
        bench.observe(format!(
            "seen: {name}: DMA_OPERATIONS.Size {size:#x}, DMA_ADAPTER.Version {adapter_version}"
        ));
    }
    Ok(())
}

fn parent_is_the_device(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let attributes = ObjectAttributes {
        parent: Parent::Device(0),
        ..ObjectAttributes::INIT
    };
    let config = EnablerConfig::new(ScatterGather64);
    let enabler = bench.enabler_with(config, Creation::with(attributes))?;
    let buffer = bench.common_buffer(enabler, PAGE_SIZE, None, 0)?;
    bench.exercise(&buffer)?;
    bench.delete_with_buffers(enabler, &[buffer])
}

/// A general object below DUT 0, or below nothing but the driver.
fn object(bench: &mut Bench<'_>, parent: Parent) -> Result<u32, CaseEnd> {
    let slot = bench.slot();
    let attributes = ObjectAttributes {
        parent,
        ..ObjectAttributes::INIT
    };
    let step = Step::object_create(slot, 0, Creation::with(attributes));
    bench.require("WdfObjectCreate", step)?;
    Ok(slot)
}

fn parent_below_the_device(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let parent = object(bench, Parent::Device(0))?;
    let attributes = ObjectAttributes {
        parent: Parent::Slot(parent),
        ..ObjectAttributes::INIT
    };
    let config = EnablerConfig::new(ScatterGather64);
    let enabler = bench.enabler_with(config, Creation::with(attributes))?;
    let buffer = bench.common_buffer(enabler, PAGE_SIZE, None, 0)?;
    bench.exercise(&buffer)?;
    bench.delete_with_buffers(parent, &[buffer])
}

fn foreign_parent(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let parent = object(bench, Parent::Default)?;
    let attributes = ObjectAttributes {
        parent: Parent::Slot(parent),
        ..ObjectAttributes::INIT
    };
    bench.enabler_refused(
        "a foreign parent",
        EnablerConfig::new(ScatterGather64),
        Creation::with(attributes),
        &[NtStatus::WDF_OBJECT_ATTRIBUTES_INVALID],
    )
}

/// The adapters of both directions.
fn adapters(bench: &mut Bench<'_>, enabler: u32) -> Result<[u64; 2], CaseEnd> {
    let read = bench.adapter_of(enabler, 0, 2)?.1;
    let write = bench.adapter_of(enabler, 1, 2)?.1;
    Ok([read.result.virtual_address, write.result.virtual_address])
}

fn judge_adapters(adapters: [u64; 2], is_duplex: bool) -> Result<(), CaseEnd> {
    if (adapters[0] != adapters[1]) == is_duplex {
        return Ok(());
    }
    Err(Finding {
        view: "driver",
        what: "the adapters of reading and writing".to_owned(),
        buffer: None,
        logical_address: None,
        expected: if is_duplex { "two" } else { "one" }.to_owned(),
        seen: format!("{adapters:#x?}"),
    }
    .into())
}

fn duplex(bench: &mut Bench<'_>, profile: DmaProfile) -> Result<(), CaseEnd> {
    let enabler = bench.enabler(EnablerConfig::new(profile))?;
    judge_adapters(adapters(bench, enabler)?, true)?;
    let config = CommonBufferConfig::new(0x3f);
    let buffer = bench.common_buffer(enabler, 3 * PAGE_SIZE, Some(config), 0)?;
    bench.exercise(&buffer)?;
    bench.delete_with_buffers(enabler, &[buffer])
}

fn simplex(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    for profile in [Packet, ScatterGather64] {
        let enabler = bench.enabler(EnablerConfig::new(profile))?;
        judge_adapters(adapters(bench, enabler)?, false)?;
    }
    Ok(())
}

fn bad_direction(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let enabler = bench.enabler(EnablerConfig::new(ScatterGather64Duplex))?;
    let slot = bench.slot();
    let result = bench.run_one(Step::enabler_adapter(slot, enabler, 2, 2))?;
    if result.result.outcome == dmarig_abi::operation::OUTCOME_NULL {
        return bench.accept_finding("wdf-dma-direction");
    }
    Err(Finding {
        view: "driver",
        what: "WdfDmaEnablerWdmGetDmaAdapter with direction 2".to_owned(),
        buffer: None,
        logical_address: None,
        expected: "NULL".to_owned(),
        seen: result.describe(),
    }
    .into())
}

fn fragment_length(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    for maximum_length_bytes in [PAGE_SIZE, 0x1_0000, 0x10_0000] {
        let config = EnablerConfig {
            maximum_length_bytes,
            ..EnablerConfig::new(ScatterGather64)
        };
        let enabler = bench.enabler(config)?;
        let query = bench.require("the enabler's getters", Step::enabler_query(enabler, 0))?;
        let [length, _, fragment] = query.result.value;
        // The other limit is what the map registers hold, whole pages.
        let is_right = length == maximum_length_bytes
            && (fragment == length || (fragment < length && fragment.is_multiple_of(PAGE_SIZE)))
            && fragment != 0;
        if !is_right {
            return Err(Finding {
                view: "driver",
                what: "the enabler's lengths".to_owned(),
                buffer: None,
                logical_address: None,
                expected: format!("{maximum_length_bytes:#x}, and no fragment beyond it"),
                seen: format!("{length:#x}, fragment {fragment:#x}"),
            }
            .into());
        }
        bench.observe(format!(
            "seen: MaximumLength {length:#x}: fragment {fragment:#x}"
        ));
    }
    Ok(())
}

fn maximum_elements(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const UNLIMITED: u64 = 0xffff_ffff;
    let enabler = bench.enabler(EnablerConfig::new(ScatterGather64))?;
    for (set, expected) in [(None, UNLIMITED), (Some(17), 17), (Some(1), 1)] {
        if let Some(elements) = set {
            let step = Step::enabler_set_maximum_elements(enabler, elements);
            bench.require("WdfDmaEnablerSetMaximumScatterGatherElements", step)?;
        }
        let query = bench.require("the enabler's getters", Step::enabler_query(enabler, 0))?;
        if query.result.value[1] != expected {
            return Err(Finding {
                view: "driver",
                what: "WdfDmaEnablerGetMaximumScatterGatherElements".to_owned(),
                buffer: None,
                logical_address: None,
                expected: format!("{expected:#x}"),
                seen: format!("{:#x}", query.result.value[1]),
            }
            .into());
        }
    }
    Ok(())
}
