//! Adapters and common buffers made in AddDevice and in START_DEVICE (GA-1), used later by the control thread.

use dmarig_abi::Iova;
use dmarig_abi::mailbox::{CONTEXT_ADD_DEVICE, CONTEXT_START_DEVICE};

use crate::bench::{Bench, Buffer, driver_finding};
use crate::case::Case;
use crate::cases::BOTH;
use crate::device_description::DeviceDescription;
use crate::finding::CaseEnd;
use crate::profile::{EarlyProgram, Profile};
use crate::step::{Routine, Step, StepResult};

const ADAPTER: u32 = 100;
const MEMORY: u32 = 101;
const MDL: u32 = 102;
const FROM_MDL: u32 = 103;
const ALLOCATED: u32 = 104;
const LENGTH_BYTES: u64 = 0x4000;

static ADD_DEVICE: Profile = Profile {
    name: "buffers-of-add-device",
    programs: &[EarlyProgram {
        context: CONTEXT_ADD_DEVICE,
        steps: make,
    }],
    ..Profile::DEFAULT
};

static START_DEVICE: Profile = Profile {
    name: "buffers-of-start-device",
    programs: &[EarlyProgram {
        context: CONTEXT_START_DEVICE,
        steps: make,
    }],
    ..Profile::DEFAULT
};

#[rustfmt::skip]
pub(super) const CASES: &[Case] = &[
    Case::new("GA-1/add-device", "adapter and buffers of AddDevice live on: data moves both ways", BOTH, |bench| used_later(bench, CONTEXT_ADD_DEVICE)).under(&ADD_DEVICE),
    Case::new("GA-1/start-device", "adapter and buffers of START_DEVICE live on: data moves both ways", BOTH, |bench| used_later(bench, CONTEXT_START_DEVICE)).under(&START_DEVICE),
];

/// An adapter, a buffer of the HAL's and one of an MDL.
fn make() -> Vec<Step> {
    vec![
        Step::adapter_open(ADAPTER, 0, DeviceDescription::version_3(64)),
        Step::contiguous_allocate(MEMORY, LENGTH_BYTES),
        Step::mdl_allocate(MDL, MEMORY, 0, LENGTH_BYTES),
        Step::mdl_build_nonpaged(MDL),
        Step::buffer_create_from_mdl(FROM_MDL, ADAPTER, MDL, None, None),
        Step::buffer_allocate(ALLOCATED, ADAPTER, LENGTH_BYTES, Routine::EX),
    ]
}

fn used_later(bench: &mut Bench<'_>, context: u16) -> Result<(), CaseEnd> {
    let results = bench.stored(context, &make())?;
    if let Some(failed) = results.iter().find(|result| !result.is_success()) {
        let what = format!(
            "operation {:#06x} of the early program",
            failed.result.opcode
        );
        return Err(driver_finding(&what, "success", failed).into());
    }
    let [_, _, _, _, from_mdl, allocated] = results.as_slice() else {
        return Err(CaseEnd::Skipped("the early program was not run".to_owned()));
    };
    for (slot, name, result) in [
        (FROM_MDL, "buffer of an early MDL", from_mdl),
        (ALLOCATED, "early common buffer", allocated),
    ] {
        let buffer = adopt(slot, name, result);
        bench.exercise(&buffer)?;
        bench.require("FreeCommonBuffer", Step::buffer_free(slot))?;
        bench.check_adopted_gone(&buffer)?;
    }
    // The adapter is as good as one of the control thread.
    bench.take_as_before()?;
    bench.allocate_and_exercise(ADAPTER, LENGTH_BYTES, Routine::PLAIN, u64::MAX)?;
    bench
        .require("PutDmaAdapter", Step::adapter_put(ADAPTER))
        .map(drop)
}

fn adopt(slot: u32, name: &str, result: &StepResult) -> Buffer {
    Buffer {
        name: name.to_owned(),
        slot,
        logical_address: Iova::new(result.result.logical_address),
        length_bytes: LENGTH_BYTES,
        pfns: None,
    }
}
