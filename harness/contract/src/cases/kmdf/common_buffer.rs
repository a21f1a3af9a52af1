//! WdfCommonBufferCreate and WdfCommonBufferCreateWithConfig: addresses, lengths and lives (KD-7,
//! KD-8, KD-11, KD-13 to KD-18).

use super::KMDF;
use crate::bench::{Bench, Buffer};
use crate::case::{Case, Tag};
use crate::cases::{BOTH, ON};
use crate::finding::{CaseEnd, Finding};
use crate::framework::{CommonBufferConfig, DmaProfile, EnablerConfig};
use crate::oracle::PAGE_SIZE;
use crate::step::{Creation, Step};

use DmaProfile::{Packet64, ScatterGather64};

/// FILE_32_BYTE_ALIGNMENT.
const FILE_32_BYTE_ALIGNMENT: u32 = 0x1f;
/// A requirement that shows in the raw length: 64 KiB.
const MASK_64_KIB: u32 = 0xffff;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("KD-7/set-before", "a requirement of 64 KiB from before the enabler is its buffers' default", BOTH, |bench| device_alignment(bench, ScatterGather64, Set::Before, MASK_64_KIB)).under(&KMDF),
    Case::new("KD-7/set-after", "the same from after it has no effect", BOTH, |bench| device_alignment(bench, ScatterGather64, Set::After, 0)).under(&KMDF),
    Case::new("KD-7/packet-profile", "a packet profile's default stays 0", BOTH, |bench| device_alignment(bench, Packet64, Set::Before, 0)).under(&KMDF),
    Case::new("KD-7/config-outdoes-it", "a configuration outdoes the device's requirement", BOTH, config_outdoes).under(&KMDF),
    Case::new("KD-8/no-config", "without a configuration the buffer starts a page", BOTH, starts_a_page).under(&KMDF),
    Case::new("KD-11/mask-of-a-page", "a mask up to 0xfff allocates Length bytes, to the page", ON, |bench| raw_length(bench, 2 * PAGE_SIZE, 0xfff)).under(&KMDF),
    Case::new("KD-11/mask-of-64-kib", "a mask above 0xfff allocates Length and mask", ON, |bench| raw_length(bench, PAGE_SIZE, MASK_64_KIB)).under(&KMDF),
    Case::new("KD-11/mask-of-two-pages", "the smallest mask above a page allocates it as well", BOTH, |bench| raw_length(bench, PAGE_SIZE, 0x1fff)).under(&KMDF),
    Case::new("KD-13/alignments-to-a-page", "1 to 4096 bytes: both addresses keep the mask, data moves both ways", BOTH, |bench| alignments(bench, 0..=12)).under(&KMDF),
    Case::new("KD-13/alignments-above-a-page", "8 to 64 KiB: the logical address keeps the mask, data moves both ways", BOTH, |bench| alignments(bench, 13..=16)).under(&KMDF),
    Case::new("KD-13/1-mib", "1 MiB: the logical address keeps the mask", BOTH, |bench| alignments(bench, 20..=20)).under(&KMDF),
    Case::new("KD-14/create-delete-create", "three buffers running: the range is gone after each", BOTH, create_delete_create).under(&KMDF),
    Case::new("KD-14/many-at-once", "sixteen buffers of several lengths at once do not overlap", BOTH, many_at_once).under(&KMDF),
    Case::new("KD-15/odd-lengths", "1 to 70001 bytes: WdfCommonBufferGetLength is Length, just these bytes move", BOTH, odd_lengths).under(&KMDF),
    Case::new("KD-15/getters-at-dispatch-level", "the getters answer in a DPC", BOTH, getters_in_dpc).under(&KMDF),
    Case::new("KD-16/enabler-deleted", "deleting the enabler frees its buffers", BOTH, enabler_deleted).under(&KMDF),
    Case::new("KD-16/buffer-deleted", "WdfObjectDelete of one buffer leaves the other", BOTH, buffer_deleted).under(&KMDF),
    Case::new("KD-17/example", "the page's example: 10 bytes, FILE_32_BYTE_ALIGNMENT", BOTH, |bench| example(bench, DmaProfile::ScatterGather64)).under(&KMDF),
    Case::new("KD-17/example-of-a-packet-enabler", "the same on a 32-bit packet enabler", BOTH, |bench| example(bench, DmaProfile::Packet)).under(&KMDF),
    Case::new("KD-18/no-power-of-two", "masks that are not 2^n - 1 are used as they are (observed)", BOTH, odd_masks).under(&KMDF).tagged(&[Tag::Undefined]),
];

/// An enabler for transfers up to 2 MiB: as many map registers must cover a buffer's raw length (AC-6).
const ENABLER: EnablerConfig = EnablerConfig {
    maximum_length_bytes: 2 << 20,
    ..EnablerConfig::new(ScatterGather64)
};

/// When the device's requirement is set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    Before,
    After,
}

/// Runs a part of a case after the device's requirement was remembered, and puts it back whatever came
/// of it: the next case finds the device as this one did.
fn with_alignment_kept(
    bench: &mut Bench<'_>,
    part: impl FnOnce(&mut Bench<'_>) -> Result<(), CaseEnd>,
) -> Result<(), CaseEnd> {
    let before = bench.require("WdfDeviceGetAlignmentRequirement", Step::get_alignment(0))?;
    let mask = u32::try_from(before.result.value[0]).unwrap_or(0);
    let ended = part(bench);
    set_alignment(bench, mask)?;
    ended
}

fn set_alignment(bench: &mut Bench<'_>, mask: u32) -> Result<(), CaseEnd> {
    bench.require(
        "WdfDeviceSetAlignmentRequirement",
        Step::set_alignment(0, mask),
    )?;
    let seen = bench.require("WdfDeviceGetAlignmentRequirement", Step::get_alignment(0))?;
    if seen.result.value[0] == u64::from(mask) {
        return Ok(());
    }
    Err(Finding {
        view: "driver",
        what: "WdfDeviceGetAlignmentRequirement".to_owned(),
        buffer: None,
        logical_address: None,
        expected: format!("{mask:#x}"),
        seen: format!("{:#x}", seen.result.value[0]),
    }
    .into())
}

/// One buffer without a configuration, of an enabler made before or after the device's requirement.
fn device_alignment(
    bench: &mut Bench<'_>,
    profile: DmaProfile,
    set: Set,
    expected_mask: u32,
) -> Result<(), CaseEnd> {
    with_alignment_kept(bench, |bench| {
        if set == Set::Before {
            set_alignment(bench, MASK_64_KIB)?;
        }
        let enabler = bench.enabler(EnablerConfig::new(profile))?;
        if set == Set::After {
            set_alignment(bench, MASK_64_KIB)?;
        }
        let buffer = bench.common_buffer(enabler, PAGE_SIZE, None, expected_mask.into())?;
        bench.exercise(&buffer)?;
        bench.delete_with_buffers(enabler, &[buffer])
    })
}

fn config_outdoes(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    with_alignment_kept(bench, |bench| {
        set_alignment(bench, MASK_64_KIB)?;
        let enabler = bench.enabler(ENABLER)?;
        let small = Some(CommonBufferConfig::new(FILE_32_BYTE_ALIGNMENT));
        let buffer = bench.common_buffer(enabler, PAGE_SIZE, small, 0)?;
        bench.exercise(&buffer)?;
        bench.delete_with_buffers(enabler, &[buffer])
    })
}

fn starts_a_page(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let enabler = bench.enabler(ENABLER)?;
    for length_bytes in [10, PAGE_SIZE, 3 * PAGE_SIZE + 1] {
        let buffer = bench.common_buffer(enabler, length_bytes, None, 0)?;
        bench.check_alignment(&buffer)?;
        bench.exercise(&buffer)?;
        bench.free(&buffer)?;
    }
    Ok(())
}

fn raw_length(bench: &mut Bench<'_>, length_bytes: u64, mask: u32) -> Result<(), CaseEnd> {
    let enabler = bench.enabler(ENABLER)?;
    let config = Some(CommonBufferConfig::new(mask));
    let buffer = bench.common_buffer(enabler, length_bytes, config, 0)?;
    bench.exercise(&buffer)?;
    bench.free(&buffer)
}

fn alignments(bench: &mut Bench<'_>, shifts: std::ops::RangeInclusive<u32>) -> Result<(), CaseEnd> {
    let enabler = bench.enabler(ENABLER)?;
    for shift in shifts {
        let config = Some(CommonBufferConfig::new((1 << shift) - 1));
        let buffer = bench.common_buffer(enabler, 100, config, 0)?;
        bench.exercise(&buffer)?;
        bench.free(&buffer)?;
    }
    Ok(())
}

fn create_delete_create(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let enabler = bench.enabler(ENABLER)?;
    for _ in 0..3 {
        let buffer = bench.common_buffer(enabler, 2 * PAGE_SIZE, None, 0)?;
        bench.exercise(&buffer)?;
        bench.free(&buffer)?;
    }
    Ok(())
}

fn many_at_once(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let enabler = bench.enabler(ENABLER)?;
    let mut buffers: Vec<Buffer> = Vec::new();
    for index in 0..16_u64 {
        let config = Some(CommonBufferConfig::new((1 << index) - 1));
        let buffer = bench.common_buffer(enabler, 1 + index * 0x777, config, 0)?;
        bench.accept()?;
        buffers.push(buffer);
    }
    for (index, buffer) in buffers.iter().enumerate() {
        bench.cpu_fill(buffer, index as u64)?;
    }
    // A buffer that shared a byte with another one would hold the other's pattern.
    for (index, buffer) in buffers.iter().enumerate() {
        bench.cpu_check("the others were filled", buffer, index as u64)?;
    }
    bench.require("WdfObjectDelete", Step::object_delete(enabler))?;
    bench.check_all_gone(&buffers)
}

fn odd_lengths(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let enabler = bench.enabler(ENABLER)?;
    for length_bytes in [1, 10, 4095, 4097, 5000, 70_001] {
        let config = Some(CommonBufferConfig::new(0x3f));
        let buffer = bench.common_buffer(enabler, length_bytes, config, 0)?;
        bench.exercise(&buffer)?;
        bench.free(&buffer)?;
    }
    Ok(())
}

fn getters_in_dpc(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let enabler = bench.enabler(ENABLER)?;
    let buffer = bench.common_buffer(enabler, 1000, None, 0)?;
    let dpc = dmarig_abi::mailbox::CONTEXT_DPC;
    let result = bench.run_in(dpc, Step::common_buffer_query(buffer.slot))?;
    bench.framework_buffer(buffer.slot, 1000, &result)?;
    bench.free(&buffer)
}

fn enabler_deleted(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let enabler = bench.enabler(ENABLER)?;
    let config = Some(CommonBufferConfig::new(MASK_64_KIB));
    let buffer = bench.common_buffer(enabler, PAGE_SIZE, config, 0)?;
    bench.exercise(&buffer)?;
    bench.delete_with_buffers(enabler, &[buffer])
}

fn buffer_deleted(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let enabler = bench.enabler(ENABLER)?;
    let kept = bench.common_buffer(enabler, PAGE_SIZE, None, 0)?;
    bench.accept()?;
    let deleted = bench.common_buffer(enabler, PAGE_SIZE, None, 0)?;
    bench.free(&deleted)?;
    bench.exercise(&kept)?;
    bench.require("WdfObjectDelete", Step::object_delete(enabler))?;
    bench.check_all_gone(&[kept])
}

fn example(bench: &mut Bench<'_>, profile: DmaProfile) -> Result<(), CaseEnd> {
    let enabler = bench.enabler(EnablerConfig::new(profile))?;
    let config = Some(CommonBufferConfig::new(FILE_32_BYTE_ALIGNMENT));
    let buffer = bench.common_buffer(enabler, 10, config, 0)?;
    bench.exercise(&buffer)?;
    bench.free(&buffer)
}

fn odd_masks(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let enabler = bench.enabler(ENABLER)?;
    for mask in [5, 0x2f, 0x1234, u32::MAX] {
        let slot = bench.slot();
        let config = Some(CommonBufferConfig::new(mask));
        let step = Step::common_buffer_create(slot, enabler, 100, config, Creation::default());
        let result = bench.run_one(step)?;
        let addresses = if result.is_success() {
            format!(
                ", logical address {:#x}, virtual address {:#x}",
                result.result.logical_address, result.result.virtual_address
            )
        } else {
            String::new()
        };
        bench.observe(format!(
            "seen: mask {mask:#x}: {}{addresses}",
            result.describe()
        ));
    }
    Ok(())
}
