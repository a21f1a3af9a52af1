//! Scatter/gather lists of the first two interface versions (SG-1 to SG-6).

use dmarig_abi::operation::OP_FLAG_KEEP;
use dmarig_abi::operation_transfer::{EXECUTION_IN_CALL, OP_FLAG_CALLER_IRQL};

use super::transfer_profiles::{DIRECT_DEFERRED, FEW_REGISTERS, HIGH_AS_NEEDED, VERIFIER_OFF};
use crate::bench::{Bench, Element, Packet};
use crate::case::{Case, Tag};
use crate::cases::BOTH;
use crate::device_description::DeviceDescription;
use crate::finding::CaseEnd;
use crate::nt_status::NtStatus;
use crate::profile::Stop;
use crate::step::Step;

/// Bug check DRIVER_VERIFIER_DMA_VIOLATION.
pub(super) const fn dma_violation(parameter_1: u64) -> Stop {
    Stop::BugCheck {
        code: 0xE6,
        parameter_1,
    }
}

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("SG-1/one-page", "a page goes both ways through a list", BOTH, |bench| both_ways(bench, 3, 0, 0x1000)),
    Case::new("SG-1/unaligned", "64 KiB from the middle of a page go both ways", BOTH, |bench| both_ways(bench, 3, 0x804, 0x1_0000)),
    Case::new("SG-1/few-bytes", "13 bytes at an odd offset go both ways, and no byte beside them", BOTH, few_bytes),
    Case::new("SG-1/version-1", "an adapter of version 1 gives lists", BOTH, |bench| both_ways(bench, 1, 0x10, 0x3000)),
    Case::new("SG-1/version-2", "an adapter of version 2 gives lists", BOTH, |bench| both_ways(bench, 2, 0x10, 0x3000)),
    Case::new("SG-1/deferred", "the routine runs after the call has returned", BOTH, deferred).under(&DIRECT_DEFERRED),
    Case::new("SG-1/direct", "lists over the driver's own pages, without bounce memory", BOTH, |bench| both_ways(bench, 3, 0x804, 0x1_0000)).under(&DIRECT_DEFERRED),
    Case::new("SG-1/above-a-32-bit-adapter", "pages above 4 GiB go both ways through addresses below it", BOTH, above_adapter).under(&HIGH_AS_NEEDED).showing(&["GA-7"]),
    Case::new("SG-1/more-registers-than-granted", "a list that needs more registers than granted is refused, and its routine never called", BOTH, too_long),
    Case::new("SG-1/below-dispatch-level", "a call at PASSIVE_LEVEL is bug check 0xE6/0x13", BOTH, below_dispatch).showing(&["VF-E6-13"]).stops(dma_violation(0x13)),
    Case::new("SG-2/scattered-pages", "pages without an address of their own: CurrentVa counts from the MDL's", BOTH, scattered),
    Case::new("SG-2/part", "part of an MDL goes both ways", BOTH, part),
    Case::new("SG-2/chain", "a chain of MDLs that fill no whole pages goes both ways", BOTH, chain),
    Case::new("SG-2/chain-part", "a part that begins in the second MDL and ends in it", BOTH, chain_part),
    Case::new("SG-2/beyond-the-end", "more bytes than the MDL has are STATUS_BUFFER_TOO_SMALL", BOTH, beyond_the_end).under(&VERIFIER_OFF),
    Case::new("SG-3/registers-are-held", "a second list waits until the first is put", BOTH, registers_are_held).under(&FEW_REGISTERS),
    Case::new("SG-3/put-again-and-again", "ten lists one after the other", BOTH, again_and_again),
    Case::new("SG-3/many-at-a-time", "three lists at a time, put in another order", BOTH, many_at_a_time),
    Case::new("SG-3/other-direction", "a list put in the other direction is found, and no data move", BOTH, other_direction).tagged(&[Tag::Undefined]).showing(&["FL-1"]),
    Case::new("SG-4/calculate", "without an MDL the worst case, with one what its list takes", BOTH, calculate),
    Case::new("SG-5/build", "a list in the driver's buffer goes both ways", BOTH, build),
    Case::new("SG-5/too-small", "a buffer too small for the list is STATUS_BUFFER_TOO_SMALL", BOTH, build_too_small),
    Case::new("SG-6/mdl-of-a-list", "no original MDL, the first call, the second call", BOTH, mdl_of_a_list),
    Case::new("VF-E6-06/list-put-twice", "a list put twice is bug check 0xE6/0x06", BOTH, put_twice).stops(dma_violation(0x06)),
    Case::new("VF-E6-0A/adapter-put-with-a-list", "an adapter put before its list is bug check 0xE6/0x0A", BOTH, adapter_put_with_a_list).stops(dma_violation(0x0A)),
    Case::new("VF-E6-0E/unlocked", "a list of an MDL that is not locked is bug check 0xE6/0x0E", BOTH, unlocked).stops(dma_violation(0x0E)),
    Case::new("VF-E6-1B/outside-the-mdl", "a CurrentVa behind the MDL is bug check 0xE6/0x1B", BOTH, outside).stops(dma_violation(0x1B)),
    Case::new("VF-E6-21/no-bytes", "a length of zero is bug check 0xE6/0x21", BOTH, no_bytes).stops(dma_violation(0x21)),
    Case::new("VF-E6-24/longer-than-the-mdl", "a length beyond the MDL is bug check 0xE6/0x24", BOTH, longer).stops(dma_violation(0x24)),
];

/// A scatter/gather bus master of an interface version.
pub(super) fn description(version: u32) -> DeviceDescription {
    DeviceDescription {
        version,
        dma_64_bit: version < 3,
        ..DeviceDescription::version_3(64)
    }
}

fn both_ways(
    bench: &mut Bench<'_>,
    version: u32,
    byte_offset: u64,
    length_bytes: u64,
) -> Result<(), CaseEnd> {
    let adapter = bench.adapter_described(description(version))?;
    let (source, packet) = bench.packet(byte_offset, length_bytes)?;
    bench.both_ways(adapter, &packet)?;
    bench.check_canaries(&source)
}

fn few_bytes(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (source, packet) = bench.packet(0, 0x1000)?;
    bench.mdl_fill(&source, 0xFE)?;
    bench.both_ways_over(adapter, &packet, 0x123, 13)?;
    // The bytes round the transfer are the CPU's own. Of the pattern, only these can be asked for by their offset.
    let before = Step::cpu_check(source.slot, 0, 0x123, 0xFE);
    let result = bench.require("reading the bytes before the transfer", before)?;
    bench.judge_cpu_check("a transfer behind these bytes", &result, None)?;
    bench.check_canaries(&source)
}

fn deferred(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x2000)?;
    let bytes = packet.bytes(true);
    bench.prepare(&packet, bytes)?;
    let list = bench.list(adapter, &packet, bytes)?;
    let is_in_call = list.execution & EXECUTION_IN_CALL != 0;
    let seen = format!("in the call: {is_in_call}");
    bench.demand("a deferred routine", "not in the call", seen, !is_in_call)?;
    bench.move_data(&packet, bytes, &list.elements)?;
    bench.put(&packet, &list)
}

fn above_adapter(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    const FOUR_GIB: u64 = 0x1_0000_0000;
    let adapter = bench.adapter(32)?;
    let (source, packet) = bench.packet(0x804, 0x5000)?;
    let is_above = |pfn: &u64| pfn * crate::oracle::PAGE_SIZE >= FOUR_GIB;
    if !source.pfns.iter().all(is_above) {
        return Err(CaseEnd::Skipped(
            "the guest gave pages below 4 GiB".to_owned(),
        ));
    }
    for write_to_device in [true, false] {
        let bytes = packet.bytes(write_to_device);
        bench.prepare(&packet, bytes)?;
        let list = bench.list(adapter, &packet, bytes)?;
        let is_low = |element: &Element| element.address + element.length_bytes <= FOUR_GIB;
        let seen = format!("{:x?}", list.elements);
        let holds = list.elements.iter().all(is_low);
        bench.demand("the elements", "addresses below 4 GiB", seen, holds)?;
        bench.move_data(&packet, bytes, &list.elements)?;
        bench.put(&packet, &list)?;
    }
    bench.check_canaries(&source)
}

/// An adapter for transfers of 0x4000 bytes has 5 map registers.
fn small_adapter(bench: &mut Bench<'_>) -> Result<u32, CaseEnd> {
    bench.adapter_described(DeviceDescription {
        maximum_length_bytes: 0x4000,
        ..description(3)
    })
}

fn too_long(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = small_adapter(bench)?;
    let (_, packet) = bench.packet(0, 0x1_0000)?;
    let slot = bench.slot();
    let step = Step::list_get(slot, adapter, packet.bytes(true));
    let what = "GetScatterGatherList of 16 pages with 5 map registers";
    bench.refused(what, step, NtStatus::INSUFFICIENT_RESOURCES)
}

fn below_dispatch(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    let slot = bench.slot();
    let step = Step::list_get(slot, adapter, packet.bytes(true)).with_flags(OP_FLAG_CALLER_IRQL);
    bench.run_one(step).map(drop)
}

fn scattered(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.scattered_mdl(6)?;
    let packet = Packet::of(&source, 0);
    bench.both_ways(adapter, &packet)?;
    bench.both_ways_over(adapter, &packet, 0x1ff0, 0x2020)
}

fn part(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (source, packet) = bench.packet(0x200, 0x5000)?;
    bench.both_ways_over(adapter, &packet, 0x1234, 0x2345)?;
    bench.check_canaries(&source)
}

fn chained_packet(bench: &mut Bench<'_>) -> Result<Packet, CaseEnd> {
    let (mut first, first_packet) = bench.packet(0x800, 0x1400)?;
    let (second, second_packet) = bench.packet(0x30, 0x2345)?;
    bench.chained((&mut first, &first_packet), (&second, &second_packet))
}

fn chain(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let packet = chained_packet(bench)?;
    bench.both_ways(adapter, &packet)
}

fn chain_part(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let packet = chained_packet(bench)?;
    bench.both_ways_over(adapter, &packet, 0x1500, 0x1000)?;
    bench.both_ways_over(adapter, &packet, 0x13ff, 2)
}

fn beyond_the_end(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    let slot = bench.slot();
    let step = Step::list_get(slot, adapter, packet.part(8, 0x1000, true));
    let what = "GetScatterGatherList beyond the MDL's end";
    bench.refused(what, step, NtStatus::BUFFER_TOO_SMALL)?;
    bench.expect_guest_finding("transfer-longer-than-mdl")
}

fn registers_are_held(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, first) = bench.packet(0, 0x3000)?;
    let (_, second) = bench.packet(0, 0x3000)?;
    let (bytes, later) = (first.bytes(true), second.bytes(true));
    bench.prepare(&first, bytes)?;
    bench.prepare(&second, later)?;
    let list = bench.list(adapter, &first, bytes)?;
    let slot = bench.slot();
    let what = "GetScatterGatherList of a second list";
    bench.require(what, Step::list_get(slot, adapter, later).not_awaited())?;
    let runs = bench.runs(slot, 20_000)?;
    let seen = format!("called {runs} times");
    bench.demand(
        "a list for which no registers are left",
        "not called",
        seen,
        runs == 0,
    )?;
    bench.move_data(&first, bytes, &list.elements)?;
    let put = Step::list_put(list.slot, true);
    bench.require("PutScatterGatherList", put)?;
    let result = bench.require(what, Step::routine_query(slot, 1_000_000))?;
    bench.judge_routine(what, &result)?;
    let list = bench.judge_list(what, slot, &second, later, &result)?;
    bench.move_data(&second, later, &list.elements)?;
    bench.put(&second, &list)
}

fn again_and_again(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (source, packet) = bench.packet(0x10, 0x2000)?;
    for _ in 0..5 {
        bench.both_ways(adapter, &packet)?;
    }
    bench.check_canaries(&source)
}

fn many_at_a_time(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x3000)?;
    let parts = [0, 0x1000, 0x2000].map(|offset| packet.part(offset, 0x1000, false));
    bench.prepare(&packet, packet.bytes(false))?;
    let mut lists = Vec::new();
    for bytes in parts {
        lists.push(bench.list(adapter, &packet, bytes)?);
    }
    for (list, bytes) in lists.iter().zip(parts) {
        bench.move_data(&packet, bytes, &list.elements)?;
    }
    for index in [1, 2, 0] {
        let step = Step::list_put(lists[index].slot, false);
        bench.require("PutScatterGatherList", step)?;
        bench.judge_data(&packet, parts[index], &lists[index].elements)?;
    }
    let elements: Vec<_> = lists
        .iter()
        .flat_map(|list| list.elements.clone())
        .collect();
    bench.check_lost(&packet, &elements, "PutScatterGatherList of all lists")
}

fn other_direction(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    let bytes = packet.bytes(false);
    bench.prepare(&packet, bytes)?;
    let list = bench.list(adapter, &packet, bytes)?;
    bench.move_data(&packet, bytes, &list.elements)?;
    let put = Step::list_put(list.slot, true);
    bench.require("PutScatterGatherList in the other direction", put)?;
    bench.expect_guest_finding("transfer-flush-direction")?;
    let has_moved = bench.judge_data(&packet, bytes, &list.elements).is_ok();
    bench.observe(format!(
        "seen: data of the device in the buffer: {has_moved}"
    ));
    bench.check_lost(&packet, &list.elements, "PutScatterGatherList")
}

fn calculate(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let what = "CalculateScatterGatherList";
    let (_, packet) = bench.packet(0x800, 0x3000)?;
    for (current_va, length, registers) in [(0, 0x1000, 1), (0, 0x1_0000, 16), (0xfff, 2, 2)] {
        let step = Step::list_calculate_worst(adapter, current_va, length);
        let result = bench.require(what, step)?;
        let seen = format!(
            "{} registers, {:#x} bytes",
            result.result.value[1], result.result.value[0]
        );
        let holds = result.result.value[1] == registers
            && result.result.value[0] >= 0x10 + 0x18 * registers;
        let expected = format!("{registers} registers, and bytes for as many elements");
        bench.demand(what, &expected, seen, holds)?;
    }
    let result = bench.require(what, Step::list_calculate(adapter, packet.bytes(true)))?;
    let (size, registers) = (result.result.value[0], result.result.value[1]);
    bench.observe(format!(
        "seen: {registers} registers, {size:#x} bytes for 4 pages"
    ));
    // The size that it gives is enough for the list.
    let slot = bench.slot();
    let step = Step::list_build(slot, adapter, packet.bytes(true), size);
    let list = bench.list_by(
        "BuildScatterGatherList",
        slot,
        &packet,
        packet.bytes(true),
        step,
    )?;
    bench.put(&packet, &list)
}

fn build(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (source, packet) = bench.packet(0x804, 0x5000)?;
    for write_to_device in [true, false] {
        let bytes = packet.bytes(write_to_device);
        let size = bench.require(
            "CalculateScatterGatherList",
            Step::list_calculate(adapter, bytes),
        )?;
        bench.prepare(&packet, bytes)?;
        let slot = bench.slot();
        let step = Step::list_build(slot, adapter, bytes, size.result.value[0]);
        let list = bench.list_by("BuildScatterGatherList", slot, &packet, bytes, step)?;
        bench.move_data(&packet, bytes, &list.elements)?;
        bench.put(&packet, &list)?;
    }
    bench.check_canaries(&source)
}

fn build_too_small(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x3000)?;
    for buffer_bytes in [0, 0x10, 0x27] {
        let slot = bench.slot();
        let step = Step::list_build(slot, adapter, packet.bytes(true), buffer_bytes);
        let what = format!("BuildScatterGatherList of 3 pages into {buffer_bytes:#x} bytes");
        bench.refused(&what, step, NtStatus::BUFFER_TOO_SMALL)?;
    }
    Ok(())
}

fn mdl_of_a_list(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    let list = bench.list(adapter, &packet, packet.bytes(true))?;
    let original = packet.bytes(true).mdl;
    let what = "BuildMdlFromScatterGatherList";
    let none = bench.run_one(Step::list_mdl(list.slot, None))?;
    bench.status_is(what, &none, NtStatus::INVALID_PARAMETER)?;
    let first = bench.require(what, Step::list_mdl(list.slot, Some(original)))?;
    bench.observe(format!(
        "seen: the original MDL: {}",
        first.result.value[0] != 0
    ));
    let second = bench.run_one(Step::list_mdl(list.slot, Some(original)))?;
    bench.status_is(what, &second, NtStatus::NONE_MAPPED)?;
    bench.put(&packet, &list)
}

fn put_twice(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    let list = bench.list(adapter, &packet, packet.bytes(true))?;
    let put = || Step::list_put(list.slot, true).with_flags(OP_FLAG_KEEP);
    bench.require("PutScatterGatherList", put())?;
    bench.run_one(put()).map(drop)
}

fn adapter_put_with_a_list(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    bench.list(adapter, &packet, packet.bytes(true))?;
    bench.run_one(Step::adapter_put(adapter)).map(drop)
}

fn unlocked(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.unbuilt_mdl(1)?;
    let packet = Packet::of(&source, 0);
    attempt(bench, adapter, &packet, 0, 0x1000)
}

fn outside(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    attempt(bench, adapter, &packet, 0x1000, 1)
}

fn no_bytes(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    attempt(bench, adapter, &packet, 0, 0)
}

fn longer(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    attempt(bench, adapter, &packet, 8, 0x1000)
}

fn attempt(
    bench: &mut Bench<'_>,
    adapter: u32,
    packet: &Packet,
    offset: u64,
    length_bytes: u64,
) -> Result<(), CaseEnd> {
    let slot = bench.slot();
    let bytes = packet.part(offset, length_bytes, true);
    bench
        .run_one(Step::list_get(slot, adapter, bytes))
        .map(drop)
}
