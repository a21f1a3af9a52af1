//! KEVENT.

use super::Foreign;
use super::wait::DispatcherHeader;

/// KEVENT, 0x18 bytes.
#[derive(Debug)]
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
pub fn initialize(_event: Foreign<Event>, _kind: EventKind, _is_set: bool) {
    todo!()
}

/// KeSetEvent: returns the previous state.
pub fn set(_event: Foreign<Event>) -> i32 {
    todo!()
}

/// KeResetEvent (KeClearEvent without the result): returns the previous state.
pub fn reset(_event: Foreign<Event>) -> i32 {
    todo!()
}

/// KeReadStateEvent.
#[must_use]
pub fn read_state(_event: Foreign<Event>) -> i32 {
    todo!()
}
