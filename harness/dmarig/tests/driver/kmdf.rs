//! The framework beyond DMA, as the KMDF driver sees it: deferred work, locks, queues, requests, and what a
//! device has besides.

use contract::{
    Creation, Deferred, DriverKind, QueueConfig, QueueDispatch, QueueMode, Request, Step,
    StepResult,
};
use dmarig_abi::KmdfLogEntry;
use dmarig_abi::operation as op;
use dmarig_abi::operation_kmdf_io as io;
use dmarig_abi::registers::{DUT_MSIX_VECTORS, PCI_DEVICE_ID_DUT, PCI_VENDOR_ID};
use libtest_mimic::Failed;
use zerocopy::FromBytes;

use crate::rig::{Rig, Setup};
use crate::{bare, expect_outcomes};

const STATUS_CANCELLED: u32 = 0xc000_0120;
const STATUS_NO_MORE_ENTRIES: u32 = 0x8000_001a;
const STATUS_OBJECT_NAME_NOT_FOUND: u64 = 0xc000_0034;
const STATUS_END_OF_FILE: u32 = 0xc000_0011;
/// Slots.
const QUEUE: u32 = 10;
const MANUAL: u32 = 11;
const SENT: u32 = 20;
const HELD: u32 = 30;
/// A buffered control code of a device of type "unknown".
const CONTROL_CODE: u32 = 0x22_2000;

fn delay_ms(milliseconds: u64) -> Step {
    bare(op::OP_DELAY, 0, [milliseconds * 1000, 0, 0, 0, 0])
}

/// Runs one step, which must be carried out.
fn one(rig: &mut Rig, step: Step) -> StepResult {
    let ran = rig.run(&[step]);
    expect_outcomes(&ran, &[op::OUTCOME_DONE]);
    ran.results[0].clone()
}

/// Runs one step, whose call must succeed.
fn good(rig: &mut Rig, step: Step) -> StepResult {
    let result = one(rig, step);
    assert!(result.is_success(), "{}", result.describe());
    result
}

/// The callbacks of a kind since the log was emptied.
fn events(rig: &mut Rig, event: u16) -> Vec<KmdfLogEntry> {
    let read = one(rig, Step::log_read(0));
    read.data
        .chunks_exact(size_of::<KmdfLogEntry>())
        .map(|bytes| KmdfLogEntry::read_from_bytes(bytes).expect("chunks of its size"))
        .filter(|entry| entry.event == event)
        .collect()
}

pub fn deferred_work_and_locks(driver: DriverKind) -> Result<(), Failed> {
    let mut rig = Rig::boot(Setup::of(driver));
    for (slot, kind, irql) in [
        (1, Deferred::WorkItem, 0),
        (2, Deferred::Timer(0), 2),
        (3, Deferred::Dpc, 2),
    ] {
        good(&mut rig, Step::deferred_create(slot, 0, kind));
        good(&mut rig, Step::log_clear());
        good(&mut rig, Step::deferred_start(slot, 2000));
        one(&mut rig, delay_ms(50));
        let stopped = good(&mut rig, Step::deferred_stop(slot));
        assert_eq!(stopped.result.value[1], 1, "{kind:?} has run once");
        let seen = events(&mut rig, io::KMDF_EVENT_DEFERRED);
        assert_eq!(seen.len(), 1, "{kind:?}");
        assert_eq!((seen[0].slot, seen[0].value), (slot, irql), "{kind:?}");
    }
    // A timer that is far away is stopped before it runs; a periodic one runs again and again.
    good(&mut rig, Step::deferred_create(4, 0, Deferred::Timer(0)));
    let first = good(&mut rig, Step::deferred_start(4, 60_000_000));
    let second = good(&mut rig, Step::deferred_start(4, 60_000_000));
    assert_eq!((first.result.value[0], second.result.value[0]), (0, 1));
    let stopped = good(&mut rig, Step::deferred_stop(4));
    assert_eq!(stopped.result.value[..2], [1, 0]);
    good(&mut rig, Step::deferred_create(5, 0, Deferred::Timer(5)));
    good(&mut rig, Step::deferred_start(5, 1000));
    one(&mut rig, delay_ms(100));
    let stopped = good(&mut rig, Step::deferred_stop(5));
    assert!(stopped.result.value[1] > 2, "{}", stopped.result.value[1]);

    good(&mut rig, Step::spin_lock_create(6, 0));
    let tried = good(&mut rig, Step::spin_lock_try(6));
    assert_eq!(tried.result.value[..2], [2, 0]);
    good(&mut rig, Step::wait_lock_create(7, 0));
    for _ in 0..2 {
        let acquired = good(&mut rig, Step::wait_lock_acquire(7, 0));
        assert_eq!(acquired.result.status, 0);
        good(&mut rig, Step::wait_lock_release(7));
    }
    rig.finish();
    Ok(())
}

fn default_queue(dispatch: QueueDispatch, mode: QueueMode) -> Step {
    let config = QueueConfig::new(dispatch, true);
    Step::queue_create(QUEUE, 0, config, mode, Creation::default())
}

/// Boots with the queues that EvtDriverDeviceAdd makes.
fn boot_with(driver: DriverKind, queues: &[Step]) -> Rig {
    let mut rig = Rig::boot(Setup {
        add_device: queues,
        ..Setup::of(driver)
    });
    let added = rig
        .fetch(dmarig_abi::mailbox::CONTEXT_ADD_DEVICE, queues)
        .expect("it has run");
    for result in &added.results {
        assert!(result.is_success(), "{}", result.describe());
    }
    rig
}

/// Status, information and data of a request that was sent.
fn end_of(rig: &mut Rig, sent: u32) -> (u32, u64, Vec<u8>) {
    let ended = one(rig, Step::request_wait(sent, 1000));
    (ended.result.status, ended.result.length, ended.data)
}

fn waits(rig: &mut Rig, sent: u32) {
    expect_outcomes(
        &rig.run(&[Step::request_wait(sent, 0)]),
        &[op::OUTCOME_TIMEOUT],
    );
}

pub fn queues_and_requests(driver: DriverKind) -> Result<(), Failed> {
    // At once, by the callback.
    let filled = |length| vec![io::KMDF_FILL_BYTE; length];
    let complete = default_queue(QueueDispatch::Parallel, QueueMode::Complete(0));
    let mut rig = boot_with(driver, &[complete]);
    for (request, information, data) in [
        (Request::Read(100), 100, filled(100)),
        (Request::Write(vec![1; 30]), 30, Vec::new()),
        (
            Request::Control(CONTROL_CODE, vec![2; 8], 24),
            24,
            filled(24),
        ),
        (
            Request::InternalControl(CONTROL_CODE, vec![3; 8], 16),
            16,
            filled(16),
        ),
    ] {
        good(&mut rig, Step::request_send(SENT, 0, request.clone()));
        assert_eq!(
            end_of(&mut rig, SENT),
            (0, information, data),
            "{request:?}"
        );
    }
    rig.finish();

    // Sequential: the second comes when the first is done. Parallel: both come at once.
    for (dispatch, at_once) in [(QueueDispatch::Sequential, 1), (QueueDispatch::Parallel, 2)] {
        let mut rig = boot_with(driver, &[default_queue(dispatch, QueueMode::Keep)]);
        good(&mut rig, Step::log_clear());
        for sent in [SENT, SENT + 1] {
            good(
                &mut rig,
                Step::request_send(sent, 0, Request::Write(vec![7; 5])),
            );
        }
        assert_eq!(
            events(&mut rig, io::KMDF_EVENT_REQUEST).len(),
            at_once,
            "{dispatch:?}"
        );
        let owned = good(
            &mut rig,
            Step::queue_control(QUEUE, io::KMDF_QUEUE_CONTROL_QUERY),
        );
        assert_eq!(
            owned.result.value[1..],
            [2 - at_once as u64, at_once as u64]
        );
        for (sent, held, status) in [(SENT, HELD, 0), (SENT + 1, HELD + 1, STATUS_END_OF_FILE)] {
            waits(&mut rig, sent);
            good(&mut rig, Step::request_take_kept(held, QUEUE));
            let query = good(&mut rig, Step::request_query(held));
            assert_eq!((query.result.value[1], query.data), (5, vec![7; 5]));
            good(
                &mut rig,
                Step::request_complete(held, status, 5, Vec::new()),
            );
            assert_eq!(end_of(&mut rig, sent), (status, 5, Vec::new()));
        }
        assert_eq!(events(&mut rig, io::KMDF_EVENT_REQUEST).len(), 2);
        rig.finish();
    }

    // Forwarded to a manual queue, retrieved and completed with data.
    let manual = QueueConfig::new(QueueDispatch::Manual, false);
    let queues = [
        Step::queue_create(MANUAL, 0, manual, QueueMode::Keep, Creation::default()),
        default_queue(QueueDispatch::Parallel, QueueMode::Forward(MANUAL)),
    ];
    let mut rig = boot_with(driver, &queues);
    let none = one(&mut rig, Step::request_retrieve(HELD, MANUAL));
    assert_eq!(none.result.status, STATUS_NO_MORE_ENTRIES);
    good(&mut rig, Step::request_send(SENT, 0, Request::Read(4)));
    waits(&mut rig, SENT);
    good(&mut rig, Step::request_retrieve(HELD, MANUAL));
    good(
        &mut rig,
        Step::request_complete(HELD, 0, 4, vec![9, 8, 7, 6]),
    );
    assert_eq!(end_of(&mut rig, SENT), (0, 4, vec![9, 8, 7, 6]));
    rig.finish();
    Ok(())
}

pub fn cancellation(driver: DriverKind) -> Result<(), Failed> {
    let manual = |is_default| QueueConfig::new(QueueDispatch::Manual, is_default);
    let create = |slot, is_default| {
        let creation = Creation::default();
        Step::queue_create(slot, 0, manual(is_default), QueueMode::Keep, creation)
    };
    let mut rig = boot_with(driver, &[create(QUEUE, true), create(MANUAL, false)]);
    let cancelled = (STATUS_CANCELLED, 0, Vec::new());
    good(&mut rig, Step::log_clear());
    // On the queue: the framework completes it, as the driver has never seen it.
    good(&mut rig, Step::request_send(SENT, 0, Request::Read(4)));
    good(&mut rig, Step::request_cancel(SENT));
    assert_eq!(end_of(&mut rig, SENT), cancelled);
    assert_eq!(events(&mut rig, io::KMDF_EVENT_CANCELED_ON_QUEUE), []);
    // On a queue to which the driver has forwarded it: EvtIoCanceledOnQueue completes it.
    good(&mut rig, Step::request_send(SENT, 0, Request::Read(4)));
    good(&mut rig, Step::request_retrieve(HELD, QUEUE));
    good(&mut rig, Step::request_forward(HELD, MANUAL));
    good(&mut rig, Step::request_cancel(SENT));
    assert_eq!(end_of(&mut rig, SENT), cancelled);
    let seen = events(&mut rig, io::KMDF_EVENT_CANCELED_ON_QUEUE);
    assert_eq!(
        seen.iter().map(|entry| entry.slot).collect::<Vec<_>>(),
        [MANUAL]
    );
    // In the driver's hands: not before it is marked.
    good(&mut rig, Step::request_send(SENT, 0, Request::Read(4)));
    good(&mut rig, Step::request_retrieve(HELD, QUEUE));
    good(&mut rig, Step::request_mark_cancelable(HELD));
    waits(&mut rig, SENT);
    good(&mut rig, Step::request_cancel(SENT));
    assert_eq!(end_of(&mut rig, SENT), cancelled);
    assert_eq!(events(&mut rig, io::KMDF_EVENT_REQUEST_CANCELED).len(), 1);
    // Cancelled before it is marked: the mark fails, and the driver completes it.
    good(&mut rig, Step::request_send(SENT, 0, Request::Read(4)));
    good(&mut rig, Step::request_retrieve(HELD, QUEUE));
    good(&mut rig, Step::request_cancel(SENT));
    waits(&mut rig, SENT);
    let marked = one(&mut rig, Step::request_mark_cancelable(HELD));
    assert_eq!(marked.result.status, STATUS_CANCELLED);
    good(
        &mut rig,
        Step::request_complete(HELD, STATUS_CANCELLED, 0, Vec::new()),
    );
    assert_eq!(end_of(&mut rig, SENT), cancelled);
    // Unmarked again it is the driver's to complete.
    good(&mut rig, Step::request_send(SENT, 0, Request::Read(4)));
    good(&mut rig, Step::request_retrieve(HELD, QUEUE));
    good(&mut rig, Step::request_mark_cancelable(HELD));
    good(&mut rig, Step::request_unmark_cancelable(HELD));
    good(&mut rig, Step::request_complete(HELD, 0, 0, Vec::new()));
    assert_eq!(end_of(&mut rig, SENT), (0, 0, Vec::new()));
    // A purged queue gives back what waits, and refuses what comes.
    good(&mut rig, Step::request_send(SENT, 0, Request::Read(4)));
    good(
        &mut rig,
        Step::queue_control(QUEUE, io::KMDF_QUEUE_CONTROL_PURGE),
    );
    assert_eq!(end_of(&mut rig, SENT), cancelled);
    good(&mut rig, Step::request_send(SENT, 0, Request::Read(4)));
    let (status, ..) = end_of(&mut rig, SENT);
    assert!(status >= 0xc000_0000, "{status:#x}");
    good(
        &mut rig,
        Step::queue_control(QUEUE, io::KMDF_QUEUE_CONTROL_START),
    );
    good(&mut rig, Step::request_send(SENT, 0, Request::Read(4)));
    waits(&mut rig, SENT);
    // What is left is ended with everything else.
    good(&mut rig, Step::release_all());
    rig.finish();
    Ok(())
}

pub fn device_surroundings(driver: DriverKind) -> Result<(), Failed> {
    const MEMORY: u8 = 3;
    const INTERRUPT: u8 = 2;
    let mut rig = Rig::boot(Setup::of(driver));
    let resources = good(&mut rig, Step::resources(0));
    let types: Vec<u8> = resources.data.chunks_exact(0x14).map(|d| d[0]).collect();
    assert_eq!(resources.result.value[..2], [types.len() as u64, 1]);
    let count = |kind| types.iter().filter(|seen| **seen == kind).count();
    assert_eq!(count(INTERRUPT), usize::from(DUT_MSIX_VECTORS));
    assert!(count(MEMORY) >= 1, "{types:?}");

    good(&mut rig, Step::device_interface(0));

    let bus = good(&mut rig, Step::bus_data(0, 0, 64));
    assert_eq!(bus.result.value[0], 64);
    assert_eq!(bus.data[..2], PCI_VENDOR_ID.to_le_bytes());
    assert_eq!(bus.data[2..4], PCI_DEVICE_ID_DUT.to_le_bytes());
    rig.finish();
    Ok(())
}

pub fn registry(driver: DriverKind) -> Result<(), Failed> {
    let mut rig = Rig::boot(Setup::of(driver));
    for (step, value) in [
        (Step::registry_parameters(0, 0x1234), 0x1234),
        (Step::registry_device(0, 0x5678), 0x5678),
    ] {
        let round_trip = good(&mut rig, step);
        assert_eq!(
            round_trip.result.value[..2],
            [value, STATUS_OBJECT_NAME_NOT_FOUND]
        );
    }
    rig.finish();
    Ok(())
}
