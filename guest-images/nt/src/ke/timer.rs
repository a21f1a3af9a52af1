//! KTIMER.

use core::mem::offset_of;
use core::ops::Range;

use super::Foreign;
use super::dispatcher::{DispatcherHeader, ObjectType};
use super::dpc::{self, Dpc};
use super::scheduler;
use super::time;
use super::timer_queue::{Setting, TimerQueue};
use crate::arch::clock;
use crate::arch::guarded::Guarded;

/// KTIMER, 0x40 bytes.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Timer {
    header: DispatcherHeader,
    due_time: u64,
    timer_list_entry: [u64; 2],
    dpc: u64,
    processor: u32,
    period_ms: u32,
}

const _: () = assert!(size_of::<Timer>() == 0x40);

/// 100 ns units in a millisecond.
const UNITS_PER_MS: u64 = 10_000;

static QUEUE: Guarded<TimerQueue> = Guarded::new(TimerQueue::new());

/// TIMER_TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    /// NotificationTimer.
    Notification,
    /// SynchronizationTimer.
    Synchronization,
}

/// KeInitializeTimerEx.
pub fn initialize(timer: Foreign<Timer>, kind: TimerKind) {
    let object_type = match kind {
        TimerKind::Notification => ObjectType::NOTIFICATION_TIMER,
        TimerKind::Synchronization => ObjectType::SYNCHRONIZATION_TIMER,
    };
    header(timer).initialize(object_type, size_of::<Timer>(), 0);
    timer.write(offset_of!(Timer, due_time), 0u64);
    timer.write(offset_of!(Timer, dpc), 0u64);
    timer.write(offset_of!(Timer, period_ms), 0u32);
}

/// KeSetTimerEx: `due` as in Windows, negative = relative, in 100 ns. Returns whether it was set before.
pub fn set(timer: Foreign<Timer>, due: i64, period_ms: u32, dpc: Option<Foreign<Dpc>>) -> bool {
    let setting = Setting {
        due: time::deadline(due),
        period: u64::from(period_ms) * UNITS_PER_MS,
        dpc: dpc.map_or(0, Foreign::address),
    };
    header(timer).set_state(0);
    timer.write(offset_of!(Timer, due_time), setting.due);
    timer.write(offset_of!(Timer, dpc), setting.dpc);
    timer.write(offset_of!(Timer, period_ms), period_ms);
    let was_set = QUEUE.with(|queue| queue.set(timer.address(), setting));
    if setting.due <= clock::now() {
        crate::arch::dispatch::request_dispatch();
    }
    was_set
}

/// KeCancelTimer: whether it was set. Its DPC, if already queued, stays queued.
pub fn cancel(timer: Foreign<Timer>) -> bool {
    QUEUE.with(|queue| queue.cancel(timer.address()))
}

/// KeReadStateTimer.
#[must_use]
pub fn read_state(timer: Foreign<Timer>) -> bool {
    header(timer).state() != 0
}

/// A set timer in the range of addresses, whose memory is about to go.
#[must_use]
pub fn set_within(range: &Range<u64>) -> Option<u64> {
    QUEUE.with(|queue| queue.set_within(range))
}

/// The DPC of a set timer in the range of addresses, whose memory is about to go.
#[must_use]
pub fn dpc_within(range: &Range<u64>) -> Option<u64> {
    QUEUE.with(|queue| queue.dpc_within(range))
}

/// Whether a timer is due.
pub(super) fn is_due(now: u64) -> bool {
    QUEUE.with(|queue| queue.next_due().is_some_and(|due| due <= now))
}

/// Signals the timers that are due and queues their DPCs. At DISPATCH_LEVEL.
pub(super) fn expire(now: u64) {
    while let Some(due) = QUEUE.with(|queue| queue.pop_due(now)) {
        let timer = Foreign::<Timer>::checked(due.timer);
        scheduler::signal(header(timer), 1);
        if due.setting.dpc != 0 {
            let system_time = time::system_time();
            let (low, high) = (system_time & 0xFFFF_FFFF, system_time >> 32);
            dpc::insert(Foreign::<Dpc>::checked(due.setting.dpc), low, high);
        }
    }
}

fn header(timer: Foreign<Timer>) -> Foreign<DispatcherHeader> {
    timer.cast()
}
