//! Waits on dispatcher objects.

use super::{Foreign, NtStatus};

/// DISPATCHER_HEADER, 0x18 bytes: starts each object that can be waited for.
#[derive(Debug)]
#[repr(C)]
pub struct DispatcherHeader {
    object_type: u8,
    signalling: u8,
    size_words: u8,
    inserted: u8,
    signal_state: i32,
    wait_list_head: [u64; 2],
}

/// WAIT_TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitKind {
    /// All objects at once.
    All,
    /// Any one of them; the status tells which.
    Any,
}

/// The longest list of objects (MAXIMUM_WAIT_OBJECTS).
pub const MAXIMUM_WAIT_OBJECTS: usize = 64;

/// KeWaitForSingleObject. `timeout` as in Windows: none waits for ever, negative is relative, in 100 ns.
pub fn wait_single(_object: Foreign<DispatcherHeader>, _timeout: Option<i64>) -> NtStatus {
    todo!()
}

/// KeWaitForMultipleObjects with 1 to [`MAXIMUM_WAIT_OBJECTS`] objects.
pub fn wait_multiple(
    _objects: &[Foreign<DispatcherHeader>],
    _kind: WaitKind,
    _timeout: Option<i64>,
) -> NtStatus {
    todo!()
}

/// KeDelayExecutionThread.
pub fn delay(_interval: i64) -> NtStatus {
    todo!()
}
