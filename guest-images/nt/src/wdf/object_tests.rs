//! Handles, the tree's lines, inherited level and scope.

use super::super::attributes::ContextType;
use super::super::{object_functions, tree};
use super::*;
use core::cell::Cell;

static DEVICE: Kind = Kind::new("WDFDEVICE");
static QUEUE: Kind = Kind::new("WDFQUEUE");

fn make(kind: &'static Kind, parent: Option<Handle>) -> Handle {
    create(kind, &Attributes::NONE, parent).expect("memory")
}

#[test]
fn handle_leads_to_its_object_and_the_parents_above() {
    let device = make(&DEVICE, None);
    let queue = make(&QUEUE, Some(device));
    let object = make(&DEVICE, Some(queue));
    assert_eq!(check("test", queue.raw(), &QUEUE), queue);
    assert_eq!(nearest(object, &QUEUE), Some(queue));
    assert_eq!(nearest(device, &QUEUE), None);
    assert_eq!(children_of(device, &QUEUE), [queue]);
    assert_eq!(children_of(device, &DEVICE), []);
    tree::delete(device);
    assert!(kind_of(object).is_none());
}

#[test]
fn level_and_scope_come_from_the_nearest_object_that_says() {
    let attributes = Attributes {
        execution_level: ExecutionLevel::Passive,
        scope: Scope::Device,
        ..Attributes::NONE
    };
    let device = create(&DEVICE, &attributes, None).expect("memory");
    let queue = make(&QUEUE, Some(device));
    assert_eq!(execution_level(queue), ExecutionLevel::Passive);
    assert_eq!(synchronization_scope(queue), Scope::Device);
    let alone = make(&QUEUE, None);
    assert_eq!(execution_level(alone), ExecutionLevel::Dispatch);
    assert_eq!(synchronization_scope(alone), Scope::None);
    tree::delete(device);
    tree::delete(alone);
}

#[test]
fn objects_below_a_deleted_parent_are_refused() {
    let device = make(&DEVICE, None);
    reference(device);
    tree::delete(device);
    let refused = create(&QUEUE, &Attributes::NONE, Some(device));
    assert_eq!(refused, Err(status::DELETE_PENDING));
    tree::dereference(device);
}

#[test]
fn tree_that_would_be_too_deep_to_delete_is_refused() {
    let top = make(&DEVICE, None);
    let mut lowest = top;
    for _ in 1..MAX_DEPTH {
        lowest = make(&QUEUE, Some(lowest));
    }
    let refused = create(&QUEUE, &Attributes::NONE, Some(lowest));
    assert_eq!(refused, Err(status::INSUFFICIENT_RESOURCES));
    assert_eq!(nearest(lowest, &DEVICE), Some(top));
    tree::delete(top);
    assert!(kind_of(lowest).is_none());
}

#[test]
#[should_panic(expected = "bug check 0x10d")]
fn handle_of_another_kind_is_a_bug_check() {
    let device = make(&DEVICE, None);
    let _ = check("test", device.raw(), &QUEUE);
}

#[test]
#[should_panic(expected = "bug check 0x10d")]
fn handle_of_a_deleted_object_is_a_bug_check() {
    let device = make(&DEVICE, None);
    tree::delete(device);
    let _ = check_any("test", device.raw());
}

#[test]
#[should_panic(expected = "bug check 0x10d")]
fn wild_pointer_is_a_bug_check() {
    let _ = check_any("test", 0xFFFF_9000_0000_0000);
}

#[test]
fn contexts_are_zero_and_found_by_type_and_by_address() {
    let mut attributes = Attributes {
        context: Some(ContextType {
            identity: 0x111,
            len_bytes: 64,
        }),
        ..Attributes::NONE
    };
    let device = create(&DEVICE, &attributes, None).expect("memory");
    let first = context::find(device, 0x111).expect("it has the context");
    assert_eq!(crate::ntoskrnl::shared::read_bytes(first, 64), [0; 64]);
    assert_eq!(context::find(device, 0x222), None);
    attributes.context = Some(ContextType {
        identity: 0x222,
        len_bytes: 0,
    });
    let second = context::add(device, &attributes).expect("memory");
    let again = context::add(device, &attributes);
    assert_eq!(again, Err((status::OBJECT_NAME_EXISTS, second)));
    assert_eq!(context::owner(second), Some(device));
    assert_eq!(object_functions::context_object(0, first), device.raw());
    tree::delete(device);
    assert_eq!(context::owner(first), None);
}

#[test]
fn functions_create_reference_and_delete() {
    let out = Cell::new(0u64);
    let out_address = core::ptr::from_ref(&out).expose_provenance() as u64;
    assert_eq!(object_functions::create(0, 0, out_address), status::SUCCESS);
    let handle = out.get();
    object_functions::reference(0, handle, 0, 0, 0);
    object_functions::delete(0, handle);
    assert_eq!(check_any("still referenced", handle).raw(), handle);
    let left = live()
        .into_iter()
        .find(|(object, ..)| object.raw() == handle);
    let (_, kind, references) = left.expect("what is left over counts as a leak");
    assert_eq!((kind, references), ("WDFOBJECT", 1));
    object_functions::dereference(0, handle, 0, 0, 0);
    assert!(!live().iter().any(|(object, ..)| object.raw() == handle));
}
