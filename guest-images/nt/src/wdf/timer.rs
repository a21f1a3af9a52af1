//! WDFTIMER (indices 318 to 321): a KTIMER whose DPC calls the driver with a handle, or, for the execution level
//! passive, has the worker thread do so.

use core::cell::Cell;

use super::attributes::{Attributes, ExecutionLevel, ParentRule, Rules};
use super::creation::{give, serializer, under, word};
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::passive;
use super::violation::{at_most, not_null};
use crate::arch::processor;
use crate::arch::win64::Routine;
use crate::ke::dpc::{self, Dpc};
use crate::ke::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::ke::timer::{self, TimerKind};
use crate::ke::{Foreign, wait};
use crate::ntoskrnl::driver;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::{read_u64, shared};
use crate::ntoskrnl::status::{self, NtStatus};

const TAG: u32 = u32::from_le_bytes(*b"WdfT");
/// Sizes of WDF_TIMER_CONFIG: up to KMDF 1.7, up to 1.11, since.
const CONFIG_SIZES: [u32; 3] = [0x18, 0x20, 0x28];
/// A KTIMER, then a KDPC.
const TIMER_BYTES: u64 = size_of::<timer::Timer>() as u64;
const MEMORY_BYTES: u64 = TIMER_BYTES + size_of::<Dpc>() as u64;
/// One millisecond, in units of 100 ns.
const MILLISECOND: i64 = -10_000;

static KIND: Kind = Kind {
    is_passive: true,
    on_dispose: run_down,
    on_destroy: forget,
    ..Kind::new("WDFTIMER")
};

#[derive(Clone, Copy)]
struct TimerObject {
    /// Address of the KTIMER.
    timer: u64,
    callback: u64,
    period_ms: u32,
    is_passive: bool,
    parent: Handle,
    /// Whose lock guards the callback.
    guard: Option<Handle>,
    /// The thread that was interrupted by the callback, or is in it.
    thread: Option<u64>,
    is_running_down: bool,
    /// Waits for the callback in WdfTimerStop; what is started meanwhile is not.
    n_stopping: u32,
}

static TIMERS: Family<TimerObject> = Family::new();

/// WDF_TIMER_CONFIG.
struct Config {
    callback: u64,
    period_ms: u32,
    is_serialized: bool,
}

impl Config {
    fn read(at: u64) -> Result<Self, NtStatus> {
        let size = word(at, 0);
        if !CONFIG_SIZES.contains(&size) {
            return Err(status::INFO_LENGTH_MISMATCH);
        }
        let period_ms = word(at, 0x10);
        let (mut tolerable_delay, mut is_high_resolution) = (0, false);
        if size > CONFIG_SIZES[0] {
            tolerable_delay = word(at, 0x18);
        }
        if size > CONFIG_SIZES[1] {
            is_high_resolution = shared::<Cell<u8>>(at.wrapping_add(0x20)).get() != 0;
        }
        if i32::try_from(period_ms).is_err() || (tolerable_delay > 0 && is_high_resolution) {
            return Err(status::INVALID_PARAMETER);
        }
        Ok(Self {
            callback: read_u64(at.wrapping_add(0x08)),
            period_ms,
            is_serialized: shared::<Cell<u8>>(at.wrapping_add(0x14)).get() != 0,
        })
    }
}

/// `WdfTimerCreate` (wdftimer.h). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INFO_LENGTH_MISMATCH,
/// STATUS_INVALID_PARAMETER for the period or the delay, STATUS_NOT_SUPPORTED for a periodic timer of execution level
/// passive, STATUS_INVALID_DEVICE_REQUEST where the parent has no device above it,
/// STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL where it is to be serialized with callbacks of another level,
/// STATUS_INSUFFICIENT_RESOURCES, or what [`Attributes::read`] says.
pub(super) extern "win64" fn create(
    _globals: u64,
    config: u64,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfTimerCreate";
    not_null(function, "Config", config);
    not_null(function, "Timer", out);
    at_most(function, DISPATCH_LEVEL);
    give(out, make(function, config, attributes))
}

fn make(function: &str, config: u64, attributes: u64) -> Result<Handle, NtStatus> {
    let rules = Rules {
        parent: ParentRule::Required,
        execution_level: true,
        scope: false,
    };
    let attributes = Attributes::read(attributes, rules)?;
    let parent = object::check_any(function, attributes.parent);
    let config = Config::read(config)?;
    let is_passive = attributes.execution_level == ExecutionLevel::Passive;
    if is_passive && config.period_ms > 0 {
        return Err(status::NOT_SUPPORTED);
    }
    let guard = serializer(parent, config.is_serialized, is_passive)?;
    let memory =
        kernel_memory::allocate(MEMORY_BYTES, TAG).ok_or(status::INSUFFICIENT_RESOURCES)?;
    let handle = object::create(&KIND, &attributes, Some(parent))
        .inspect_err(|_| kernel_memory::free(memory))?;
    let routine = Routine::new((expired as *const ()).expose_provenance() as u64);
    timer::initialize(Foreign::checked(memory), TimerKind::Notification);
    dpc::initialize(
        Foreign::checked(memory + TIMER_BYTES),
        routine.expect("our own routine is not null"),
        handle.raw(),
    );
    let record = TimerObject {
        timer: memory,
        callback: config.callback,
        period_ms: config.period_ms,
        is_passive,
        parent,
        guard,
        thread: None,
        is_running_down: false,
        n_stopping: 0,
    };
    TIMERS.insert(handle, record);
    if is_passive {
        passive::attach(handle, run);
    }
    Ok(handle)
}

/// The KDEFERRED_ROUTINE.
extern "win64" fn expired(_dpc: u64, context: u64, _argument1: u64, _argument2: u64) {
    let handle = Handle::from_raw(context);
    match TIMERS.get(handle) {
        Some(record) if record.is_passive => {
            passive::enqueue(handle);
        }
        Some(_) => run(handle),
        None => {}
    }
}

fn run(handle: Handle) {
    let thread = processor::current_thread();
    let record = TIMERS.with(handle, |record| {
        record.thread = Some(thread);
        *record
    });
    if let Some(record) = record
        && record.callback != 0
    {
        under(record.guard, || {
            driver::event(record.callback, "EvtTimerFunc", &[handle.raw()]);
        });
    }
    TIMERS.with(handle, |record| record.thread = None);
}

/// Cancels the timer and, at PASSIVE_LEVEL, waits for its callback. Whether it was set.
fn stop(handle: Handle) -> bool {
    let Some(record) = TIMERS.get(handle) else {
        return false;
    };
    let was_set = timer::cancel(Foreign::checked(record.timer));
    dpc::flush();
    if record.is_passive {
        passive::wait_for(handle);
    }
    // A callback that has lowered the IRQL may have been left for another thread.
    while TIMERS.with(handle, |record| record.thread.is_some()) == Some(true) {
        wait::delay(MILLISECOND);
    }
    was_set
}

fn is_in_callback(handle: Handle) -> bool {
    let thread = processor::current_thread();
    TIMERS.with(handle, |record| record.thread == Some(thread)) == Some(true)
}

fn run_down(handle: Handle) {
    TIMERS.with(handle, |record| record.is_running_down = true);
    if is_in_callback(handle) {
        wait_for_itself("WdfObjectDelete", handle);
        return;
    }
    stop(handle);
}

fn forget(handle: Handle) {
    if let Some(record) = TIMERS.remove(handle) {
        timer::cancel(Foreign::checked(record.timer));
        dpc::remove(Foreign::checked(record.timer + TIMER_BYTES));
        kernel_memory::free(record.timer);
    }
    passive::detach(handle);
}

fn wait_for_itself(function: &str, handle: Handle) {
    object::misuse(
        "wdf-wait-for-itself",
        format_args!("{function} of {handle} from its own callback"),
    );
}

/// `WdfTimerStart` (wdftimer.h). IRQL <= DISPATCH_LEVEL. `due` in 100 ns, negative is relative. TRUE where it was set
/// before. A timer that is being deleted is a finding; one that WdfTimerStop waits for is left alone.
pub(super) extern "win64" fn start(_globals: u64, timer: u64, due: i64) -> u8 {
    let function = "WdfTimerStart";
    let handle = object::check(function, timer, &KIND);
    at_most(function, DISPATCH_LEVEL);
    let Some(record) = TIMERS.get(handle) else {
        return 0;
    };
    if record.is_running_down {
        object::misuse(
            "wdf-timer-deleted",
            format_args!("{function} of {handle}, which is being deleted"),
        );
        return 0;
    }
    if record.n_stopping > 0 {
        return 0;
    }
    let dpc = Foreign::checked(record.timer + TIMER_BYTES);
    u8::from(timer::set(
        Foreign::checked(record.timer),
        due,
        record.period_ms,
        Some(dpc),
    ))
}

/// `WdfTimerStop` (wdftimer.h). IRQL <= DISPATCH_LEVEL; PASSIVE_LEVEL with `wait`, which returns when the callback is
/// over. TRUE where it was set. To wait from the callback itself is a finding, and FALSE.
pub(super) extern "win64" fn stop_timer(_globals: u64, timer: u64, wait: u8) -> u8 {
    let function = "WdfTimerStop";
    let handle = object::check(function, timer, &KIND);
    if wait == 0 {
        at_most(function, DISPATCH_LEVEL);
        let record = TIMERS.get(handle);
        return record.map_or(0, |record| {
            u8::from(timer::cancel(Foreign::checked(record.timer)))
        });
    }
    at_most(function, PASSIVE_LEVEL);
    if is_in_callback(handle) {
        wait_for_itself(function, handle);
        return 0;
    }
    TIMERS.with(handle, |record| record.n_stopping += 1);
    let was_set = stop(handle);
    TIMERS.with(handle, |record| record.n_stopping -= 1);
    u8::from(was_set)
}

/// `WdfTimerGetParentObject` (wdftimer.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn parent_object(_globals: u64, timer: u64) -> u64 {
    let handle = object::check("WdfTimerGetParentObject", timer, &KIND);
    TIMERS.get(handle).map_or(0, |record| record.parent.raw())
}

#[cfg(test)]
#[path = "timer_tests.rs"]
mod tests;
