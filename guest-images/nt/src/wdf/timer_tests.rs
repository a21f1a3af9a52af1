//! Timers. On the host no clock ticks: a test calls the DPC routine of one that would be due.

use core::sync::atomic::{AtomicU64, Ordering};

use super::super::tree;
use super::*;
use crate::ke::irql;
use crate::ntoskrnl::shared::address_of;

/// An hour from now.
const LATER: i64 = -36_000_000_000;

fn device() -> Handle {
    object::create(&super::super::device::KIND, &Attributes::NONE, None).expect("memory")
}

/// WDF_OBJECT_ATTRIBUTES with a parent and an execution level.
fn attributes(parent: Handle, level: u64) -> [Cell<u64>; 7] {
    [0x38, 0, 0, level | (1 << 32), parent.raw(), 0, 0].map(Cell::new)
}

fn make(
    parent: Handle,
    level: u64,
    config: [u64; 5],
    callback: extern "win64" fn(u64),
) -> (NtStatus, u64) {
    let mut config = config;
    config[1] = (callback as *const ()).expose_provenance() as u64;
    let (config, attributes) = (config.map(Cell::new), attributes(parent, level));
    let out = Cell::new(0u64);
    let status = create(
        0,
        address_of(&config),
        address_of(&attributes),
        address_of(&out),
    );
    (status, out.get())
}

extern "win64" fn nothing(_timer: u64) {}

#[test]
fn timer_is_set_stopped_and_gone_with_its_parent() {
    let device = device();
    let (status, timer) = make(device, 1, [0x28, 0, 0, 0, 0], nothing);
    assert_eq!(status, status::SUCCESS);
    assert_eq!((start(0, timer, LATER), start(0, timer, LATER)), (0, 1));
    assert_eq!((stop_timer(0, timer, 1), stop_timer(0, timer, 0)), (1, 0));
    assert_eq!(parent_object(0, timer), device.raw());
    start(0, timer, LATER);
    let record = TIMERS.get(Handle::from_raw(timer)).expect("a record");
    tree::delete(device);
    let range = record.timer..record.timer + MEMORY_BYTES;
    assert_eq!(timer::set_within(&range), None);
}

#[test]
fn passive_timer_comes_at_passive_level_from_the_worker() {
    static LAST: AtomicU64 = AtomicU64::new(0);
    extern "win64" fn note(timer: u64) {
        assert_eq!(irql::current(), PASSIVE_LEVEL);
        LAST.store(timer, Ordering::Relaxed);
    }
    let device = device();
    let (status, timer) = make(device, 2, [0x20, 0, 0, 0, 0], note);
    assert_eq!(status, status::SUCCESS);
    irql::at(DISPATCH_LEVEL, || expired(0, timer, 0, 0));
    assert_eq!(LAST.load(Ordering::Relaxed), 0, "not in the DPC");
    stop_timer(0, timer, 1);
    assert_eq!(LAST.load(Ordering::Relaxed), timer);
    tree::delete(device);
}

#[test]
fn broken_configuration_is_refused() {
    let device = device();
    let check = |level, config, expected| {
        assert_eq!(
            make(device, level, config, nothing),
            (expected, 0),
            "{config:x?}"
        );
    };
    check(1, [0x30, 0, 0, 0, 0], status::INFO_LENGTH_MISMATCH);
    check(1, [0x28, 0, 0x8000_0000, 0, 0], status::INVALID_PARAMETER);
    check(1, [0x28, 0, 0, 1, 1], status::INVALID_PARAMETER);
    check(2, [0x28, 0, 10, 0, 0], status::NOT_SUPPORTED);
    tree::delete(device);
}
