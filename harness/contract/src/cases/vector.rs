//! Vectors of common buffers (DD-4).

use dmarig_abi::Iova;

use crate::bench::{Bench, Buffer, driver_finding};
use crate::case::{Body, Case};
use crate::cases::BOTH;
use crate::finding::CaseEnd;
use crate::profile::Stop;
use crate::step::{Step, VectorRequest};

/// DMA_COMMON_BUFFER_VECTOR_ERROR
const VECTOR_ERROR: u32 = 0x1DC;
const MIB: u64 = 0x10_0000;

const fn misuse(id: &'static str, title: &'static str, reason: u64, body: Body) -> Case {
    Case::new(id, title, BOTH, body).stops(Stop::BugCheck {
        code: VECTOR_ERROR,
        parameter_1: reason,
    })
}

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("DD-4/elements", "8 elements of 3 pages: each of its own, data moves both ways", BOTH, elements),
    Case::new("DD-4/within-limits", "4 elements inside limits", BOTH, within_limits),
    Case::new("DD-4/64-elements", "64 elements of 1 page", BOTH, many_elements),
    Case::new("DD-4/impossible-limits", "limits without room fail", BOTH, impossible_limits),
    misuse("DD-4/not-empty", "FreeCommonBufferVector with elements left", 2, not_empty),
    misuse("DD-4/out-of-bounds", "element 4 of 4", 3, out_of_bounds),
    misuse("DD-4/index-freed", "an element is freed twice", 4, index_freed),
];

fn anywhere(elements: u32, element_bytes: u64) -> VectorRequest {
    VectorRequest {
        elements,
        element_bytes,
        minimum: 0,
        maximum: i64::MAX.cast_unsigned(),
    }
}

/// A vector in a slot, and its elements as buffers.
fn vector(bench: &mut Bench<'_>, request: VectorRequest) -> Result<(u32, Vec<Buffer>), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let slot = bench.slot();
    let step = Step::vector_allocate(slot, adapter, request);
    bench.require("AllocateCommonBufferVector", step)?;
    let mut buffers = Vec::new();
    for index in 0..request.elements {
        let dst = bench.slot();
        let what = "GetCommonBufferFromVectorByIndex";
        let result = bench.require(what, Step::vector_get(dst, slot, index))?;
        let buffer = Buffer {
            name: format!("element {index} of vector {slot}"),
            slot: dst,
            logical_address: Iova::new(result.result.logical_address),
            length_bytes: request.element_bytes,
            pfns: None,
        };
        bench.check_inside(what, &buffer, Some(request.minimum), Some(request.maximum))?;
        buffers.push(buffer);
    }
    bench.check_all_mapped(&buffers)?;
    Ok((slot, buffers))
}

fn elements(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    exercised(bench, anywhere(8, 0x3000))
}

fn many_elements(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    exercised(bench, anywhere(64, 0x1000))
}

fn within_limits(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (minimum, maximum) = if bench.is_remapped() {
        (0x50_0000_0000, 0x50_00ff_ffff)
    } else {
        (64 * MIB, 128 * MIB - 1)
    };
    let request = VectorRequest {
        minimum,
        maximum,
        ..anywhere(4, 0x2000)
    };
    exercised(bench, request)
}

/// Data both ways in each; every second one is freed, then the rest, then the vector.
fn exercised(bench: &mut Bench<'_>, request: VectorRequest) -> Result<(), CaseEnd> {
    let (slot, buffers) = vector(bench, request)?;
    for buffer in &buffers {
        bench.exercise(buffer)?;
    }
    let what = "FreeCommonBufferFromVector";
    let (gone, left): (Vec<_>, Vec<_>) = buffers
        .into_iter()
        .enumerate()
        .partition(|(index, _)| index.is_multiple_of(2));
    for (_, buffer) in &gone {
        bench.require(what, Step::buffer_free(buffer.slot))?;
        bench.check_gone(buffer)?;
    }
    let left: Vec<Buffer> = left.into_iter().map(|(_, buffer)| buffer).collect();
    bench.check_all_mapped(&left)?;
    for buffer in &left {
        bench.exercise(buffer)?;
        bench.require(what, Step::buffer_free(buffer.slot))?;
    }
    bench.require("FreeCommonBufferVector", Step::vector_free(slot))?;
    bench.check_unchanged("FreeCommonBufferVector")
}

fn impossible_limits(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let slot = bench.slot();
    let request = VectorRequest {
        minimum: 64 * MIB,
        maximum: 64 * MIB + 0xfff,
        ..anywhere(2, 0x1000)
    };
    let result = bench.run_one(Step::vector_allocate(slot, adapter, request))?;
    if result.is_success() {
        let what = "AllocateCommonBufferVector of 2 pages in room for 1";
        return Err(driver_finding(what, "a failure", &result).into());
    }
    bench.observe(format!("seen: {}", result.describe()));
    bench.check_unchanged("the refused AllocateCommonBufferVector")
}

fn not_empty(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (slot, _) = vector(bench, anywhere(2, 0x1000))?;
    bench.run_one(Step::vector_free_at_once(slot)).map(drop)
}

fn out_of_bounds(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (slot, _) = vector(bench, anywhere(4, 0x1000))?;
    let dst = bench.slot();
    bench.run_one(Step::vector_get(dst, slot, 4)).map(drop)
}

fn index_freed(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (slot, _) = vector(bench, anywhere(4, 0x1000))?;
    for _ in 0..2 {
        bench.run_one(Step::vector_free_element(slot, 1))?;
    }
    Ok(())
}
