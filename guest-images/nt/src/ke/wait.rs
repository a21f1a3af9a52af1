//! Waits on dispatcher objects.

use alloc::vec::Vec;

use super::bugcheck::{self, code};
use super::irql::{self, DISPATCH_LEVEL};
use super::wait_table::Wait;
use super::{Foreign, NtStatus, dpc, scheduler, time};
use crate::arch::processor;

pub use super::dispatcher::{DispatcherHeader, ObjectType};
pub use super::wait_table::WaitKind;

/// The longest list of objects (MAXIMUM_WAIT_OBJECTS).
pub const MAXIMUM_WAIT_OBJECTS: usize = 64;

/// KeWaitForSingleObject. `timeout` as in Windows: none waits for ever, 0 not at all, negative is relative, in
/// 100 ns. To wait at DISPATCH_LEVEL or above is a bug check (0xB8 in a DPC, else 0x0A).
pub fn wait_single(object: Foreign<DispatcherHeader>, timeout: Option<i64>) -> NtStatus {
    wait_multiple(&[object], WaitKind::Any, timeout)
}

/// KeWaitForMultipleObjects with 1 to [`MAXIMUM_WAIT_OBJECTS`] objects; other numbers are
/// STATUS_INVALID_PARAMETER.
pub fn wait_multiple(
    objects: &[Foreign<DispatcherHeader>],
    kind: WaitKind,
    timeout: Option<i64>,
) -> NtStatus {
    if objects.is_empty() || objects.len() > MAXIMUM_WAIT_OBJECTS {
        return NtStatus::INVALID_PARAMETER;
    }
    check_may_block(timeout, objects[0].address());
    let wait = Wait {
        thread: processor::current_thread(),
        objects: objects.to_vec(),
        kind,
        deadline: timeout.map(time::deadline),
    };
    scheduler::wait(wait, timeout == Some(0))
}

/// KeDelayExecutionThread: STATUS_SUCCESS when the time is over.
pub fn delay(interval: i64) -> NtStatus {
    check_may_block(Some(interval), 0);
    let wait = Wait {
        thread: processor::current_thread(),
        objects: Vec::new(),
        kind: WaitKind::Any,
        deadline: Some(time::deadline(interval)),
    };
    scheduler::wait(wait, interval == 0);
    NtStatus::SUCCESS
}

fn check_may_block(timeout: Option<i64>, object: u64) {
    let level = irql::current();
    if level < DISPATCH_LEVEL || (level == DISPATCH_LEVEL && timeout == Some(0)) {
        return;
    }
    if dpc::is_running() {
        let thread = processor::current_thread();
        bugcheck::raise(code::ATTEMPTED_SWITCH_FROM_DPC, [thread, 0, 0, 0]);
    }
    let parameters = [object, u64::from(level), 0, 0];
    bugcheck::raise(code::IRQL_NOT_LESS_OR_EQUAL, parameters);
}
