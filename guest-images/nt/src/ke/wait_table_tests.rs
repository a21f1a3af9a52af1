//! The wait table on objects in host memory.

use super::super::dispatcher::ObjectType;
use super::super::foreign::leak;
use super::*;

fn object(object_type: ObjectType, state: i32) -> Foreign<DispatcherHeader> {
    let header = leak(DispatcherHeader::default());
    header.initialize(object_type, 0x18, state);
    header
}

fn wait(thread: u64, objects: &[Foreign<DispatcherHeader>], kind: WaitKind) -> Wait {
    Wait {
        thread,
        objects: objects.to_vec(),
        kind,
        deadline: None,
    }
}

fn woken(thread: u64, status: u32) -> Woken {
    Woken {
        thread,
        status: NtStatus(status),
    }
}

#[test]
fn synchronization_event_wakes_the_oldest_wait_alone() {
    let event = object(ObjectType::SYNCHRONIZATION_EVENT, 0);
    let mut table = WaitTable::new();
    table.add(wait(1, &[event], WaitKind::Any));
    table.add(wait(2, &[event], WaitKind::Any));

    event.set_state(1);
    assert_eq!(table.on_signal(event), [woken(1, 0)]);
    assert_eq!(event.state(), 0);
    event.set_state(1);
    assert_eq!(table.on_signal(event), [woken(2, 0)]);
    event.set_state(1);
    assert_eq!(table.on_signal(event), []);
    assert_eq!(event.state(), 1, "nobody took it");
}

#[test]
fn notification_event_wakes_all_and_stays_set() {
    let event = object(ObjectType::NOTIFICATION_EVENT, 1);
    let mut table = WaitTable::new();
    table.add(wait(1, &[event], WaitKind::Any));
    table.add(wait(2, &[event], WaitKind::Any));
    assert_eq!(table.on_signal(event), [woken(1, 0), woken(2, 0)]);
    assert_eq!(event.state(), 1);
}

#[test]
fn semaphore_wakes_as_many_as_it_counts() {
    let semaphore = object(ObjectType::SEMAPHORE, 2);
    let mut table = WaitTable::new();
    for thread in 1..=3 {
        table.add(wait(thread, &[semaphore], WaitKind::Any));
    }
    assert_eq!(table.on_signal(semaphore), [woken(1, 0), woken(2, 0)]);
    assert_eq!(semaphore.state(), 0);
}

#[test]
fn wait_for_any_tells_which_and_takes_only_that() {
    let first = object(ObjectType::SYNCHRONIZATION_EVENT, 0);
    let second = object(ObjectType::SYNCHRONIZATION_EVENT, 1);
    let any = wait(1, &[first, second, second], WaitKind::Any);
    assert_eq!(any.try_take(), Some(NtStatus(1)));
    assert_eq!((first.state(), second.state()), (0, 0));
    assert_eq!(any.try_take(), None);
}

#[test]
fn wait_for_all_takes_nothing_until_it_takes_everything() {
    let first = object(ObjectType::SYNCHRONIZATION_EVENT, 1);
    let second = object(ObjectType::SEMAPHORE, 0);
    let mut table = WaitTable::new();
    table.add(wait(1, &[first, second], WaitKind::All));

    assert_eq!(table.on_signal(first), []);
    assert_eq!(first.state(), 1, "not taken alone");
    second.set_state(3);
    assert_eq!(table.on_signal(second), [woken(1, 0)]);
    assert_eq!((first.state(), second.state()), (0, 2));
}

#[test]
fn waits_end_at_their_deadline_and_not_before() {
    let event = object(ObjectType::NOTIFICATION_EVENT, 0);
    let mut table = WaitTable::new();
    for (thread, deadline) in [(1, Some(500)), (2, None), (3, Some(300))] {
        table.add(Wait {
            deadline,
            ..wait(thread, &[event], WaitKind::Any)
        });
    }
    assert_eq!(table.next_deadline(), Some(300));
    assert_eq!(table.expire(299), []);
    assert_eq!(table.expire(300), [woken(3, 0x102)]);
    assert_eq!(table.next_deadline(), Some(500));
    assert_eq!(table.expire(u64::MAX), [woken(1, 0x102)]);
    assert_eq!(table.next_deadline(), None);
}

#[test]
fn mutex_goes_to_one_thread_and_recursively_to_its_owner() {
    let mutex = leak(super::super::mutex::Mutex::default());
    super::super::mutex::initialize(mutex);
    let header = mutex.cast();
    let (one, other) = (
        wait(1, &[header], WaitKind::Any),
        wait(2, &[header], WaitKind::Any),
    );

    assert_eq!(one.try_take(), Some(NtStatus::SUCCESS));
    assert_eq!(other.try_take(), None);
    assert_eq!(one.try_take(), Some(NtStatus::SUCCESS));
    assert_eq!(header.state(), -1);
}
