//! AllocateCommonBufferWithBounds (AB-1, AB-2, AB-3, AB-9, AB-10).

use crate::bench::{Bench, Pass};
use crate::case::Case;
use crate::cases::BOTH;
use crate::finding::CaseEnd;

const GIB: u64 = 0x4000_0000;
const MIB: u64 = 0x10_0000;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("AB-1/no-bounds", "4 pages anywhere: data moves both ways", BOTH, no_bounds),
    Case::new("AB-1/odd-length", "5000 bytes: just these bytes move", BOTH, odd_length),
    Case::new("AB-1/by-ring", "64 KiB over the descriptor ring", BOTH, by_ring),
    Case::new("AB-2/minimum", "a lower bound is kept", BOTH, minimum),
    Case::new("AB-3/maximum", "an upper bound is kept", BOTH, maximum),
    Case::new("AB-3/both", "both bounds are kept", BOTH, both),
    Case::new("AB-9/minimum-above-maximum", "crossed bounds give NULL", BOTH, |bench| impossible(bench, 64, 32 * MIB, 16 * MIB)),
    Case::new("AB-9/room-too-small", "room for one page of four gives NULL", BOTH, |bench| impossible(bench, 64, 16 * MIB, 16 * MIB + 0xfff)),
    Case::new("AB-9/above-adapter-width", "bounds above 4 GiB with a 32-bit adapter give NULL", BOTH, |bench| impossible(bench, 32, 4 * GIB, 8 * GIB)),
    Case::new("AB-10/allocate-and-free", "FreeCommonBuffer ends the translation, three times running", BOTH, allocate_and_free),
];

fn no_bounds(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let buffer = bench.allocate_ok(adapter, 0x4000, None, None)?;
    bench.exercise(&buffer)?;
    bench.free(&buffer)
}

fn odd_length(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let buffer = bench.allocate_ok(adapter, 5000, None, None)?;
    bench.exercise(&buffer)?;
    bench.free(&buffer)
}

fn by_ring(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    bench.rings(adapter, Pass::RING_CHANNEL)?;
    let buffer = bench.allocate_ok(adapter, 0x1_0000, None, None)?;
    bench.exercise_by(&buffer, &Pass::RING)?;
    bench.free(&buffer)
}

fn minimum(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let minimum = if bench.is_remapped() {
        128 * GIB
    } else {
        32 * MIB
    };
    bounded(bench, Some(minimum), None)
}

fn maximum(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let maximum = if bench.is_remapped() {
        2 * GIB
    } else {
        64 * MIB
    };
    bounded(bench, None, Some(maximum - 1))
}

fn both(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (minimum, size) = if bench.is_remapped() {
        (9 * GIB, GIB)
    } else {
        (48 * MIB, 32 * MIB)
    };
    bounded(bench, Some(minimum), Some(minimum + size - 1))
}

fn bounded(
    bench: &mut Bench<'_>,
    minimum: Option<u64>,
    maximum: Option<u64>,
) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let buffer = bench.allocate_ok(adapter, 0x4000, minimum, maximum)?;
    bench.exercise(&buffer)?;
    bench.free(&buffer)
}

fn impossible(
    bench: &mut Bench<'_>,
    address_width_bits: u32,
    minimum: u64,
    maximum: u64,
) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(address_width_bits)?;
    bench.allocate_refused(adapter, 0x4000, Some(minimum), Some(maximum))
}

fn allocate_and_free(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    for _ in 0..3 {
        let buffer = bench.allocate_ok(adapter, 0x2000, None, None)?;
        bench.exercise(&buffer)?;
        bench.free(&buffer)?;
    }
    Ok(())
}
