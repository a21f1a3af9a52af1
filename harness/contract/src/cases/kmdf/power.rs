//! The order of the power callbacks (KD-21), as the driver has logged them.

use dmarig_abi::KmdfLogEntry;
use dmarig_abi::operation_kmdf as kmdf;

use super::KMDF;
use crate::bench::Bench;
use crate::case::Case;
use crate::cases::BOTH;
use crate::finding::{CaseEnd, Finding};
use crate::framework::{DmaProfile, EnablerConfig};
use crate::oracle::PAGE_SIZE;

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("KD-21/power-down-and-up", "D3 and back: enabler, interrupts and device in the documented order", BOTH, power_down_and_up).under(&KMDF),
    Case::new("KD-21/stop-and-start", "STOP and START: the same, with hardware released and prepared", BOTH, stop_and_start).under(&KMDF),
];

/// The way up, as far as the rule tells it, from EvtDeviceD0Entry on.
const UP: [u16; 6] = [
    kmdf::KMDF_EVENT_D0_ENTRY,
    kmdf::KMDF_EVENT_INTERRUPT_ENABLE,
    kmdf::KMDF_EVENT_D0_ENTRY_POST_INTERRUPTS,
    kmdf::KMDF_EVENT_ENABLER_FILL,
    kmdf::KMDF_EVENT_ENABLER_ENABLE,
    kmdf::KMDF_EVENT_ENABLER_SELF_MANAGED_IO_START,
];
/// The way down, to EvtDeviceD0Exit.
const DOWN: [u16; 7] = [
    kmdf::KMDF_EVENT_SELF_MANAGED_IO_SUSPEND,
    kmdf::KMDF_EVENT_ENABLER_SELF_MANAGED_IO_STOP,
    kmdf::KMDF_EVENT_ENABLER_DISABLE,
    kmdf::KMDF_EVENT_ENABLER_FLUSH,
    kmdf::KMDF_EVENT_D0_EXIT_PRE_INTERRUPTS,
    kmdf::KMDF_EVENT_INTERRUPT_DISABLE,
    kmdf::KMDF_EVENT_D0_EXIT,
];

/// The way up at the first start of a device whose enabler EvtDriverDeviceAdd has made.
pub(super) fn first_start() -> Vec<u16> {
    let before = [
        kmdf::KMDF_EVENT_DEVICE_ADD,
        kmdf::KMDF_EVENT_PREPARE_HARDWARE,
    ];
    let after = [kmdf::KMDF_EVENT_SELF_MANAGED_IO_INIT];
    [&before[..], &UP, &after].concat()
}

/// Each of the events came for DUT 0, and all of one kind before any of the next.
pub(super) fn judge_order(what: &str, log: &[KmdfLogEntry], order: &[u16]) -> Result<(), CaseEnd> {
    let ours: Vec<u16> = log
        .iter()
        .filter(|entry| entry.device == 0)
        .map(|entry| entry.event)
        .collect();
    let mut end = 0;
    for event in order {
        let first = ours.iter().position(|seen| seen == event);
        let last = ours.iter().rposition(|seen| seen == event);
        let (Some(first), Some(last)) = (first, last) else {
            return Err(wrong_order(what, order, &ours));
        };
        if first < end {
            return Err(wrong_order(what, order, &ours));
        }
        end = last + 1;
    }
    Ok(())
}

fn wrong_order(what: &str, order: &[u16], seen: &[u16]) -> CaseEnd {
    Finding {
        view: "driver",
        what: format!("the order of the framework's callbacks {what}"),
        buffer: None,
        logical_address: None,
        expected: names(order),
        seen: names(seen),
    }
    .into()
}

fn names(events: &[u16]) -> String {
    let words: Vec<&str> = events.iter().map(|event| name(*event)).collect();
    words.join(", ")
}

fn name(event: u16) -> &'static str {
    match event {
        kmdf::KMDF_EVENT_DEVICE_ADD => "DeviceAdd",
        kmdf::KMDF_EVENT_PREPARE_HARDWARE => "PrepareHardware",
        kmdf::KMDF_EVENT_RELEASE_HARDWARE => "ReleaseHardware",
        kmdf::KMDF_EVENT_D0_ENTRY => "D0Entry",
        kmdf::KMDF_EVENT_D0_ENTRY_POST_INTERRUPTS => "D0EntryPostInterruptsEnabled",
        kmdf::KMDF_EVENT_D0_EXIT_PRE_INTERRUPTS => "D0ExitPreInterruptsDisabled",
        kmdf::KMDF_EVENT_D0_EXIT => "D0Exit",
        kmdf::KMDF_EVENT_INTERRUPT_ENABLE => "InterruptEnable",
        kmdf::KMDF_EVENT_INTERRUPT_DISABLE => "InterruptDisable",
        kmdf::KMDF_EVENT_SELF_MANAGED_IO_INIT => "SelfManagedIoInit",
        kmdf::KMDF_EVENT_SELF_MANAGED_IO_SUSPEND => "SelfManagedIoSuspend",
        kmdf::KMDF_EVENT_SELF_MANAGED_IO_RESTART => "SelfManagedIoRestart",
        kmdf::KMDF_EVENT_SELF_MANAGED_IO_FLUSH => "SelfManagedIoFlush",
        kmdf::KMDF_EVENT_SELF_MANAGED_IO_CLEANUP => "SelfManagedIoCleanup",
        kmdf::KMDF_EVENT_QUERY_STOP => "QueryStop",
        kmdf::KMDF_EVENT_QUERY_REMOVE => "QueryRemove",
        kmdf::KMDF_EVENT_SURPRISE_REMOVAL => "SurpriseRemoval",
        kmdf::KMDF_EVENT_DEVICE_CLEANUP => "DeviceCleanup",
        kmdf::KMDF_EVENT_ENABLER_FILL => "EnablerFill",
        kmdf::KMDF_EVENT_ENABLER_ENABLE => "EnablerEnable",
        kmdf::KMDF_EVENT_ENABLER_SELF_MANAGED_IO_START => "EnablerSelfManagedIoStart",
        kmdf::KMDF_EVENT_ENABLER_SELF_MANAGED_IO_STOP => "EnablerSelfManagedIoStop",
        kmdf::KMDF_EVENT_ENABLER_DISABLE => "EnablerDisable",
        kmdf::KMDF_EVENT_ENABLER_FLUSH => "EnablerFlush",
        kmdf::KMDF_EVENT_OBJECT_CLEANUP => "Cleanup",
        kmdf::KMDF_EVENT_OBJECT_DESTROY => "Destroy",
        _ => "unknown",
    }
}

fn enabler(bench: &mut Bench<'_>) -> Result<u32, CaseEnd> {
    bench.enabler(EnablerConfig {
        callbacks: true,
        ..EnablerConfig::new(DmaProfile::ScatterGather64)
    })
}

/// Gives orders; returns the callbacks that they led to.
fn log_of(bench: &mut Bench<'_>, orders: &[&str]) -> Result<Vec<KmdfLogEntry>, CaseEnd> {
    bench.clear_log()?;
    for order in orders {
        bench.order(order)?;
    }
    bench.log()
}

fn power_down_and_up(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let enabler = enabler(bench)?;
    let buffer = bench.common_buffer(enabler, PAGE_SIZE, None, 0)?;
    bench.exercise(&buffer)?;
    let down = log_of(bench, &["power s3 dut0"])?;
    let up = log_of(bench, &["power s0 dut0"])?;
    judge_order("on the way to D3", &down, &DOWN)?;
    let restart = [kmdf::KMDF_EVENT_SELF_MANAGED_IO_RESTART];
    judge_order("on the way to D0", &up, &[&UP[..], &restart].concat())?;
    // The buffer has lived through it.
    bench.exercise(&buffer)?;
    bench.delete_with_buffers(enabler, &[buffer])
}

fn stop_and_start(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let enabler = enabler(bench)?;
    let down = log_of(bench, &["pnp query-stop dut0", "pnp stop dut0"])?;
    let up = log_of(bench, &["pnp start dut0"])?;
    let release = [kmdf::KMDF_EVENT_RELEASE_HARDWARE];
    judge_order("of STOP", &down, &[&DOWN[..], &release].concat())?;
    let prepare = [kmdf::KMDF_EVENT_PREPARE_HARDWARE];
    let restart = [kmdf::KMDF_EVENT_SELF_MANAGED_IO_RESTART];
    judge_order("of START", &up, &[&prepare[..], &UP, &restart].concat())?;
    let buffer = bench.common_buffer(enabler, PAGE_SIZE, None, 0)?;
    bench.exercise(&buffer)?;
    bench.delete_with_buffers(enabler, &[buffer])
}
