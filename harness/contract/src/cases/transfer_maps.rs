//! Channels (SG-7), mapped transfers (MX-1 to MX-3), their flush (FL-1) and cancellation (CX-2), what a transfer
//! takes (TI-1 to TI-3).

use dmarig_abi::operation::{OP_FLAG_KEEP, OP_FLAG_OVERRIDE};
use dmarig_abi::operation_transfer::REQUEST_COMPLETION;

use super::transfer_lists::{description, dma_violation};
use super::transfer_profiles::{DIRECT_DEFERRED, FEW_REGISTERS, VERIFIER_OFF};
use crate::bench::{AMPLE_LIST_BYTES, Bench, Packet, Registers};
use crate::case::{Case, Tag};
use crate::cases::BOTH;
use crate::device_description::DeviceDescription;
use crate::finding::CaseEnd;
use crate::nt_status::NtStatus;
use crate::profile::Stop;
use crate::step::Step;
use crate::step::{Action, Bytes};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("SG-7/channel", "a channel gets its registers and the current IRP, and gives them back", BOTH, channel),
    Case::new("SG-7/kept-object", "KeepObject holds the adapter object until FreeAdapterChannel", BOTH, kept_object),
    Case::new("SG-7/more-than-granted", "more registers than granted are refused, and the routine never called", BOTH, more_than_granted).under(&VERIFIER_OFF),
    Case::new("VF-E6-0B/second-channel", "a second channel of a device object is bug check 0xE6/0x0B", BOTH, second_channel).showing(&["SG-7"]).stops(dma_violation(0x0B)),
    Case::new("VF-E6-15/more-than-granted", "more registers than granted are bug check 0xE6/0x15", BOTH, more_than_granted_fatal).stops(dma_violation(0x15)),
    Case::new("MX-1/whole", "64 KiB in one list go both ways", BOTH, |bench| whole(bench, 0x804, 0x1_0000)),
    Case::new("MX-1/direct", "the same over the driver's own pages", BOTH, |bench| whole(bench, 0x804, 0x1_0000)).under(&DIRECT_DEFERRED),
    Case::new("MX-1/chain-offset", "the offset counts over the chain", BOTH, chain_offset),
    Case::new("MX-1/more-than-the-registers-hold", "a transfer of 9 pages with 2 registers comes in parts", BOTH, split_by_registers),
    Case::new("MX-1/few-registers", "the same where no adapter is granted more than 5", BOTH, few_registers).under(&FEW_REGISTERS),
    Case::new("MX-1/system-dma-arguments", "what device offset, completion routine and a missing list give", BOTH, system_dma_arguments).tagged(&[Tag::Undefined]),
    Case::new("MX-2/short-list", "with a list buffer for two elements 5 pages go both ways", BOTH, split_by_list),
    Case::new("MX-2/no-element", "a list buffer without room for an element is STATUS_INVALID_PARAMETER", BOTH, no_element),
    Case::new("MX-3/flush-between", "ten transfers, each flushed before the next", BOTH, flush_between).showing(&["FL-1"]),
    Case::new("MX-3/not-flushed", "a second transfer before the flush stops the guest", BOTH, not_flushed).stops(Stop::Finding("transfer-mapped-before-flush")),
    Case::new("FL-1/by-pieces", "MapTransfer piece by piece, one flush for all", BOTH, |bench| by_pieces(bench, 1)),
    Case::new("FL-1/by-pieces-version-3", "the same with an adapter of version 3", BOTH, |bench| by_pieces(bench, 3)),
    Case::new("FL-1/no-scatter-gather", "a device without scatter/gather gets one piece", BOTH, no_scatter_gather),
    Case::new("FL-1/other-length", "a flush of fewer bytes is found", BOTH, other_length).tagged(&[Tag::Undefined]),
    Case::new("FL-1/memory-released", "an MDL that is freed before the flush stops the guest", BOTH, memory_released).stops(Stop::Finding("transfer-memory-released")),
    Case::new("CX-2/cancelled", "a cancelled transfer is flushed, and what the next mapping gives", BOTH, cancelled).tagged(&[Tag::Undefined]),
    Case::new("TI-1/versions", "versions 1 and 2 are filled in, others are STATUS_NOT_SUPPORTED", BOTH, info_versions),
    Case::new("TI-2/needs", "registers, elements and list bytes are enough for the transfer", BOTH, info_needs),
    Case::new("TI-3/write-only", "what is told for a write", BOTH, info_write_only),
    Case::new("VF-E6-00/flush-past-the-registers", "a flush of more pages than registers is bug check 0xE6/0x00", BOTH, flush_past).stops(dma_violation(0x00)),
    Case::new("VF-E6-05/registers-freed-twice", "map registers freed twice are bug check 0xE6/0x05", BOTH, registers_twice).stops(dma_violation(0x05)),
    Case::new("VF-E6-05/too-many", "more map registers freed than there are is bug check 0xE6/0x05", BOTH, too_many_freed).stops(dma_violation(0x05)),
    Case::new("VF-E6-08/adapter-put-with-a-channel", "an adapter put with a channel is bug check 0xE6/0x08", BOTH, put_with_channel).stops(dma_violation(0x08)),
    Case::new("VF-E6-09/adapter-put-with-registers", "an adapter put with map registers is bug check 0xE6/0x09", BOTH, put_with_registers).stops(dma_violation(0x09)),
    Case::new("VF-E6-0C/registers-exhausted", "a piece that the registers do not hold is bug check 0xE6/0x0C", BOTH, exhausted).stops(dma_violation(0x0C)),
    Case::new("VF-E6-0D/channel-freed-before-flush", "a channel freed before the flush is bug check 0xE6/0x0D", BOTH, channel_before_flush).stops(dma_violation(0x0D)),
    Case::new("VF-E6-10/registers-freed-before-flush", "registers freed before the flush are bug check 0xE6/0x10", BOTH, registers_before_flush).stops(dma_violation(0x10)),
    Case::new("VF-E6-16/other-buffer-flushed", "a flush of another buffer is bug check 0xE6/0x16", BOTH, other_buffer).stops(dma_violation(0x16)),
    Case::new("VF-E6-1D/mapped-twice", "bytes mapped twice are bug check 0xE6/0x1D", BOTH, mapped_twice).stops(dma_violation(0x1D)),
    Case::new("VF-E6-20/flushed-twice", "a second flush is bug check 0xE6/0x20", BOTH, flushed_twice).stops(dma_violation(0x20)),
];

fn channel(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter_described(description(1))?;
    for count in [1, 2, 16] {
        let registers = bench.registers(adapter, count)?;
        bench.free_registers(registers.channel)?;
    }
    bench.check_unchanged("channels without a transfer")
}

fn kept_object(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let first = bench.slot();
    let step = Step::channel_allocate(first, adapter, 1, Action::Keep);
    bench.require("AllocateAdapterChannel", step)?;
    let context = bench.context(adapter)?;
    let (waiting, result) = bench.channel_ex(adapter, context, 1)?;
    bench.status_is("a request that waits", &result, NtStatus::SUCCESS)?;
    let runs = bench.runs(waiting, 20_000)?;
    let what = "a request while another has the adapter object";
    bench.demand(
        what,
        "not called",
        format!("called {runs} times"),
        runs == 0,
    )?;
    bench.require("FreeAdapterChannel", Step::channel_free(adapter))?;
    let runs = bench.runs(waiting, 1_000_000)?;
    let what = "a request after FreeAdapterChannel";
    bench.demand(
        what,
        "called once",
        format!("called {runs} times"),
        runs == 1,
    )?;
    bench.free_registers(waiting)
}

/// An adapter for transfers of one page has 2 map registers.
fn two_registers(bench: &mut Bench<'_>) -> Result<u32, CaseEnd> {
    bench.adapter_described(DeviceDescription {
        maximum_length_bytes: 0x1000,
        ..description(3)
    })
}

fn ask_for_three(bench: &mut Bench<'_>) -> Result<Step, CaseEnd> {
    let adapter = two_registers(bench)?;
    let slot = bench.slot();
    Ok(Step::channel_allocate(
        slot,
        adapter,
        3,
        Action::KeepRegisters,
    ))
}

fn more_than_granted(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let step = ask_for_three(bench)?;
    let what = "AllocateAdapterChannel of 3 registers where 2 are granted";
    bench.refused(what, step, NtStatus::INSUFFICIENT_RESOURCES)?;
    bench.expect_guest_finding("map-registers-exceed-grant")
}

fn more_than_granted_fatal(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let step = ask_for_three(bench)?;
    bench.run_one(step).map(drop)
}

fn second_channel(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    for _ in 0..2 {
        let slot = bench.slot();
        let step = Step::channel_allocate(slot, adapter, 1, Action::Keep);
        bench.run_one(step.not_awaited())?;
    }
    Ok(())
}

fn both_ways(
    bench: &mut Bench<'_>,
    registers: Registers,
    packet: &Packet,
    bytes: Bytes,
    list_bytes: u64,
) -> Result<u64, CaseEnd> {
    let mut n_steps = 0;
    for write_to_device in [true, false] {
        let bytes = Bytes {
            write_to_device,
            ..bytes
        };
        n_steps = bench.transfer_ex(registers, packet, bytes, list_bytes)?;
    }
    Ok(n_steps)
}

/// So many mappings or more: whether each fills its map registers is not documented.
fn demand_steps(bench: &mut Bench<'_>, n_steps: u64, fewest: u64) -> Result<(), CaseEnd> {
    bench.observe(format!("seen: {n_steps} mappings"));
    let what = "the mappings that a transfer takes";
    bench.demand(
        what,
        &format!("{fewest} or more"),
        format!("{n_steps}"),
        n_steps >= fewest,
    )
}

/// With what it takes a transfer is mapped at once.
fn demand_one_step(bench: &mut Bench<'_>, n_steps: u64) -> Result<(), CaseEnd> {
    let what = "the mappings that a transfer takes";
    bench.demand(what, "1", format!("{n_steps}"), n_steps == 1)
}

fn whole(bench: &mut Bench<'_>, byte_offset: u64, length_bytes: u64) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (source, packet) = bench.packet(byte_offset, length_bytes)?;
    let registers = bench.registers(adapter, 17)?;
    let n_steps = both_ways(
        bench,
        registers,
        &packet,
        packet.bytes(true),
        AMPLE_LIST_BYTES,
    )?;
    demand_one_step(bench, n_steps)?;
    bench.free_registers(registers.channel)?;
    bench.check_canaries(&source)
}

fn chain_offset(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (mut first, first_packet) = bench.packet(0x800, 0x1400)?;
    let (second, second_packet) = bench.packet(0x30, 0x2345)?;
    let packet = bench.chained((&mut first, &first_packet), (&second, &second_packet))?;
    let registers = bench.registers(adapter, 8)?;
    for (offset, length) in [(0x1000, 0x1000), (0x1500, 0x2000)] {
        let bytes = packet.part(offset, length, true);
        both_ways(bench, registers, &packet, bytes, AMPLE_LIST_BYTES)?;
    }
    bench.free_registers(registers.channel)
}

fn split_by_registers(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = two_registers(bench)?;
    let (source, packet) = bench.packet(0x800, 0x8000)?;
    let registers = bench.registers(adapter, 2)?;
    let n_steps = both_ways(
        bench,
        registers,
        &packet,
        packet.bytes(true),
        AMPLE_LIST_BYTES,
    )?;
    demand_steps(bench, n_steps, 5)?;
    bench.free_registers(registers.channel)?;
    bench.check_canaries(&source)
}

fn few_registers(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (source, packet) = bench.packet(0x800, 0x1_0000)?;
    let registers = bench.registers(adapter, 5)?;
    let n_steps = both_ways(
        bench,
        registers,
        &packet,
        packet.bytes(true),
        AMPLE_LIST_BYTES,
    )?;
    demand_steps(bench, n_steps, 4)?;
    bench.free_registers(registers.channel)?;
    bench.check_canaries(&source)
}

fn system_dma_arguments(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    let registers = bench.registers(adapter, 1)?;
    let forms = [
        ("a device offset", AMPLE_LIST_BYTES, 0x10, 0),
        (
            "a completion routine",
            AMPLE_LIST_BYTES,
            0,
            REQUEST_COMPLETION,
        ),
        ("no list buffer", 0, 0, 0),
    ];
    for (what, list_bytes, device_offset, bits) in forms {
        let bytes = packet.bytes(true);
        let step = Step::transfer_map_ex(registers.channel, bytes, list_bytes, device_offset, bits);
        if bench.observe_outcome(what, step)?.is_success() {
            let flush = Step::transfer_flush_ex(registers.channel, bytes);
            bench.require("FlushAdapterBuffersEx", flush)?;
        }
    }
    bench.free_registers(registers.channel)
}

fn split_by_list(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0x800, 0x4000)?;
    let registers = bench.registers(adapter, 8)?;
    let two = bench.require(
        "CalculateScatterGatherList",
        Step::list_calculate_worst(adapter, 0, 0x2000),
    )?;
    let n_steps = both_ways(
        bench,
        registers,
        &packet,
        packet.bytes(true),
        two.result.value[0],
    )?;
    // Pages side by side may be one element.
    demand_steps(bench, n_steps, 1)?;
    bench.free_registers(registers.channel)
}

fn no_element(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    let registers = bench.registers(adapter, 1)?;
    let step = Step::transfer_map_ex(registers.channel, packet.bytes(true), 0x20, 0, 0);
    let result = bench.run_one(step)?;
    let what = "MapTransferEx with a list buffer of 0x20 bytes";
    bench.status_is(what, &result, NtStatus::INVALID_PARAMETER)?;
    bench.check_unchanged(what)?;
    bench.free_registers(registers.channel)
}

fn flush_between(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (source, packet) = bench.packet(0x10, 0x2000)?;
    let registers = bench.registers(adapter, 3)?;
    for _ in 0..5 {
        both_ways(
            bench,
            registers,
            &packet,
            packet.bytes(true),
            AMPLE_LIST_BYTES,
        )?;
    }
    bench.free_registers(registers.channel)?;
    bench.check_canaries(&source)
}

fn not_flushed(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x2000)?;
    let registers = bench.registers(adapter, 2)?;
    for offset in [0, 0x1000] {
        let bytes = packet.part(offset, 0x1000, true);
        let step = Step::transfer_map_ex(registers.channel, bytes, AMPLE_LIST_BYTES, 0, 0);
        bench.run_one(step)?;
    }
    Ok(())
}

fn by_pieces(bench: &mut Bench<'_>, version: u32) -> Result<(), CaseEnd> {
    let adapter = bench.adapter_described(description(version))?;
    let (source, packet) = bench.packet(0x804, 0x4000)?;
    let registers = bench.registers(adapter, 5)?;
    for write_to_device in [true, false] {
        bench.transfer_pieces(registers, &packet, packet.bytes(write_to_device))?;
    }
    bench.free_registers(registers.channel)?;
    bench.check_canaries(&source)
}

fn no_scatter_gather(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter_described(DeviceDescription {
        scatter_gather: false,
        ..description(3)
    })?;
    let source = bench.scattered_mdl(4)?;
    let packet = Packet::of(&source, 0);
    let registers = bench.registers(adapter, 4)?;
    for write_to_device in [true, false] {
        let bytes = packet.bytes(write_to_device);
        let pieces = bench.transfer_pieces(registers, &packet, bytes)?;
        let what = "the pieces of a device without scatter/gather";
        bench.demand(what, "1", format!("{pieces}"), pieces == 1)?;
    }
    bench.free_registers(registers.channel)
}

/// One page mapped for the device to write.
fn map_page(bench: &mut Bench<'_>) -> Result<(Registers, Packet, u32), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (source, packet) = bench.packet(0, 0x1000)?;
    let registers = bench.registers(adapter, 1)?;
    let step = Step::transfer_map(registers.channel, packet.bytes(false));
    bench.require("MapTransfer", step)?;
    Ok((registers, packet, source.slot))
}

fn other_length(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (registers, packet, _) = map_page(bench)?;
    let step = Step::transfer_flush(registers.channel, packet.part(0, 0x800, false));
    bench.require("FlushAdapterBuffers of half of it", step)?;
    bench.expect_guest_finding("flush-of-other-bytes")?;
    bench.free_registers(registers.channel)?;
    bench.check_unchanged("FreeMapRegisters")
}

fn memory_released(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (_, _, mdl) = map_page(bench)?;
    bench.run_one(Step::mdl_free(mdl)).map(drop)
}

fn cancelled(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    let context = bench.context(adapter)?;
    let (channel, result) = bench.channel_ex(adapter, context, 1)?;
    bench.status_is("AllocateAdapterChannelEx", &result, NtStatus::SUCCESS)?;
    bench.runs(channel, 1_000_000)?;
    let registers = Registers { channel };
    let bytes = packet.bytes(true);
    let (elements, bytes) = bench.map_ex(registers, &packet, bytes, AMPLE_LIST_BYTES)?;
    let cancelled = bench.run_one(Step::transfer_cancel(adapter, context))?;
    bench.observe(format!(
        "seen: CancelMappedTransfer: {}",
        cancelled.describe()
    ));
    bench.flush_ex(registers, &packet, bytes, &elements)?;
    let again = Step::transfer_map_ex(channel, bytes, AMPLE_LIST_BYTES, 0, 0);
    if bench
        .observe_outcome("MapTransferEx afterwards", again)?
        .is_success()
    {
        let flush = Step::transfer_flush_ex(channel, bytes);
        bench.require("FlushAdapterBuffersEx", flush)?;
    }
    bench.free_registers(channel)
}

fn info_versions(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0x800, 0x3000)?;
    let what = "GetDmaTransferInfo";
    for version in [1, 2] {
        let step = Step::transfer_info(adapter, packet.bytes(true), version);
        let result = bench.require(what, step)?;
        bench.observe(format!(
            "seen: version {version}: {:x?}",
            result.result.value
        ));
    }
    for version in [0, 3, 0xffff_ffff] {
        let step = Step::transfer_info(adapter, packet.bytes(true), version);
        let result = bench.run_one(step)?;
        bench.status_is(what, &result, NtStatus::NOT_SUPPORTED)?;
    }
    Ok(())
}

/// Registers, elements and list bytes for a transfer.
fn needs(bench: &mut Bench<'_>, adapter: u32, bytes: Bytes) -> Result<(u64, u64, u64), CaseEnd> {
    let step = Step::transfer_info(adapter, bytes, 1);
    let value = bench.require("GetDmaTransferInfo", step)?.result.value;
    Ok((value[0] & 0xffff_ffff, value[0] >> 32, value[1]))
}

fn info_needs(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let source = bench.scattered_mdl(5)?;
    let packet = Packet::of(&source, 0);
    for (offset, length) in [(0, 0x5000), (0x1ff0, 0x20), (0xfff, 0x2002)] {
        let bytes = packet.part(offset, length, false);
        let (count, n_elements, list_bytes) = needs(bench, adapter, bytes)?;
        let registers = bench.registers(adapter, count)?;
        bench.prepare(&packet, bytes)?;
        let (elements, mapped) = bench.map_ex(registers, &packet, bytes, list_bytes)?;
        let holds = mapped == bytes && elements.len() as u64 <= n_elements;
        let expected = format!("{length:#x} bytes in {n_elements} elements at most");
        let seen = format!("{:#x} bytes, {elements:x?}", mapped.length_bytes);
        bench.demand(
            "a transfer with what was told for it",
            &expected,
            seen,
            holds,
        )?;
        bench.move_data(&packet, bytes, &elements)?;
        bench.flush_ex(registers, &packet, bytes, &elements)?;
        bench.free_registers(registers.channel)?;
    }
    Ok(())
}

fn info_write_only(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0x800, 0x3000)?;
    let bytes = packet.bytes(true);
    let (count, n_elements, list_bytes) = needs(bench, adapter, bytes)?;
    bench.observe(format!(
        "seen: {count} registers, {n_elements} elements, {list_bytes:#x} bytes"
    ));
    let registers = bench.registers(adapter, count)?;
    let n_steps = bench.transfer_ex(registers, &packet, bytes, list_bytes)?;
    demand_one_step(bench, n_steps)?;
    bench.free_registers(registers.channel)
}

fn flush_past(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x8000)?;
    let registers = bench.registers(adapter, 1)?;
    let step = Step::transfer_map(registers.channel, packet.part(0, 0x1000, true));
    bench.require("MapTransfer", step)?;
    bench
        .run_one(Step::transfer_flush(registers.channel, packet.bytes(true)))
        .map(drop)
}

fn registers_twice(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let registers = bench.registers(adapter, 1)?;
    for _ in 0..2 {
        let step = Step::channel_free_registers(registers.channel).with_flags(OP_FLAG_KEEP);
        bench.run_one(step)?;
    }
    Ok(())
}

fn too_many_freed(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let registers = bench.registers(adapter, 2)?;
    let mut step = Step::channel_free_registers(registers.channel).with_flags(OP_FLAG_OVERRIDE);
    step.operation.arg[0] = 3;
    bench.run_one(step).map(drop)
}

fn put_with_channel(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let slot = bench.slot();
    let step = Step::channel_allocate(slot, adapter, 1, Action::Keep);
    bench.require("AllocateAdapterChannel", step)?;
    bench.run_one(Step::adapter_put(adapter)).map(drop)
}

fn put_with_registers(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    bench.registers(adapter, 1)?;
    bench.run_one(Step::adapter_put(adapter)).map(drop)
}

fn exhausted(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter_described(DeviceDescription {
        scatter_gather: false,
        ..description(3)
    })?;
    let (_, packet) = bench.packet(0, 0x2000)?;
    let registers = bench.registers(adapter, 1)?;
    bench
        .run_one(Step::transfer_map(registers.channel, packet.bytes(true)))
        .map(drop)
}

fn channel_before_flush(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    let slot = bench.slot();
    let step = Step::channel_allocate(slot, adapter, 1, Action::Keep);
    bench.require("AllocateAdapterChannel", step)?;
    bench.require("MapTransfer", Step::transfer_map(slot, packet.bytes(true)))?;
    bench.run_one(Step::channel_free(adapter)).map(drop)
}

fn registers_before_flush(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (registers, _, _) = map_page(bench)?;
    bench
        .run_one(Step::channel_free_registers(registers.channel))
        .map(drop)
}

fn other_buffer(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (registers, _, _) = map_page(bench)?;
    let (_, other) = bench.packet(0, 0x1000)?;
    bench
        .run_one(Step::transfer_flush(registers.channel, other.bytes(false)))
        .map(drop)
}

fn mapped_twice(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    let registers = bench.registers(adapter, 2)?;
    for (offset, length) in [(0, 0x1000), (0x800, 8)] {
        let step = Step::transfer_map(registers.channel, packet.part(offset, length, true));
        bench.run_one(step)?;
    }
    Ok(())
}

fn flushed_twice(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let (registers, packet, _) = map_page(bench)?;
    for _ in 0..2 {
        let step = Step::transfer_flush(registers.channel, packet.bytes(false));
        bench.run_one(step)?;
    }
    Ok(())
}
