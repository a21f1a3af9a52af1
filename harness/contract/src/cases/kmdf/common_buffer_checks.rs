//! WdfCommonBufferCreate and WdfCommonBufferCreateWithConfig: what is refused, and in which order
//! (KD-9 to KD-12). What stops the guest is in `misuse`.

use super::KMDF;
use crate::bench::{Bench, OutPointer};
use crate::case::Case;
use crate::cases::BOTH;
use crate::finding::CaseEnd;
use crate::framework::{CommonBufferConfig, DmaProfile, EnablerConfig, ObjectAttributes, Parent};
use crate::nt_status::NtStatus;
use crate::step::{Creation, Step};

const PAGE_CONFIG: CommonBufferConfig = CommonBufferConfig::new(0xfff);
const MASK_64_KIB: u32 = 0xffff;
const LENGTH_MISMATCH: &[NtStatus] = &[NtStatus::INFO_LENGTH_MISMATCH];
const INVALID: &[NtStatus] = &[NtStatus::INVALID_PARAMETER];
const NO_RESOURCES: &[NtStatus] = &[NtStatus::INSUFFICIENT_RESOURCES];
const OVERFLOW: &[NtStatus] = &[NtStatus::INTEGER_OVERFLOW];

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("KD-9/config-size-7", "Config.Size 7 is refused before anything else is looked at", BOTH, |bench| config_size(bench, 7)).under(&KMDF),
    Case::new("KD-9/config-size-12", "Config.Size 12 is refused", BOTH, |bench| config_size(bench, 12)).under(&KMDF),
    Case::new("KD-9/config-size-before-out-pointer", "a wrong Config.Size is refused before a NULL out pointer stops the machine", BOTH, size_before_out).under(&KMDF),
    Case::new("KD-9/config-size-before-length", "a wrong Config.Size is refused before length 0", BOTH, size_before_length).under(&KMDF),
    Case::new("KD-9/length-zero", "length 0 is refused, and the receiving pointer is NULL", BOTH, length_zero).under(&KMDF),
    Case::new("KD-9/length-before-attributes", "length 0 is refused before wrong attributes", BOTH, length_before_attributes).under(&KMDF),
    Case::new("KD-10/parent", "a parent is refused", BOTH, |bench| attributes(bench, "a parent", |attributes| ObjectAttributes { parent: Parent::Device(0), ..attributes }, &[NtStatus::WDF_PARENT_ASSIGNMENT_NOT_ALLOWED])).under(&KMDF),
    Case::new("KD-10/size", "attributes of a wrong size are refused", BOTH, |bench| attributes(bench, "attributes of 0x30 bytes", |attributes| ObjectAttributes { size: 0x30, ..attributes }, LENGTH_MISMATCH)).under(&KMDF),
    Case::new("KD-10/execution-level", "an execution level is refused", BOTH, |bench| attributes(bench, "an execution level", |attributes| ObjectAttributes { execution_level: 2, ..attributes }, &[NtStatus::WDF_EXECUTION_LEVEL_INVALID])).under(&KMDF),
    Case::new("KD-10/synchronization-scope", "a synchronization scope is refused", BOTH, |bench| attributes(bench, "a synchronization scope", |attributes| ObjectAttributes { synchronization_scope: 2, ..attributes }, &[NtStatus::WDF_SYNCHRONIZATION_SCOPE_INVALID])).under(&KMDF),
    Case::new("KD-10/good-attributes", "attributes with context and callbacks are taken", BOTH, good_attributes).under(&KMDF),
    Case::new("KD-11/overflow", "length and mask beyond 64 bits are refused", BOTH, overflow).under(&KMDF),
    Case::new("KD-12/above-ulong", "a length of 4 GiB is refused", BOTH, |bench| too_long(bench, 1 << 32, CommonBufferConfig::new(0))).under(&KMDF),
    Case::new("KD-12/above-ulong-by-the-mask", "a length that only the mask brings above 32 bits is refused", BOTH, |bench| too_long(bench, 0xffff_0001, CommonBufferConfig::new(MASK_64_KIB))).under(&KMDF),
    Case::new("KD-12/no-memory", "more memory than this guest has is refused", BOTH, no_memory).under(&KMDF),
];

fn enabler(bench: &mut Bench<'_>) -> Result<u32, CaseEnd> {
    bench.enabler(EnablerConfig::new(DmaProfile::ScatterGather64))
}

/// A creation with and, where that makes sense, without a configuration.
fn refused(
    bench: &mut Bench<'_>,
    what: &str,
    length_bytes: u64,
    configs: &[Option<CommonBufferConfig>],
    creation: Creation,
    expected: &[NtStatus],
    out: OutPointer,
) -> Result<(), CaseEnd> {
    let enabler = enabler(bench)?;
    for config in configs {
        let slot = bench.slot();
        let step = Step::common_buffer_create(slot, enabler, length_bytes, *config, creation);
        bench.common_buffer_refused(what, step, expected, out)?;
    }
    Ok(())
}

fn wrong_size(size: u32) -> CommonBufferConfig {
    CommonBufferConfig {
        size,
        ..PAGE_CONFIG
    }
}

fn config_size(bench: &mut Bench<'_>, size: u32) -> Result<(), CaseEnd> {
    refused(
        bench,
        "a wrong Config.Size",
        100,
        &[Some(wrong_size(size))],
        Creation::default(),
        LENGTH_MISMATCH,
        OutPointer::Untouched,
    )
}

fn size_before_out(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let creation = Creation {
        null_out: true,
        ..Creation::default()
    };
    refused(
        bench,
        "a wrong Config.Size and no out pointer",
        100,
        &[Some(wrong_size(4))],
        creation,
        LENGTH_MISMATCH,
        OutPointer::Open,
    )
}

fn size_before_length(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    refused(
        bench,
        "a wrong Config.Size and length 0",
        0,
        &[Some(wrong_size(4))],
        Creation::default(),
        LENGTH_MISMATCH,
        OutPointer::Untouched,
    )
}

fn length_zero(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    refused(
        bench,
        "length 0",
        0,
        &[None, Some(PAGE_CONFIG)],
        Creation::default(),
        INVALID,
        OutPointer::Null,
    )
}

fn length_before_attributes(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let attributes = ObjectAttributes {
        size: 1,
        ..ObjectAttributes::INIT
    };
    refused(
        bench,
        "length 0 and wrong attributes",
        0,
        &[None, Some(PAGE_CONFIG)],
        Creation::with(attributes),
        INVALID,
        OutPointer::Null,
    )
}

fn attributes(
    bench: &mut Bench<'_>,
    what: &str,
    change: fn(ObjectAttributes) -> ObjectAttributes,
    expected: &[NtStatus],
) -> Result<(), CaseEnd> {
    refused(
        bench,
        what,
        100,
        &[None, Some(PAGE_CONFIG)],
        Creation::with(change(ObjectAttributes::INIT)),
        expected,
        OutPointer::Null,
    )
}

fn good_attributes(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let enabler = enabler(bench)?;
    let attributes = ObjectAttributes {
        callbacks: true,
        context_type: 1,
        ..ObjectAttributes::INIT
    };
    for config in [None, Some(PAGE_CONFIG)] {
        let slot = bench.slot();
        let creation = Creation::with(attributes);
        let step = Step::common_buffer_create(slot, enabler, 100, config, creation);
        let created = bench.require("creating a common buffer with attributes", step)?;
        let buffer = bench.framework_buffer(slot, 100, &created)?;
        bench.exercise(&buffer)?;
        bench.free(&buffer)?;
    }
    Ok(())
}

fn overflow(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    refused(
        bench,
        "a length of 2^64 - 1 and a mask of 64 KiB",
        u64::MAX,
        &[Some(CommonBufferConfig::new(MASK_64_KIB))],
        Creation::default(),
        OVERFLOW,
        OutPointer::Null,
    )
}

fn too_long(
    bench: &mut Bench<'_>,
    length_bytes: u64,
    config: CommonBufferConfig,
) -> Result<(), CaseEnd> {
    refused(
        bench,
        &format!("length {length_bytes:#x}"),
        length_bytes,
        &[Some(config)],
        Creation::default(),
        NO_RESOURCES,
        OutPointer::Null,
    )
}

fn no_memory(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const LENGTH_BYTES: u64 = 512 << 20;
    /// WDF_DMA_ENABLER_CONFIG_NO_SGLIST_PREALLOCATION.
    const NO_PREALLOCATION: u32 = 1;
    let enabler = bench.enabler(EnablerConfig {
        maximum_length_bytes: LENGTH_BYTES,
        flags: NO_PREALLOCATION,
        ..EnablerConfig::new(DmaProfile::ScatterGather64)
    })?;
    let slot = bench.slot();
    let creation = Creation::default();
    let step = Step::common_buffer_create(slot, enabler, LENGTH_BYTES, None, creation);
    bench.common_buffer_refused("512 MiB", step, NO_RESOURCES, OutPointer::Null)
}
