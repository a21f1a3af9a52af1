//! Common buffers made where drivers make them: EvtDriverDeviceAdd, EvtDevicePrepareHardware,
//! EvtDeviceD0Entry, EvtDeviceD0Exit (KD-17), and the callbacks of a first start (KD-21).

use dmarig_abi::completion::DMA_STATUS_SUCCESS;
use dmarig_abi::descriptor::{DMA_OP_VERIFY_PATTERN, DMA_OP_WRITE_PATTERN};
use dmarig_abi::mailbox::{
    CONTEXT_ADD_DEVICE, CONTEXT_D0_ENTRY, CONTEXT_D0_EXIT, CONTEXT_START_DEVICE,
};

use super::{KMDF, power};
use crate::bench::Bench;
use crate::case::Case;
use crate::cases::BOTH;
use crate::finding::{CaseEnd, Finding};
use crate::framework::{CommonBufferConfig, DmaProfile, EnablerConfig};
use crate::profile::{EarlyProgram, Profile};
use crate::step::{Creation, Step, StepResult, Transfer, TransferMode};

/// Slots of the early programs, out of the way of the cases' own.
const ENABLER: u32 = 1000;
const BUFFER: u32 = 1001;
/// The page's example: 10 bytes on 32.
const LENGTH_BYTES: u64 = 10;
const FILE_32_BYTE_ALIGNMENT: u32 = 0x1f;
const SEED: u64 = 0x5eed;

static ADD_DEVICE: Profile = Profile {
    name: "kmdf-add-device",
    programs: &[EarlyProgram {
        context: CONTEXT_ADD_DEVICE,
        steps: create,
    }],
    ..PROFILE
};
static FIRST_START: Profile = Profile {
    name: "kmdf-first-start",
    programs: &[EarlyProgram {
        context: CONTEXT_ADD_DEVICE,
        steps: create_enabler,
    }],
    ..PROFILE
};
static PREPARE_HARDWARE: Profile = Profile {
    name: "kmdf-prepare-hardware",
    programs: &[EarlyProgram {
        context: CONTEXT_START_DEVICE,
        steps: round_trip,
    }],
    ..PROFILE
};
const PROFILE: Profile = Profile {
    driver: crate::profile::DriverKind::Kmdf,
    ..Profile::DEFAULT
};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("KD-17/d0-entry", "the example made in EvtDeviceD0Entry: data moves both ways there", BOTH, |bench| in_power_callback(bench, CONTEXT_D0_ENTRY)).under(&KMDF),
    Case::new("KD-17/d0-exit", "the example made in EvtDeviceD0Exit: data moves both ways there", BOTH, |bench| in_power_callback(bench, CONTEXT_D0_EXIT)).under(&KMDF),
    Case::new("KD-17/device-add", "the example made in EvtDriverDeviceAdd, the page's own call site", BOTH, device_add).under(&ADD_DEVICE),
    Case::new("KD-17/prepare-hardware", "the example made in EvtDevicePrepareHardware: data moves both ways there", BOTH, |bench| judge_round_trip(bench, CONTEXT_START_DEVICE)).under(&PREPARE_HARDWARE),
    Case::new("KD-21/first-start", "the first start: device, interrupts and enabler in the documented order", BOTH, first_start).under(&FIRST_START),
];

fn create_enabler() -> Vec<Step> {
    let config = EnablerConfig {
        callbacks: true,
        ..EnablerConfig::new(DmaProfile::ScatterGather64)
    };
    vec![Step::enabler_create(
        ENABLER,
        0,
        config,
        Creation::default(),
    )]
}

/// The page's example.
fn create() -> Vec<Step> {
    let config = Some(CommonBufferConfig::new(FILE_32_BYTE_ALIGNMENT));
    let creation = Creation::default();
    let buffer = Step::common_buffer_create(BUFFER, ENABLER, LENGTH_BYTES, config, creation);
    let mut steps = create_enabler();
    steps.push(buffer);
    steps
}

fn transfer(opcode: u16, seed: u64) -> Step {
    Step::device_transfer(Transfer {
        device: 0,
        channel: 0,
        opcode,
        flags: 0,
        mode: TransferMode::RegisterPoll,
        buffer: BUFFER,
        offset: 0,
        length_bytes: LENGTH_BYTES,
        seed,
    })
}

/// The example, data both ways, and its end.
fn round_trip() -> Vec<Step> {
    let mut steps = create();
    steps.extend([
        Step::cpu_fill(BUFFER, 0, LENGTH_BYTES, SEED),
        transfer(DMA_OP_VERIFY_PATTERN, SEED),
        transfer(DMA_OP_WRITE_PATTERN, !SEED),
        Step::cpu_check(BUFFER, 0, LENGTH_BYTES, !SEED),
        Step::object_delete(ENABLER),
    ]);
    steps
}

fn wrong(what: &str, result: &StepResult) -> CaseEnd {
    Finding {
        view: "driver",
        what: format!("{what} in the early program"),
        buffer: None,
        logical_address: None,
        expected: "success".to_owned(),
        seen: format!("{}, {:x?}", result.describe(), result.result.value),
    }
    .into()
}

fn judge_round_trip(bench: &mut Bench<'_>, context: u16) -> Result<(), CaseEnd> {
    const NO_MISMATCH: u64 = u64::MAX;
    let results = bench.stored(context, &round_trip())?;
    let names = [
        "WdfDmaEnablerCreate",
        "WdfCommonBufferCreateWithConfig",
        "the CPU's write",
        "the device's read",
        "the device's write",
        "what the CPU reads",
        "WdfObjectDelete",
    ];
    for (name, result) in names.iter().zip(&results) {
        if !result.is_success() {
            return Err(wrong(name, result));
        }
    }
    for (name, result) in names.iter().zip(&results).skip(3).take(2) {
        if result.result.value[2] & 0xffff != u64::from(DMA_STATUS_SUCCESS)
            || result.result.length != LENGTH_BYTES
        {
            return Err(wrong(name, result));
        }
    }
    let last = results.get(5).filter(|_| results.len() == names.len());
    match last {
        Some(check) if check.result.value[1] == NO_MISMATCH => Ok(()),
        Some(check) => Err(wrong(names[5], check)),
        None => Err(CaseEnd::Skipped("the early program was not run".to_owned())),
    }
}

fn in_power_callback(bench: &mut Bench<'_>, context: u16) -> Result<(), CaseEnd> {
    bench.leave(context, &round_trip())?;
    bench.order("power s3 dut0")?;
    bench.order("power s0 dut0")?;
    judge_round_trip(bench, context)
}

fn device_add(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let results = bench.stored(CONTEXT_ADD_DEVICE, &create())?;
    let [enabler, created] = results.as_slice() else {
        return Err(CaseEnd::Skipped("the early program was not run".to_owned()));
    };
    for (name, result) in [
        ("WdfDmaEnablerCreate", enabler),
        ("WdfCommonBufferCreateWithConfig", created),
    ] {
        if !result.is_success() {
            return Err(wrong(name, result));
        }
    }
    let buffer = bench.framework_buffer(BUFFER, LENGTH_BYTES, created)?;
    bench.check_masked(&buffer, created, FILE_32_BYTE_ALIGNMENT.into())?;
    bench.exercise(&buffer)?;
    bench.require("WdfObjectDelete", Step::object_delete(ENABLER))?;
    bench.check_adopted_gone(&buffer)
}

fn first_start(bench: &mut Bench<'_>) -> Result<(), CaseEnd> {
    let log = bench.log()?;
    power::judge_order("of a first start", &log, &power::first_start())
}
