//! The callback locks.

use super::super::attributes::Attributes;
use super::super::object::Kind;
use super::super::tree;
use super::*;
use crate::ke::irql::PASSIVE_LEVEL;

static DEVICE: Kind = Kind {
    on_destroy: detach,
    ..Kind::new("WDFDEVICE")
};

fn device(scope: Scope) -> Handle {
    let attributes = Attributes {
        scope,
        ..Attributes::NONE
    };
    let device = object::create(&DEVICE, &attributes, None).expect("memory");
    assert!(attach(device));
    device
}

#[test]
fn spin_lock_raises_to_dispatch_level_and_back() {
    let device = device(Scope::Device);
    acquire("test", device);
    assert_eq!(irql::current(), DISPATCH_LEVEL);
    release("test", device);
    assert_eq!(irql::current(), PASSIVE_LEVEL);
    assert_eq!(guarded(device, irql::current), DISPATCH_LEVEL);
    tree::delete(device);
}

#[test]
fn scope_chooses_the_lock() {
    let outer = device(Scope::Device);
    let inner = object::create(&DEVICE, &Attributes::NONE, Some(outer)).expect("memory");
    assert!(attach(inner));
    assert_eq!(guard_of(inner), Some(outer), "the device's, not its own");
    let attributes = Attributes {
        scope: Scope::Queue,
        ..Attributes::NONE
    };
    let queue = object::create(&DEVICE, &attributes, Some(outer)).expect("memory");
    assert!(attach(queue));
    assert_eq!(guard_of(queue), Some(queue));
    assert_eq!(guarded(device(Scope::None), irql::current), PASSIVE_LEVEL);
    tree::delete(outer);
}

#[test]
#[should_panic(expected = "bug check 0x10d [\n    0x2")]
fn second_acquisition_is_a_bug_check() {
    let device = device(Scope::Device);
    acquire("test", device);
    acquire("test", device);
}

#[test]
#[should_panic(expected = "bug check 0x10d [\n    0xb")]
fn release_of_a_free_lock_is_a_bug_check() {
    release("test", device(Scope::Device));
}
