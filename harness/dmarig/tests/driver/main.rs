//! The test driver in the nt guest: contexts, PnP and power, interrupts, what it refuses.
//!
//! What the rig needs is asked of `dmarig doctor`; lacking it, every test is skipped with the reason.

mod channels;
mod kmdf;
mod messages;
mod quiescence;
mod rig;

use std::process::Command;

use contract::{DeviceDescription, DriverKind, Step, Transfer, TransferMode};
use dmarig_abi::completion::DMA_STATUS_SUCCESS;
use dmarig_abi::descriptor::{DMA_OP_VERIFY_PATTERN, DMA_OP_WRITE_PATTERN};
use dmarig_abi::mailbox as mb;
use dmarig_abi::operation::{self as op, Operation};
use dmarig_abi::registers::{DUT_ID_VALUE, REG_ID};
use libtest_mimic::{Arguments, Failed, Trial};
use rig::{DMARIG, Ran, Rig, Setup};
use serde_json::Value;

const ADAPTER: u32 = 0;
const RING: u32 = 1;
const BUFFER: u32 = 2;
const RING_CHANNEL: u32 = 2;
const LENGTH: u64 = 0x1000;
const SEED: u64 = 3;
/// Bit of a transfer's third value: an interrupt of the channel was seen.
const INTERRUPT_SEEN: u64 = 1 << 32;
const STATUS_INVALID_PARAMETER: u32 = 0xc000_000d;
/// Longest OP_DELAY above PASSIVE_LEVEL.
const STALL_MAX_US: u64 = 50;

type Test = fn(DriverKind) -> Result<(), Failed>;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let tests: [(&str, Test); 17] = [
        ("program_runs_at_the_irql_of_its_context", contexts),
        ("early_programs_run_in_add_device_and_start", early_programs),
        (
            "power_down_ends_transfers_and_power_up_restores_rings",
            power,
        ),
        (
            "system_sleep_and_wake_run_the_drivers_own_device_requests",
            system_power,
        ),
        ("bus_that_answers_later_changes_nothing", slow_bus),
        ("request_that_the_bus_loses_ends_the_run", lost_request),
        ("cancelled_queries_change_nothing", cancelled_queries),
        ("stop_releases_what_lies_on_the_device", stop_and_start),
        ("surprise_removal_and_remove_run_their_programs", removal),
        ("long_program_gives_way_to_power_down", giving_way),
        (
            "control_function_comes_back_after_stop_and_power_down",
            control_function,
        ),
        (
            "fewer_vectors_and_a_line_serve_every_channel",
            channels::interrupts,
        ),
        (
            "impossible_number_of_channels_is_refused",
            channels::impossible_count,
        ),
        ("misuse_is_refused_before_anything_is_called", refusals),
        (
            "sixty_four_long_messages_at_once_all_arrive",
            messages::sixty_four_at_once,
        ),
        (
            "release_of_all_ends_requests_under_way",
            quiescence::release_ends_requests,
        ),
        (
            "engine_is_reset_on_the_way_out_of_d0",
            quiescence::reset_on_the_way_out,
        ),
    ];
    let kmdf_tests: [(&str, Test); 14] = [
        ("program_runs_at_the_irql_of_its_context", contexts),
        ("early_programs_run_in_add_device_and_start", early_programs),
        ("system_sleep_and_wake_keep_the_rings", system_power),
        ("cancelled_queries_change_nothing", cancelled_queries),
        ("stop_releases_what_lies_on_the_device", stop_and_start),
        ("surprise_removal_and_remove_run_their_programs", removal),
        (
            "fewer_vectors_and_a_line_serve_every_channel",
            channels::interrupts,
        ),
        (
            "impossible_number_of_channels_is_refused",
            channels::impossible_count,
        ),
        ("misuse_is_refused_before_anything_is_called", refusals),
        (
            "deferred_work_and_spin_locks_run_at_their_irql",
            kmdf::deferred_work_and_locks,
        ),
        (
            "queues_hand_out_requests_as_they_are_told",
            kmdf::queues_and_requests,
        ),
        (
            "requests_are_cancelled_on_the_queue_and_in_the_driver",
            kmdf::cancellation,
        ),
        (
            "resources_interface_and_bus_are_there",
            kmdf::device_surroundings,
        ),
        ("registry_keys_keep_what_is_assigned", kmdf::registry),
    ];
    let missing = what_is_missing();
    let wdm_tests = tests.map(|(name, test)| (name.to_owned(), DriverKind::Wdm, test));
    let kmdf_tests =
        kmdf_tests.map(|(name, test)| (format!("kmdf_{name}"), DriverKind::Kmdf, test));
    let trials = wdm_tests
        .into_iter()
        .chain(kmdf_tests)
        .map(|(name, driver, test)| {
            let trial = Trial::test(name, move || test(driver));
            match &missing {
                Some(reason) => trial
                    .with_ignored_flag(true)
                    .with_kind(format!("skipped: {reason}")),
                None => trial,
            }
        });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

/// The first thing that the doctor misses.
fn what_is_missing() -> Option<String> {
    let output = Command::new(DMARIG)
        .args(["doctor", "--json"])
        .output()
        .expect("dmarig starts");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let checks = report["checks"].as_array().expect("a list");
    let missing = checks.iter().find(|check| check["state"] == "missing")?;
    Some(missing["detail"].as_str()?.lines().next()?.to_owned())
}

fn bare(opcode: u16, a: u32, arg: [u64; 5]) -> Step {
    let operation = Operation {
        opcode,
        dst: op::SLOT_NONE,
        a,
        arg,
        ..Operation::default()
    };
    Step {
        operation,
        data: Vec::new(),
    }
}

fn open_adapter() -> Step {
    Step::adapter_open(ADAPTER, 0, DeviceDescription::version_3(64))
}

fn allocate() -> Step {
    Step::buffer_allocate_with_bounds(BUFFER, ADAPTER, LENGTH, None, None)
}

fn transfer(opcode: u16, channel: u32, mode: TransferMode) -> Step {
    Step::device_transfer(Transfer {
        device: 0,
        channel,
        opcode,
        flags: 0,
        mode,
        buffer: BUFFER,
        offset: 0,
        length_bytes: LENGTH,
        seed: SEED,
    })
}

fn verify(channel: u32, mode: TransferMode) -> Step {
    transfer(DMA_OP_VERIFY_PATTERN, channel, mode)
}

/// Adapter, ring and filled buffer.
fn prepare(rig: &mut Rig) {
    let steps = [
        open_adapter(),
        Step::ring_open(RING, 0, ADAPTER, RING_CHANNEL, 4),
        allocate(),
        Step::cpu_fill(BUFFER, 0, LENGTH, SEED),
    ];
    expect_outcomes(&rig.run(&steps), &[op::OUTCOME_DONE; 4]);
}

fn expect_outcomes(ran: &Ran, expected: &[u16]) {
    assert_eq!(ran.outcomes(), expected);
}

/// The transfer at `index` ended well.
fn expect_moved(ran: &Ran, index: usize) -> u64 {
    let result = &ran.results[index];
    assert_eq!(
        result.result.outcome,
        op::OUTCOME_DONE,
        "{}",
        result.describe()
    );
    let value = result.result.value[2];
    assert_eq!(value & 0xffff, u64::from(DMA_STATUS_SUCCESS));
    value
}

fn objects(rig: &mut Rig) -> u64 {
    rig.run(&[Step::query_driver()]).results[0].result.length
}

fn contexts(driver: DriverKind) -> Result<(), Failed> {
    let mut rig = Rig::boot(Setup::of(driver));
    prepare(&mut rig);
    let steps = [
        Step::ping(7),
        Step::pool_allocate(9, LENGTH),
        Step::cpu_check(BUFFER, 0, LENGTH, SEED),
        Step::buffer_free(BUFFER),
    ];
    let (done, wrong) = (op::OUTCOME_DONE, op::OUTCOME_WRONG_IRQL);
    let stall = |microseconds| bare(op::OP_DELAY, 0, [microseconds, 0, 0, 0, 0]);
    let stalls = [stall(STALL_MAX_US), stall(STALL_MAX_US + 1)];
    for context in [mb::CONTEXT_DPC, mb::CONTEXT_ISR] {
        let ran = rig.run_in(context, &stalls);
        expect_outcomes(&ran, &[done, op::OUTCOME_BAD_ARGUMENT]);
    }
    expect_outcomes(&rig.run(&stalls), &[done; 2]);
    let dpc = rig.run_in(mb::CONTEXT_DPC, &steps);
    assert_eq!(dpc.irql, 2);
    expect_outcomes(&dpc, &[done, done, done, wrong]);
    let isr = rig.run_in(mb::CONTEXT_ISR, &steps);
    assert!(isr.irql > 2, "IRQL {}", isr.irql);
    expect_outcomes(&isr, &[done, wrong, done, wrong]);
    let polled = rig.run_in(mb::CONTEXT_DPC, &[verify(0, TransferMode::RegisterPoll)]);
    expect_moved(&polled, 0);
    let dispatch = rig.run_in(
        mb::CONTEXT_DISPATCH,
        &[verify(1, TransferMode::RegisterInterrupt)],
    );
    assert_eq!(dispatch.irql, 0);
    assert_ne!(expect_moved(&dispatch, 0) & INTERRUPT_SEEN, 0);
    rig.finish();
    Ok(())
}

fn early_programs(driver: DriverKind) -> Result<(), Failed> {
    let add_device = [Step::ping(1), open_adapter(), allocate()];
    let write = transfer(DMA_OP_WRITE_PATTERN, 0, TransferMode::RegisterPoll);
    let start_device = [write, Step::cpu_check(BUFFER, 0, LENGTH, SEED)];
    let mut rig = Rig::boot(Setup {
        add_device: &add_device,
        start_device: &start_device,
        ..Setup::of(driver)
    });
    let added = rig
        .fetch(mb::CONTEXT_ADD_DEVICE, &add_device)
        .expect("it has run");
    expect_outcomes(&added, &[op::OUTCOME_DONE; 3]);
    let started = rig
        .fetch(mb::CONTEXT_START_DEVICE, &start_device)
        .expect("it has run");
    expect_moved(&started, 0);
    assert_eq!(
        started.results[1].result.value[1],
        u64::MAX,
        "the CPU sees what the device wrote"
    );
    assert!(rig.fetch(mb::CONTEXT_STOP, &[]).is_none());
    rig.finish();
    Ok(())
}

fn power(driver: DriverKind) -> Result<(), Failed> {
    let mut rig = Rig::boot(Setup::of(driver));
    prepare(&mut rig);
    let by_ring = [verify(RING_CHANNEL, TransferMode::RingInterrupt)];
    rig.store(mb::CONTEXT_D0_EXIT, &by_ring);
    rig.store(mb::CONTEXT_D0_ENTRY, &by_ring);
    rig.command("power d3 dut0");
    expect_moved(
        &rig.fetch(mb::CONTEXT_D0_EXIT, &by_ring)
            .expect("it has run"),
        0,
    );
    expect_outcomes(&rig.run(&by_ring), &[op::OUTCOME_NO_DEVICE]);
    rig.command("power d0 dut0");
    expect_moved(
        &rig.fetch(mb::CONTEXT_D0_ENTRY, &by_ring)
            .expect("it has run"),
        0,
    );
    expect_moved(&rig.run(&by_ring), 0);
    rig.finish();
    Ok(())
}

fn system_power(driver: DriverKind) -> Result<(), Failed> {
    let mut rig = Rig::boot(Setup::of(driver));
    prepare(&mut rig);
    let by_ring = [verify(RING_CHANNEL, TransferMode::RingInterrupt)];
    rig.command("power s3 dut0");
    expect_outcomes(&rig.run(&by_ring), &[op::OUTCOME_NO_DEVICE]);
    rig.command("power s0 dut0");
    expect_moved(&rig.run(&by_ring), 0);
    rig.finish();
    Ok(())
}

/// START, the cancels and SET_POWER pend in the bus driver and end in a DPC: the driver waits for the ones,
/// and finishes the others in a work item.
fn slow_bus(driver: DriverKind) -> Result<(), Failed> {
    let mut rig = Rig::boot(Setup {
        words: "bus=pending",
        ..Setup::of(driver)
    });
    prepare(&mut rig);
    let by_ring = [verify(RING_CHANNEL, TransferMode::RingInterrupt)];
    for line in [
        "power d3 dut0",
        "power d0 dut0",
        "power s3 dut0",
        "power s0 dut0",
        "pnp query-stop dut0",
        "pnp cancel-stop dut0",
        "pnp query-remove dut0",
        "pnp cancel-remove dut0",
    ] {
        rig.command(line);
    }
    expect_moved(&rig.run(&by_ring), 0);
    rig.finish();
    Ok(())
}

fn lost_request(driver: DriverKind) -> Result<(), Failed> {
    let rig = Rig::boot(Setup {
        words: "bus=never irp-deadline=1",
        ..Setup::of(driver)
    });
    rig.end_with("power d3 dut0", "irp-not-completed");
    Ok(())
}

fn cancelled_queries(driver: DriverKind) -> Result<(), Failed> {
    let mut rig = Rig::boot(Setup::of(driver));
    prepare(&mut rig);
    for line in ["query-stop", "cancel-stop", "query-remove", "cancel-remove"] {
        rig.command(&format!("pnp {line} dut0"));
    }
    expect_moved(&rig.run(&[verify(RING_CHANNEL, TransferMode::RingPoll)]), 0);
    rig.finish();
    Ok(())
}

fn stop_and_start(driver: DriverKind) -> Result<(), Failed> {
    let mut rig = Rig::boot(Setup::of(driver));
    prepare(&mut rig);
    expect_outcomes(
        &rig.run(&[Step::pool_allocate(9, LENGTH)]),
        &[op::OUTCOME_DONE],
    );
    let stop = [
        verify(0, TransferMode::RegisterPoll),
        Step::buffer_free(BUFFER),
    ];
    rig.store(mb::CONTEXT_STOP, &stop);
    rig.command("pnp query-stop dut0");
    rig.command("pnp stop dut0");
    let stopped = rig.fetch(mb::CONTEXT_STOP, &stop).expect("it has run");
    expect_outcomes(&stopped, &[op::OUTCOME_NO_DEVICE, op::OUTCOME_DONE]);
    assert_eq!(
        objects(&mut rig),
        1,
        "the memory stays, adapter and ring are gone"
    );
    rig.command("pnp start dut0");
    prepare(&mut rig);
    let moved = rig.run(&[verify(RING_CHANNEL, TransferMode::RingInterrupt)]);
    assert_ne!(expect_moved(&moved, 0) & INTERRUPT_SEEN, 0);
    rig.finish();
    Ok(())
}

fn removal(driver: DriverKind) -> Result<(), Failed> {
    let mut rig = Rig::boot(Setup::of(driver));
    prepare(&mut rig);
    let program = [Step::ping(5), verify(0, TransferMode::RegisterPoll)];
    rig.store(mb::CONTEXT_SURPRISE_REMOVAL, &program);
    rig.store(mb::CONTEXT_REMOVE, &program);
    let ran = [op::OUTCOME_DONE, op::OUTCOME_NO_DEVICE];
    rig.command("pnp surprise-removal dut0");
    let seen = rig
        .fetch(mb::CONTEXT_SURPRISE_REMOVAL, &program)
        .expect("it has run");
    if driver == DriverKind::Wdm {
        // The framework calls EvtDeviceSurpriseRemoval at its own moment, maybe before D0Exit.
        expect_outcomes(&seen, &ran);
    }
    assert!(rig.fetch(mb::CONTEXT_REMOVE, &program).is_none());
    assert_eq!(objects(&mut rig), 0);
    expect_outcomes(&rig.run(&[open_adapter()]), &[op::OUTCOME_NO_DEVICE]);
    rig.command("pnp remove dut0");
    expect_outcomes(
        &rig.fetch(mb::CONTEXT_REMOVE, &program).expect("it has run"),
        &ran,
    );
    expect_outcomes(&rig.run(&[open_adapter()]), &[op::OUTCOME_NO_DEVICE]);
    rig.finish();
    Ok(())
}

fn giving_way(driver: DriverKind) -> Result<(), Failed> {
    let mut rig = Rig::boot(Setup::of(driver));
    // Many minutes, if nobody ended it.
    let steps = [
        Step::repeat(1_000_000, 1),
        bare(op::OP_DELAY, 0, [1000, 0, 0, 0, 0]),
    ];
    let program = dmarig::mailbox::encode(mb::CONTEXT_CONTROL_THREAD, &steps)?;
    let response = rig.call_with_command(program, "power d3 dut0");
    assert_eq!(response[6..8], mb::RESPONSE_TIMEOUT.to_le_bytes());
    rig.command("power d0 dut0");
    prepare(&mut rig);
    rig.finish();
    Ok(())
}

fn control_function(driver: DriverKind) -> Result<(), Failed> {
    let mut rig = Rig::boot(Setup::of(driver));
    prepare(&mut rig);
    for (down, up) in [
        (&["power d3 control"][..], "power d0 control"),
        (
            &["pnp query-stop control", "pnp stop control"][..],
            "pnp start control",
        ),
    ] {
        down.iter().for_each(|line| rig.command(line));
        rig.command(up);
        rig.await_attached();
        expect_moved(&rig.run(&[verify(RING_CHANNEL, TransferMode::RingPoll)]), 0);
    }
    rig.finish();
    Ok(())
}

fn refusals(driver: DriverKind) -> Result<(), Failed> {
    const SLOT: u32 = op::OUTCOME_BAD_SLOT as u32;
    const ARGUMENT: u32 = op::OUTCOME_BAD_ARGUMENT as u32;
    let mut rig = Rig::boot(Setup::of(driver));
    let made = [
        open_adapter(),
        Step::pool_allocate(10, 2 * LENGTH),
        Step::mdl_allocate(11, 10, 0, LENGTH),
    ];
    expect_outcomes(&rig.run(&made), &[op::OUTCOME_DONE; 3]);
    let read = |offset, width| bare(op::OP_DEVICE_READ_REGISTER, 0, [offset, width, 0, 0, 0]);
    for (step, expected) in [
        (Step::pool_allocate(10, LENGTH), SLOT),
        (Step::pool_allocate(op::SLOT_COUNT, LENGTH), SLOT),
        (Step::pool_allocate(12, 1 << 40), ARGUMENT),
        (Step::memory_free(11), SLOT),
        (Step::mdl_allocate(12, 10, LENGTH, LENGTH + 1), ARGUMENT),
        (Step::mdl_allocate(12, 10, u64::MAX, 2), ARGUMENT),
        (Step::mdl_unlock(11), ARGUMENT),
        (Step::mdl_map(11), ARGUMENT),
        (Step::cpu_fill(11, 0, 1, 0), SLOT),
        (Step::cpu_fill(10, u64::MAX, 2, 0), ARGUMENT),
        (Step::buffer_free(12), SLOT),
        (read(2, 4), ARGUMENT),
        (read(0xfffc, 8), ARGUMENT),
        (read(0, 3), ARGUMENT),
        (bare(0x7fff, 0, [0; 5]), u32::from(op::OUTCOME_UNKNOWN)),
    ] {
        let name = format!("{:#06x} {:x?}", step.operation.opcode, step.operation.arg);
        let ran = rig.run(&[step]);
        assert_eq!(
            ran.outcomes().first().map(|outcome| u32::from(*outcome)),
            Some(expected),
            "{name}"
        );
    }
    // A count without configurations goes to the system, which refuses it.
    let mut null_configs = Step::buffer_create_from_mdl(12, ADAPTER, 11, None, None);
    null_configs.operation.arg[0] = 1;
    let ran = rig.run(&[null_configs]);
    expect_outcomes(&ran, &[op::OUTCOME_DONE]);
    assert_eq!(ran.results[0].result.status, STATUS_INVALID_PARAMETER);
    let looped = [
        Step::mdl_chain(11, Some(11)),
        Step::buffer_create_from_mdl(12, ADAPTER, 11, None, None),
    ];
    expect_outcomes(&rig.run(&looped), &[op::OUTCOME_DONE, op::OUTCOME_BAD_SLOT]);
    // Page locking of memory that is gone is refused; tried all the same it raises, and the driver
    // catches it.
    let mut anyway = Step::mdl_probe_and_lock(11);
    anyway.operation.flags |= op::OP_FLAG_OVERRIDE;
    let gone = [
        Step::mdl_chain(11, None),
        Step::memory_free(10),
        Step::mdl_probe_and_lock(11),
        anyway,
        read(REG_ID, 4),
    ];
    let ran = rig.run(&gone);
    let (done, refused, raised) = (
        op::OUTCOME_DONE,
        op::OUTCOME_BAD_ARGUMENT,
        op::OUTCOME_RAISED,
    );
    expect_outcomes(&ran, &[done, done, refused, raised, done]);
    assert_eq!(ran.results[4].result.value[0], u64::from(DUT_ID_VALUE));
    for bytes in [vec![1], vec![0; 0x7000]] {
        assert_eq!(rig.call(bytes)[6..8], mb::RESPONSE_MALFORMED.to_le_bytes());
    }
    rig.finish();
    Ok(())
}
