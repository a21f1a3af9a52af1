//! KDPC and its queue, run by an interrupt of DISPATCH_LEVEL's class.

use alloc::collections::VecDeque;
use core::mem::offset_of;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};

use super::Foreign;
use super::bugcheck::{self, code};
use super::irql::{self, DISPATCH_LEVEL};
use crate::arch::dispatch;
use crate::arch::guarded::Guarded;
use crate::arch::win64::Routine;

/// KDPC, 0x40 bytes.
#[derive(Debug, Default)]
#[repr(C)]
pub struct Dpc {
    object_type: u8,
    importance: u8,
    number: u16,
    reserved: u32,
    list_entry: u64,
    processor_history: u64,
    deferred_routine: u64,
    deferred_context: u64,
    system_argument1: u64,
    system_argument2: u64,
    dpc_data: u64,
}

const _: () = assert!(size_of::<Dpc>() == 0x40);

const OBJECT_TYPE: u8 = 0x13;
const MEDIUM_IMPORTANCE: u8 = 1;
const HIGH_IMPORTANCE: u8 = 2;
const IMPORTANCE: usize = offset_of!(Dpc, importance);
const ROUTINE: usize = offset_of!(Dpc, deferred_routine);
const CONTEXT: usize = offset_of!(Dpc, deferred_context);
const ARGUMENT1: usize = offset_of!(Dpc, system_argument1);
const ARGUMENT2: usize = offset_of!(Dpc, system_argument2);
/// Not null while the DPC is queued.
const DPC_DATA: usize = offset_of!(Dpc, dpc_data);

static QUEUE: Guarded<VecDeque<Foreign<Dpc>>> = Guarded::new(VecDeque::new());
static IS_RUNNING: AtomicBool = AtomicBool::new(false);

/// KeInitializeDpc.
pub fn initialize(dpc: Foreign<Dpc>, routine: Routine, context: u64) {
    dpc.write(offset_of!(Dpc, object_type), OBJECT_TYPE);
    dpc.write(IMPORTANCE, MEDIUM_IMPORTANCE);
    dpc.write(offset_of!(Dpc, number), 0u16);
    dpc.write(ROUTINE, routine.address());
    dpc.write(CONTEXT, context);
    dpc.write(ARGUMENT1, 0u64);
    dpc.write(ARGUMENT2, 0u64);
    dpc.write(DPC_DATA, 0u64);
}

/// KeInsertQueueDpc: false if it is queued already.
pub fn insert(dpc: Foreign<Dpc>, argument1: u64, argument2: u64) -> bool {
    let is_new = QUEUE.with(|queue| {
        if queue.contains(&dpc) {
            return false;
        }
        dpc.write(ARGUMENT1, argument1);
        dpc.write(ARGUMENT2, argument2);
        dpc.write(DPC_DATA, dpc.address());
        if dpc.read::<u8>(IMPORTANCE) == HIGH_IMPORTANCE {
            queue.push_front(dpc);
        } else {
            queue.push_back(dpc);
        }
        true
    });
    if is_new {
        dispatch::request_dispatch();
    }
    is_new
}

/// KeRemoveQueueDpc: whether it was queued.
pub fn remove(dpc: Foreign<Dpc>) -> bool {
    QUEUE.with(|queue| {
        let position = queue.iter().position(|queued| *queued == dpc);
        let removed = position.and_then(|idx| queue.remove(idx));
        if removed.is_some() {
            dpc.write(DPC_DATA, 0u64);
        }
        removed.is_some()
    })
}

/// KeSetImportanceDpc.
pub fn set_importance(dpc: Foreign<Dpc>, importance: u8) {
    dpc.write(IMPORTANCE, importance);
}

/// KeFlushQueuedDpcs: returns when all DPCs queued so far have run. On one CPU, below DISPATCH_LEVEL, they
/// have: the interrupt that runs them comes before the next instruction.
pub fn flush() {
    if irql::current() < DISPATCH_LEVEL {
        irql::at(DISPATCH_LEVEL, run_queue);
    }
}

/// Whether a DPC is running.
#[must_use]
pub fn is_running() -> bool {
    IS_RUNNING.load(Ordering::Relaxed)
}

/// A queued DPC that lies in the range, whose memory is about to go.
#[must_use]
pub fn queued_within(range: &Range<u64>) -> Option<u64> {
    QUEUE.with(|queue| {
        let mut addresses = queue.iter().map(|dpc| dpc.address());
        addresses.find(|address| range.contains(address))
    })
}

/// Runs all queued DPCs, at DISPATCH_LEVEL.
pub(super) fn run_queue() {
    while let Some(dpc) = QUEUE.with(VecDeque::pop_front) {
        let arguments = [CONTEXT, ARGUMENT1, ARGUMENT2].map(|offset| dpc.read::<u64>(offset));
        let routine = Routine::new(dpc.read(ROUTINE));
        // From here on the DPC may be queued again, by itself too, and its memory freed.
        dpc.write(DPC_DATA, 0u64);
        if let Some(routine) = routine {
            run(routine, dpc.address(), arguments);
        }
    }
}

#[expect(unsafe_code, reason = "calls a driver's DPC routine")]
fn run(routine: Routine, dpc: u64, [context, argument1, argument2]: [u64; 3]) {
    IS_RUNNING.store(true, Ordering::Relaxed);
    // SAFETY: a KDEFERRED_ROUTINE as the driver registered it, at DISPATCH_LEVEL as it is promised; no guard
    // is held here.
    unsafe { routine.call4(dpc, context, argument1, argument2) };
    IS_RUNNING.store(false, Ordering::Relaxed);
    let level = irql::current();
    if level != DISPATCH_LEVEL {
        let levels = u64::from(level) << 16 | u64::from(DISPATCH_LEVEL) << 8;
        let parameters = [levels, routine.address(), 0, 0];
        bugcheck::raise_at(code::IRQL_UNEXPECTED_VALUE, parameters, routine.address());
    }
}
