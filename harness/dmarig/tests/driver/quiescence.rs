//! The engine is quiet before memory is freed, and fresh when the device comes to D0.

use contract::{DeviceDescription, DriverKind, Step, TransferMode};
use dmarig_abi::completion::DMA_STATUS_ABORTED;
use dmarig_abi::descriptor::{DESCRIPTOR_FLAG_MESSAGE, DMA_OP_CRC};
use dmarig_abi::mailbox as mb;
use dmarig_abi::operation as op;
use dmarig_abi::registers::{
    CH_COMMAND, CH_LENGTH, CH_SOURCE, CH_STATUS, CHANNEL_BASE, CHANNEL_STRIDE, DUT_CHANNELS,
    REG_SCRATCH,
};
use libtest_mimic::Failed;

use crate::rig::{Rig, Setup};
use crate::{
    ADAPTER, BUFFER, INTERRUPT_SEEN, RING_CHANNEL, bare, expect_moved, expect_outcomes, prepare,
    verify,
};

/// Long enough that a request by message does not end before the next operation.
const LENGTH: u64 = 4 << 20;
const MARK: u64 = 0x51de;

fn register(channel: u32, offset: u64) -> u64 {
    CHANNEL_BASE + u64::from(channel) * CHANNEL_STRIDE + offset
}

fn read(offset: u64) -> Step {
    bare(op::OP_DEVICE_READ_REGISTER, 0, [offset, 4, 0, 0, 0])
}

fn write(offset: u64, width: u64, value: u64) -> Step {
    bare(
        op::OP_DEVICE_WRITE_REGISTER,
        0,
        [offset, width, value, 0, 0],
    )
}

/// A request on each channel that nobody waits for, as one that ran out of time leaves it; then all
/// memory is released.
pub fn release_ends_requests(driver: DriverKind) -> Result<(), Failed> {
    let mut rig = Rig::boot(Setup::of(driver));
    let description = DeviceDescription {
        maximum_length_bytes: 0x40_0000,
        ..DeviceDescription::version_3(64)
    };
    let ran = rig.run(&[
        Step::adapter_open(ADAPTER, 0, description),
        Step::buffer_allocate_with_bounds(BUFFER, ADAPTER, LENGTH, None, None),
    ]);
    expect_outcomes(&ran, &[op::OUTCOME_DONE; 2]);
    let iova = ran.results[1].result.logical_address;
    let command = u64::from(DMA_OP_CRC) | u64::from(DESCRIPTOR_FLAG_MESSAGE) << 16;
    let mut steps = Vec::new();
    for channel in 0..DUT_CHANNELS {
        steps.push(write(register(channel, CH_SOURCE), 8, iova));
        steps.push(write(register(channel, CH_LENGTH), 8, LENGTH));
        steps.push(write(register(channel, CH_COMMAND), 4, command));
    }
    steps.push(bare(op::OP_RELEASE_ALL, 0, [0; 5]));
    steps.push(read(register(DUT_CHANNELS - 1, CH_STATUS)));
    let ran = rig.run(&steps);
    expect_outcomes(&ran, &vec![op::OUTCOME_DONE; steps.len()]);
    let status = ran.results.last().expect("as many as steps").result.value[0];
    assert_eq!(status, u64::from(DMA_STATUS_ABORTED));

    prepare(&mut rig);
    let moved = rig.run(&[verify(0, TransferMode::RegisterInterrupt)]);
    assert_ne!(expect_moved(&moved, 0) & INTERRUPT_SEEN, 0);
    rig.finish();
    Ok(())
}

/// The scratch register tells of a reset: on the way out of D0, and nothing is lost by it.
pub fn reset_on_the_way_out(driver: DriverKind) -> Result<(), Failed> {
    let mut rig = Rig::boot(Setup::of(driver));
    prepare(&mut rig);
    let mark = [write(REG_SCRATCH, 4, MARK), read(REG_SCRATCH)];
    assert_eq!(rig.run(&mark).results[1].result.value[0], MARK);
    rig.command("power d3 dut0");
    rig.command("power d0 dut0");
    let ran = rig.run(&[
        read(REG_SCRATCH),
        verify(RING_CHANNEL, TransferMode::RingInterrupt),
    ]);
    assert_eq!(ran.results[0].result.value[0], 0);
    assert_ne!(expect_moved(&ran, 1) & INTERRUPT_SEEN, 0);

    expect_outcomes(&rig.run(&mark), &[op::OUTCOME_DONE; 2]);
    let stop = [read(REG_SCRATCH)];
    rig.store(mb::CONTEXT_STOP, &stop);
    rig.command("pnp query-stop dut0");
    rig.command("pnp stop dut0");
    let stopped = rig.fetch(mb::CONTEXT_STOP, &stop).expect("it has run");
    expect_outcomes(&stopped, &[op::OUTCOME_DONE]);
    assert_eq!(stopped.results[0].result.value[0], 0);
    rig.command("pnp start dut0");
    rig.finish();
    Ok(())
}
