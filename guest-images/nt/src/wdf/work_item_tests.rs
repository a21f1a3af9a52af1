//! Work items. On the host a wait makes the calls that are due, for there is no worker thread.

use core::sync::atomic::{AtomicU32, Ordering};

use super::super::attributes::Scope;
use super::super::{lock, tree};
use super::*;
use crate::ke::irql;
use crate::ntoskrnl::shared::address_of;

static OTHER: Kind = Kind::new("WDFOBJECT");

fn device(scope: Scope) -> Handle {
    let attributes = Attributes {
        scope,
        ..Attributes::NONE
    };
    let device = object::create(&super::super::device::KIND, &attributes, None).expect("memory");
    assert!(lock::attach(device));
    device
}

/// WDF_OBJECT_ATTRIBUTES with a parent.
fn attributes(parent: Handle) -> [Cell<u64>; 7] {
    [0x38, 0, 0, 1 | (1 << 32), parent.raw(), 0, 0].map(Cell::new)
}

fn make(parent: Handle, callback: extern "win64" fn(u64), is_serialized: u64) -> (NtStatus, u64) {
    let callback = (callback as *const ()).expose_provenance() as u64;
    let config = [0x18, callback, is_serialized].map(Cell::new);
    let (attributes, out) = (attributes(parent), Cell::new(0u64));
    let status = create(
        0,
        address_of(&config),
        address_of(&attributes),
        address_of(&out),
    );
    (status, out.get())
}

#[test]
fn item_runs_once_for_what_is_enqueued_together_and_deletion_waits() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    extern "win64" fn count(_item: u64) {
        assert_eq!(irql::current(), PASSIVE_LEVEL);
        RUNS.fetch_add(1, Ordering::Relaxed);
    }
    let device = device(Scope::None);
    let (status, item) = make(device, count, 1);
    assert_eq!(status, status::SUCCESS);
    assert_eq!(parent_object(0, item), device.raw());
    enqueue(0, item);
    enqueue(0, item);
    flush(0, item);
    assert_eq!(RUNS.load(Ordering::Relaxed), 1);
    enqueue(0, item);
    tree::delete(device);
    assert_eq!(RUNS.load(Ordering::Relaxed), 2, "the deletion waited");
}

#[test]
fn item_may_enqueue_and_delete_itself_from_its_callback() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    extern "win64" fn again(item: u64) {
        match RUNS.fetch_add(1, Ordering::Relaxed) {
            0 => enqueue(0, item),
            _ => tree::delete(Handle::from_raw(item)),
        }
    }
    let device = device(Scope::None);
    let (_, item) = make(device, again, 0);
    enqueue(0, item);
    flush(0, item);
    assert_eq!(RUNS.load(Ordering::Relaxed), 2);
    assert!(!object::is_live(Handle::from_raw(item)));
    tree::delete(device);
}

#[test]
fn broken_requests_are_refused() {
    extern "win64" fn nothing(_item: u64) {}
    let device = device(Scope::Device);
    let spin = status::WDF_INCOMPATIBLE_EXECUTION_LEVEL;
    assert_eq!(make(device, nothing, 1), (spin, 0));
    let alone = object::create(&OTHER, &Attributes::NONE, None).expect("memory");
    assert_eq!(make(alone, nothing, 0).0, status::INVALID_DEVICE_REQUEST);
    let (config, out) = ([0x20u64, 1, 0].map(Cell::new), Cell::new(0u64));
    let of_device = attributes(device);
    let status = create(
        0,
        address_of(&config),
        address_of(&of_device),
        address_of(&out),
    );
    assert_eq!(status, status::INFO_LENGTH_MISMATCH);
    let status = create(0, address_of(&config), 0, address_of(&out));
    assert_eq!(status, status::WDF_PARENT_NOT_SPECIFIED);
    tree::delete(device);
    tree::delete(alone);
}
