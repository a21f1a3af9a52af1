//! Scatter/gather lists of version 3 (SX-1 to SX-5), FreeAdapterObject (FO-1, FO-2), cancelled requests (CX-1).

use dmarig_abi::operation_transfer::{REQUEST_COMPLETION, REQUEST_NO_ROUTINE, REQUEST_OUT};

use super::transfer_lists::{description, dma_violation};
use super::transfer_profiles::{DIRECT_DEFERRED, FEW_REGISTERS};
use crate::bench::{Bench, List, Packet};
use crate::case::{Case, Tag};
use crate::cases::BOTH;
use crate::finding::CaseEnd;
use crate::nt_status::NtStatus;
use crate::step::Step;
use crate::step::{Action, RequestForm};

const ASYNCHRONOUS: RequestForm = RequestForm { flags: 0, bits: 0 };
const SYNCHRONOUS: RequestForm = RequestForm {
    flags: RequestForm::SYNCHRONOUS,
    bits: REQUEST_OUT,
};
const WITHOUT_ROUTINE: RequestForm = RequestForm {
    flags: RequestForm::SYNCHRONOUS,
    bits: REQUEST_OUT | REQUEST_NO_ROUTINE,
};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("SX-1/asynchronous", "a list without flags goes both ways", BOTH, |bench| both_ways(bench, ASYNCHRONOUS)),
    Case::new("SX-1/deferred", "the same when the routine runs from a DPC", BOTH, |bench| both_ways(bench, ASYNCHRONOUS)).under(&DIRECT_DEFERRED),
    Case::new("SX-1/synchronous", "a list with DMA_SYNCHRONOUS_CALLBACK goes both ways", BOTH, |bench| both_ways(bench, SYNCHRONOUS)),
    Case::new("SX-1/unknown-flag", "what another flag gives", BOTH, unknown_flag).tagged(&[Tag::Undefined]),
    Case::new("SX-2/no-routine", "no routine without the flag, or neither routine nor place, is refused", BOTH, no_routine),
    Case::new("SX-3/no-registers", "a synchronous list without registers is refused at once, and nothing waits", BOTH, no_registers).under(&FEW_REGISTERS),
    Case::new("SX-3/without-routine", "a synchronous list without a routine is used and then ended by FreeAdapterObject", BOTH, without_routine).showing(&["FO-2"]),
    Case::new("SX-4/completion-routine", "what a completion routine gives", BOTH, completion_routine).tagged(&[Tag::Undefined]),
    Case::new("SX-4/none", "without a completion routine a list is given", BOTH, |bench| both_ways(bench, SYNCHRONOUS)),
    Case::new("SX-5/build", "a list in the driver's buffer goes both ways", BOTH, build),
    Case::new("SX-5/too-small", "a buffer too short is STATUS_BUFFER_TOO_SMALL", BOTH, build_too_small),
    Case::new("FO-1/keep-object", "KeepObject changes nothing: another request finds the adapter object taken", BOTH, keep_object),
    Case::new("FO-1/deallocate-object", "DeallocateObject gives adapter object and registers back", BOTH, deallocate_object),
    Case::new("FO-1/keep-registers", "DeallocateObjectKeepRegisters leaves the registers to FreeMapRegisters", BOTH, keep_registers).under(&FEW_REGISTERS),
    Case::new("CX-1/waiting", "a request that waits is cancelled, and its routine never runs", BOTH, cancel_waiting).under(&FEW_REGISTERS),
    Case::new("CX-1/has-run", "a request whose routine has run is not cancelled", BOTH, cancel_too_late),
    Case::new("CX-1/beforehand", "what a context cancelled before its request gives", BOTH, cancel_beforehand).tagged(&[Tag::Undefined]),
    Case::new("TC-1/one-for-each-request", "a context in use is refused for a second request, and found", BOTH, context_in_use).tagged(&[Tag::Undefined]),
    Case::new("TC-1/null", "no context at all is STATUS_INVALID_PARAMETER", BOTH, context_null),
    Case::new("VF-E6-04/adapter-object-freed-twice", "FreeAdapterObject of what nobody has is bug check 0xE6/0x04", BOTH, freed_twice).stops(dma_violation(0x04)),
];

fn list_ex(
    bench: &mut Bench<'_>,
    adapter: u32,
    packet: &Packet,
    write_to_device: bool,
    form: RequestForm,
) -> Result<List, CaseEnd> {
    let (slot, context) = (bench.slot(), bench.context(adapter)?);
    let bytes = packet.bytes(write_to_device);
    let step = Step::list_get_ex(slot, adapter, context, bytes, form);
    bench.list_by("GetScatterGatherListEx", slot, packet, bytes, step)
}

fn both_ways(bench: &mut Bench<'_>, form: RequestForm) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (source, packet) = bench.packet(0x804, 0x5000)?;
    for write_to_device in [true, false] {
        let bytes = packet.bytes(write_to_device);
        bench.prepare(&packet, bytes)?;
        let list = list_ex(bench, adapter, &packet, write_to_device, form)?;
        bench.move_data(&packet, bytes, &list.elements)?;
        bench.put(&packet, &list)?;
    }
    bench.check_canaries(&source)
}

/// A request that is expected to fail, as a step.
fn request(
    bench: &mut Bench<'_>,
    adapter: u32,
    packet: &Packet,
    form: RequestForm,
) -> Result<Step, CaseEnd> {
    let (slot, context) = (bench.slot(), bench.context(adapter)?);
    Ok(Step::list_get_ex(
        slot,
        adapter,
        context,
        packet.bytes(true),
        form,
    ))
}

fn unknown_flag(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let form = RequestForm {
        flags: 0x80,
        bits: 0,
    };
    observed(bench, "Flags 0x80", form)
}

fn completion_routine(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let form = RequestForm {
        flags: 0,
        bits: REQUEST_COMPLETION,
    };
    observed(bench, "a completion routine", form)
}

fn observed(bench: &mut Bench<'_>, what: &str, form: RequestForm) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    let step = request(bench, adapter, &packet, form)?;
    bench.observe_outcome(what, step).map(drop)
}

fn no_routine(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x1000)?;
    let forms = [
        (0, REQUEST_NO_ROUTINE),
        (0, REQUEST_NO_ROUTINE | REQUEST_OUT),
        (RequestForm::SYNCHRONOUS, REQUEST_NO_ROUTINE),
    ];
    for (flags, bits) in forms {
        let step = request(bench, adapter, &packet, RequestForm { flags, bits })?;
        let what = format!("GetScatterGatherListEx with flags {flags:#x} and no routine");
        let result = bench.run_one(step)?;
        let holds = !result.is_success() && result.result.value[1] == 0;
        bench.demand(
            &what,
            "a failure, and no routine called",
            result.describe(),
            holds,
        )?;
        bench.observe(format!("seen: {}", result.describe()));
        bench.check_unchanged(&what)?;
    }
    Ok(())
}

fn no_registers(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, first) = bench.packet(0, 0x3000)?;
    let (_, second) = bench.packet(0, 0x3000)?;
    let list = list_ex(bench, adapter, &first, true, SYNCHRONOUS)?;
    for form in [SYNCHRONOUS, WITHOUT_ROUTINE] {
        let step = request(bench, adapter, &second, form)?;
        let result = bench.run_one(step)?;
        let what = "a synchronous list for which no registers are left";
        bench.status_is(what, &result, NtStatus::INSUFFICIENT_RESOURCES)?;
        let seen = format!("called {} times", result.result.value[1]);
        bench.demand(what, "no routine called", seen, result.result.value[1] == 0)?;
    }
    bench.put(&first, &list)
}

fn without_routine(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0x10, 0x2000)?;
    for write_to_device in [true, false] {
        let bytes = packet.bytes(write_to_device);
        bench.prepare(&packet, bytes)?;
        let (slot, context) = (bench.slot(), bench.context(adapter)?);
        let step = Step::list_get_ex(slot, adapter, context, bytes, WITHOUT_ROUTINE);
        let what = "GetScatterGatherListEx without a routine";
        let result = bench.require(what, step)?;
        let list = bench.judge_list(what, slot, &packet, bytes, &result)?;
        bench.move_data(&packet, bytes, &list.elements)?;
        let free = Step::adapter_object_free(adapter, Action::KeepRegisters);
        bench.require("FreeAdapterObject", free)?;
        bench.put(&packet, &list)?;
    }
    Ok(())
}

fn build(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0x804, 0x3000)?;
    for write_to_device in [true, false] {
        let bytes = packet.bytes(write_to_device);
        bench.prepare(&packet, bytes)?;
        let info = bench.require("GetDmaTransferInfo", Step::transfer_info(adapter, bytes, 1))?;
        let (slot, context) = (bench.slot(), bench.context(adapter)?);
        let size = info.result.value[1];
        let step = Step::list_build_ex(slot, adapter, context, bytes, SYNCHRONOUS, size);
        let list = bench.list_by("BuildScatterGatherListEx", slot, &packet, bytes, step)?;
        bench.move_data(&packet, bytes, &list.elements)?;
        bench.put(&packet, &list)?;
    }
    Ok(())
}

fn build_too_small(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let (_, packet) = bench.packet(0, 0x3000)?;
    let (slot, context) = (bench.slot(), bench.context(adapter)?);
    let step = Step::list_build_ex(
        slot,
        adapter,
        context,
        packet.bytes(true),
        SYNCHRONOUS,
        0x27,
    );
    let what = "BuildScatterGatherListEx of 3 pages into 0x27 bytes";
    bench.refused(what, step, NtStatus::BUFFER_TOO_SMALL)
}

/// A synchronous channel without a routine, which has the adapter object; its slot.
fn hold(bench: &mut Bench<'_>, adapter: u32, registers: u64) -> Result<u32, CaseEnd> {
    let context = bench.context(adapter)?;
    let (channel, step) = bench.channel_synchronous(adapter, context, registers);
    bench.require("AllocateAdapterChannelEx", step)?;
    Ok(channel)
}

/// Whether a further synchronous request gets the adapter object; if so, it gives all of it back.
fn is_free(bench: &mut Bench<'_>, adapter: u32, registers: u64) -> Result<bool, CaseEnd> {
    let context = bench.context(adapter)?;
    let (_, step) = bench.channel_synchronous(adapter, context, registers);
    let result = bench.run_one(step)?;
    if result.is_success() {
        free_object(bench, adapter, Action::Deallocate)?;
    } else {
        bench.status_is(
            "a second request",
            &result,
            NtStatus::INSUFFICIENT_RESOURCES,
        )?;
    }
    Ok(result.is_success())
}

fn free_object(bench: &mut Bench<'_>, adapter: u32, action: Action) -> Result<(), CaseEnd> {
    let step = Step::adapter_object_free(adapter, action);
    bench.require("FreeAdapterObject", step).map(drop)
}

fn demand_free(
    bench: &mut Bench<'_>,
    adapter: u32,
    registers: u64,
    after: &str,
    wanted: bool,
) -> Result<(), CaseEnd> {
    let seen = is_free(bench, adapter, registers)?;
    let what = format!("a request for {registers} registers after {after}");
    let word = |free| if free { "granted" } else { "refused" };
    bench.demand(&what, word(wanted), word(seen).to_owned(), seen == wanted)
}

fn keep_object(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    hold(bench, adapter, 1)?;
    free_object(bench, adapter, Action::Keep)?;
    demand_free(bench, adapter, 1, "KeepObject", false)?;
    free_object(bench, adapter, Action::Deallocate)
}

fn deallocate_object(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter_described(crate::DeviceDescription {
        maximum_length_bytes: 0x3000,
        ..description(3)
    })?;
    hold(bench, adapter, 4)?;
    free_object(bench, adapter, Action::Deallocate)?;
    demand_free(bench, adapter, 4, "DeallocateObject", true)
}

fn keep_registers(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let channel = hold(bench, adapter, 3)?;
    free_object(bench, adapter, Action::KeepRegisters)?;
    demand_free(bench, adapter, 2, "DeallocateObjectKeepRegisters", true)?;
    demand_free(bench, adapter, 3, "DeallocateObjectKeepRegisters", false)?;
    bench.free_registers(channel)?;
    demand_free(bench, adapter, 3, "FreeMapRegisters", true)
}

fn cancel(bench: &mut Bench<'_>, adapter: u32, context: u32) -> Result<bool, CaseEnd> {
    let step = Step::channel_cancel(adapter, context);
    let result = bench.require("CancelAdapterChannel", step)?;
    Ok(result.result.value[0] != 0)
}

fn cancel_waiting(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let held = bench.registers(adapter, 4)?;
    let context = bench.context(adapter)?;
    let (waiting, result) = bench.channel_ex(adapter, context, 3)?;
    let what = "AllocateAdapterChannelEx of a request that waits";
    bench.status_is(what, &result, NtStatus::SUCCESS)?;
    let is_cancelled = cancel(bench, adapter, context)?;
    let what = "CancelAdapterChannel of a request that waits";
    bench.demand(what, "TRUE", is_cancelled.to_string(), is_cancelled)?;
    bench.free_registers(held.channel)?;
    let runs = bench.runs(waiting, 20_000)?;
    let seen = format!("called {runs} times");
    bench.demand(
        "the routine of a cancelled request",
        "never called",
        seen,
        runs == 0,
    )
}

fn cancel_too_late(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let context = bench.context(adapter)?;
    let (channel, _) = bench.channel_ex(adapter, context, 2)?;
    let runs = bench.runs(channel, 1_000_000)?;
    bench.demand(
        "the routine",
        "called once",
        format!("called {runs} times"),
        runs == 1,
    )?;
    let is_cancelled = cancel(bench, adapter, context)?;
    let what = "CancelAdapterChannel of a request whose routine has run";
    bench.demand(what, "FALSE", is_cancelled.to_string(), !is_cancelled)?;
    bench.free_registers(channel)
}

fn cancel_beforehand(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let context = bench.context(adapter)?;
    let is_cancelled = cancel(bench, adapter, context)?;
    bench.observe(format!(
        "seen: CancelAdapterChannel beforehand gives {is_cancelled}"
    ));
    let (channel, result) = bench.channel_ex(adapter, context, 1)?;
    bench.observe(format!("seen: the request: {}", result.describe()));
    if result.is_success() {
        let runs = bench.runs(channel, 20_000)?;
        bench.observe(format!("seen: its routine was called {runs} times"));
    }
    Ok(())
}

fn context_in_use(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let context = bench.context(adapter)?;
    let (channel, result) = bench.channel_ex(adapter, context, 1)?;
    bench.status_is("the first request", &result, NtStatus::SUCCESS)?;
    bench.runs(channel, 1_000_000)?;
    let (_, second) = bench.channel_ex(adapter, context, 1)?;
    bench.observe(format!("seen: a second request: {}", second.describe()));
    bench.expect_guest_finding("transfer-context-in-use")?;
    bench.free_registers(channel)
}

fn context_null(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    let step = Step::context_initialize_null(adapter);
    let what = "InitializeDmaTransferContext(NULL)";
    bench.refused(what, step, NtStatus::INVALID_PARAMETER)
}

fn freed_twice(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let adapter = bench.adapter(64)?;
    hold(bench, adapter, 1)?;
    free_object(bench, adapter, Action::Deallocate)?;
    bench
        .run_one(Step::adapter_object_free(adapter, Action::Deallocate))
        .map(drop)
}
