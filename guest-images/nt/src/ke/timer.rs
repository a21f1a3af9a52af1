//! KTIMER.

use super::Foreign;
use super::dpc::Dpc;
use super::wait::DispatcherHeader;

/// KTIMER, 0x40 bytes.
#[derive(Debug)]
#[repr(C)]
pub struct Timer {
    header: DispatcherHeader,
    due_time: u64,
    timer_list_entry: [u64; 2],
    dpc: u64,
    processor: u32,
    period_ms: u32,
}

/// TIMER_TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    /// NotificationTimer.
    Notification,
    /// SynchronizationTimer.
    Synchronization,
}

/// KeInitializeTimerEx.
pub fn initialize(_timer: Foreign<Timer>, _kind: TimerKind) {
    todo!()
}

/// KeSetTimerEx: `due` as in Windows, negative = relative, in 100 ns. Returns whether it was set before.
pub fn set(_timer: Foreign<Timer>, _due: i64, _period_ms: u32, _dpc: Option<Foreign<Dpc>>) -> bool {
    todo!()
}

/// KeCancelTimer: whether it was set.
pub fn cancel(_timer: Foreign<Timer>) -> bool {
    todo!()
}

/// KeReadStateTimer.
#[must_use]
pub fn read_state(_timer: Foreign<Timer>) -> bool {
    todo!()
}
