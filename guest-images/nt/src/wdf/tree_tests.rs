//! Order and number of the steps of a deletion.

use std::cell::RefCell;
use std::vec::Vec;

use super::super::attributes::Attributes;
use super::super::object::Kind;
use super::*;

std::thread_local! {
    static STEPS: RefCell<Vec<(&'static str, u64)>> = const { RefCell::new(Vec::new()) };
}

fn note(step: &'static str, handle: u64) {
    STEPS.with(|steps| steps.borrow_mut().push((step, handle)));
}

fn steps() -> Vec<(&'static str, u64)> {
    STEPS.with(|steps| steps.take())
}

static KIND: Kind = Kind {
    on_dispose: |handle| note("dispose", handle.raw()),
    on_destroy: |handle| note("forget", handle.raw()),
    ..Kind::new("WDFTEST")
};

extern "win64" fn cleanup(handle: u64) {
    note("cleanup", handle);
}

extern "win64" fn destroy(handle: u64) {
    note("destroy", handle);
}

fn make(parent: Option<Handle>) -> Handle {
    let attributes = Attributes {
        cleanup: (cleanup as *const ()).expose_provenance() as u64,
        destroy: (destroy as *const ()).expose_provenance() as u64,
        ..Attributes::NONE
    };
    object::create(&KIND, &attributes, parent).expect("memory")
}

#[test]
fn children_are_cleaned_up_before_parents_and_destroyed_before_them() {
    let parent = make(None);
    let [first, second] = [make(Some(parent)), make(Some(parent))];
    let below = make(Some(first));
    delete(parent);
    let order = [below, first, second, parent].map(Handle::raw);
    let mut expected = Vec::new();
    for handle in order {
        expected.extend([("dispose", handle), ("cleanup", handle)]);
    }
    for handle in order {
        expected.extend([("destroy", handle), ("forget", handle)]);
    }
    assert_eq!(steps(), expected);
}

#[test]
fn referenced_child_outlives_its_parent_and_is_cleaned_up_once() {
    let parent = make(None);
    let child = make(Some(parent));
    object::reference(child);
    delete(parent);
    let raw = child.raw();
    let of_child = |steps: Vec<(&'static str, u64)>| -> Vec<&str> {
        steps
            .into_iter()
            .filter(|(_, handle)| *handle == raw)
            .map(|(step, _)| step)
            .collect()
    };
    assert_eq!(of_child(steps()), ["dispose", "cleanup"]);
    dereference(child);
    assert_eq!(of_child(steps()), ["destroy", "forget"]);
    assert!(object::kind_of(child).is_none());
}

#[test]
fn second_deletion_does_nothing() {
    let object = make(None);
    object::reference(object);
    delete(object);
    delete(object);
    dereference(object);
    assert_eq!(steps().len(), 4);
}

#[test]
fn child_deleted_alone_leaves_its_parent() {
    let parent = make(None);
    let child = make(Some(parent));
    delete(child);
    assert_eq!(steps().len(), 4);
    delete(parent);
    assert_eq!(steps().len(), 4, "only the parent's own");
}

#[test]
fn discarded_object_goes_without_the_drivers_callbacks() {
    let object = make(None);
    discard(object);
    let names: Vec<&str> = steps().into_iter().map(|(step, _)| step).collect();
    assert_eq!(names, ["dispose", "forget"]);
}

#[test]
#[should_panic(expected = "the guest would leave with")]
fn reference_that_evt_destroy_gives_back_is_a_finding() {
    let object = make(None);
    object::with(object, |record| {
        (record.references, record.state) = (0, State::Deleted);
    });
    dereference(object);
}
