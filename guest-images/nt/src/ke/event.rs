//! KEVENT.

use super::Foreign;
use super::dispatcher::{DispatcherHeader, ObjectType};
use super::foreign::leak;
use super::scheduler;

/// KEVENT, 0x18 bytes.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Event {
    header: DispatcherHeader,
}

/// EVENT_TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// NotificationEvent: stays set.
    Notification,
    /// SynchronizationEvent: one wait resets it.
    Synchronization,
}

/// KeInitializeEvent.
pub fn initialize(event: Foreign<Event>, kind: EventKind, is_set: bool) {
    let object_type = match kind {
        EventKind::Notification => ObjectType::NOTIFICATION_EVENT,
        EventKind::Synchronization => ObjectType::SYNCHRONIZATION_EVENT,
    };
    header(event).initialize(object_type, size_of::<Event>(), i32::from(is_set));
}

/// An event of the kernel's own, kept for ever.
#[must_use]
pub fn create(kind: EventKind) -> Foreign<Event> {
    let event = leak(Event::default());
    initialize(event, kind, false);
    event
}

/// KeSetEvent: returns the previous state.
pub fn set(event: Foreign<Event>) -> i32 {
    let previous = header(event).state();
    scheduler::signal(header(event), 1);
    previous
}

/// KeResetEvent (KeClearEvent without the result): returns the previous state.
pub fn reset(event: Foreign<Event>) -> i32 {
    let previous = header(event).state();
    header(event).set_state(0);
    previous
}

/// KeReadStateEvent.
#[must_use]
pub fn read_state(event: Foreign<Event>) -> i32 {
    header(event).state()
}

fn header(event: Foreign<Event>) -> Foreign<DispatcherHeader> {
    event.cast()
}
