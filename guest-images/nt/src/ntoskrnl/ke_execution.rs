//! IRQL, spin locks, DPCs, timers, clocks: shells over `ke`.

use core::cell::Cell;

use super::shared::{read_u64, shared, write_u64};
use super::verifier;
use crate::arch::irql as hardware_irql;
use crate::arch::win64::Routine;
use crate::ke::irql::{self, APC_LEVEL, DISPATCH_LEVEL, Irql, PASSIVE_LEVEL};
use crate::ke::timer::{self, TimerKind};
use crate::ke::{Foreign, bugcheck, dpc, interrupt, spin_lock, time};

/// Longest stall that does not starve the machine (the documents: 50 microseconds).
const LONG_STALL_US: u32 = 50;

/// `KeGetCurrentIrql` (wdm.h). Any IRQL.
pub(super) extern "win64" fn ke_get_current_irql() -> Irql {
    irql::current()
}

/// `KfRaiseIrql` (behind KeRaiseIrql). Lowering is bug check 0x09.
pub(super) extern "win64" fn kf_raise_irql(new: Irql) -> Irql {
    irql::raise(new)
}

/// `KeRaiseIrqlToDpcLevel` (wdm.h).
pub(super) extern "win64" fn ke_raise_irql_to_dpc_level() -> Irql {
    irql::raise(DISPATCH_LEVEL)
}

/// `KeLowerIrql` (wdm.h). Raising is bug check 0x0A.
pub(super) extern "win64" fn ke_lower_irql(new: Irql) {
    irql::lower(new);
}

/// `KeInitializeSpinLock` (wdm.h). Any IRQL.
pub(super) extern "win64" fn ke_initialize_spin_lock(lock: u64) {
    spin_lock::initialize(Foreign::checked(lock));
}

/// `KeAcquireSpinLockRaiseToDpc` (behind KeAcquireSpinLock). IRQL <= DISPATCH_LEVEL. The old IRQL.
pub(super) extern "win64" fn ke_acquire_spin_lock_raise_to_dpc(lock: u64) -> Irql {
    verifier::at_most_dispatch("KeAcquireSpinLockRaiseToDpc");
    spin_lock::acquire(Foreign::checked(lock))
}

/// `KeReleaseSpinLock` (wdm.h). IRQL DISPATCH_LEVEL.
pub(super) extern "win64" fn ke_release_spin_lock(lock: u64, old: Irql) {
    spin_lock::release(Foreign::checked(lock), old);
}

/// `KeAcquireSpinLockAtDpcLevel` (wdm.h). IRQL >= DISPATCH_LEVEL.
pub(super) extern "win64" fn ke_acquire_spin_lock_at_dpc_level(lock: u64) {
    spin_lock::acquire_at_dpc_level(Foreign::checked(lock));
}

/// `KeReleaseSpinLockFromDpcLevel` (wdm.h). IRQL >= DISPATCH_LEVEL.
pub(super) extern "win64" fn ke_release_spin_lock_from_dpc_level(lock: u64) {
    spin_lock::release_from_dpc_level(Foreign::checked(lock));
}

/// `KeTryToAcquireSpinLockAtDpcLevel` (wdm.h). IRQL >= DISPATCH_LEVEL.
pub(super) extern "win64" fn ke_try_to_acquire_spin_lock_at_dpc_level(lock: u64) -> u8 {
    u8::from(spin_lock::try_acquire_at_dpc_level(Foreign::checked(lock)))
}

/// `IoAcquireCancelSpinLock` (wdm.h). IRQL <= DISPATCH_LEVEL. Writes the old IRQL.
pub(super) extern "win64" fn io_acquire_cancel_spin_lock(old: u64) {
    verifier::at_most_dispatch("IoAcquireCancelSpinLock");
    shared::<Cell<u8>>(old).set(acquire_cancel_lock());
}

/// `IoReleaseCancelSpinLock` (wdm.h). IRQL DISPATCH_LEVEL.
pub(super) extern "win64" fn io_release_cancel_spin_lock(old: Irql) {
    irql::lower(old);
}

/// Takes the cancel spin lock: on one CPU, raising the IRQL is the lock.
pub(super) fn acquire_cancel_lock() -> Irql {
    irql::raise(hardware_irql::current().max(DISPATCH_LEVEL))
}

/// `KeInitializeDpc` (wdm.h). Any IRQL.
pub(super) extern "win64" fn ke_initialize_dpc(dpc: u64, routine: u64, context: u64) {
    match Routine::new(routine) {
        Some(routine) => dpc::initialize(Foreign::checked(dpc), routine, context),
        None => missing("KeInitializeDpc"),
    }
}

/// `KeInsertQueueDpc` (wdm.h). Any IRQL. FALSE if it is queued.
pub(super) extern "win64" fn ke_insert_queue_dpc(dpc: u64, argument1: u64, argument2: u64) -> u8 {
    u8::from(dpc::insert(Foreign::checked(dpc), argument1, argument2))
}

/// `KeRemoveQueueDpc` (wdm.h). Any IRQL. Whether it was queued.
pub(super) extern "win64" fn ke_remove_queue_dpc(dpc: u64) -> u8 {
    u8::from(dpc::remove(Foreign::checked(dpc)))
}

/// `KeFlushQueuedDpcs` (wdm.h). IRQL PASSIVE_LEVEL.
pub(super) extern "win64" fn ke_flush_queued_dpcs() {
    verifier::at_most("KeFlushQueuedDpcs", PASSIVE_LEVEL);
    dpc::flush();
}

/// `KeSetImportanceDpc`, `KeSetTargetProcessorDpc` (wdm.h): one CPU, one queue; nothing to do.
pub(super) extern "win64" fn ke_ignore_dpc_setting(_dpc: u64, _value: u32) {}

/// `KeInitializeTimer` (wdm.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn ke_initialize_timer(timer: u64) {
    timer::initialize(Foreign::checked(timer), TimerKind::Notification);
}

/// `KeInitializeTimerEx` (wdm.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn ke_initialize_timer_ex(timer: u64, kind: u32) {
    let kind = if kind == 0 {
        TimerKind::Notification
    } else {
        TimerKind::Synchronization
    };
    timer::initialize(Foreign::checked(timer), kind);
}

/// `KeSetTimer` (wdm.h). IRQL <= DISPATCH_LEVEL. Whether it was set.
pub(super) extern "win64" fn ke_set_timer(timer: u64, due: i64, dpc: u64) -> u8 {
    ke_set_timer_ex(timer, due, 0, dpc)
}

/// `KeSetTimerEx` (wdm.h). IRQL <= DISPATCH_LEVEL. Whether it was set.
pub(super) extern "win64" fn ke_set_timer_ex(timer: u64, due: i64, period_ms: u32, dpc: u64) -> u8 {
    verifier::at_most_dispatch("KeSetTimerEx");
    let dpc = (dpc != 0).then(|| Foreign::checked(dpc));
    u8::from(timer::set(Foreign::checked(timer), due, period_ms, dpc))
}

/// `KeCancelTimer` (wdm.h). IRQL <= DISPATCH_LEVEL. Whether it was set.
pub(super) extern "win64" fn ke_cancel_timer(timer: u64) -> u8 {
    verifier::at_most_dispatch("KeCancelTimer");
    u8::from(timer::cancel(Foreign::checked(timer)))
}

/// `KeReadStateTimer` (wdm.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn ke_read_state_timer(timer: u64) -> u8 {
    u8::from(timer::read_state(Foreign::checked(timer)))
}

/// `KeSynchronizeExecution` (wdm.h). IRQL <= that of the interrupt. What the routine returns.
pub(super) extern "win64" fn ke_synchronize_execution(
    interrupt: u64,
    routine: u64,
    context: u64,
) -> u8 {
    match Routine::new(routine) {
        Some(routine) => u8::from(interrupt::synchronize(
            Foreign::checked(interrupt),
            routine,
            context,
        )),
        None => {
            missing("KeSynchronizeExecution");
            0
        }
    }
}

/// `KeAcquireInterruptSpinLock` (wdm.h). The old IRQL.
pub(super) extern "win64" fn ke_acquire_interrupt_spin_lock(interrupt: u64) -> Irql {
    interrupt::acquire_lock(Foreign::checked(interrupt))
}

/// `KeReleaseInterruptSpinLock` (wdm.h).
pub(super) extern "win64" fn ke_release_interrupt_spin_lock(interrupt: u64, old: Irql) {
    interrupt::release_lock(Foreign::checked(interrupt), old);
}

/// `KeQueryPerformanceCounter` (wdm.h, HAL.dll). Any IRQL. Writes the frequency where it is wanted.
pub(super) extern "win64" fn ke_query_performance_counter(frequency: u64) -> u64 {
    if frequency != 0 {
        write_u64(frequency, time::PERFORMANCE_FREQUENCY);
    }
    time::performance_counter()
}

/// `KeStallExecutionProcessor` (wdm.h, HAL.dll). Any IRQL. Longer than 50 microseconds is a finding.
pub(super) extern "win64" fn ke_stall_execution_processor(microseconds: u32) {
    if microseconds > LONG_STALL_US {
        verifier::finding(
            "stall-too-long",
            format_args!("{microseconds} us, at most 50 are allowed"),
        );
    }
    time::stall_us(microseconds);
}

/// `KeQuerySystemTimePrecise`, `KeQuerySystemTime` (wdm.h). Any IRQL.
pub(super) extern "win64" fn ke_query_system_time(result: u64) {
    write_u64(result, time::system_time());
}

/// `KeQueryInterruptTime` (wdm.h). Any IRQL.
pub(super) extern "win64" fn ke_query_interrupt_time() -> u64 {
    time::interrupt_time()
}

/// `KeQueryUnbiasedInterruptTime` and `KeQueryInterruptTimePrecise` (wdm.h). Any IRQL.
pub(super) extern "win64" fn ke_query_interrupt_time_precise(counter: u64) -> u64 {
    if counter != 0 {
        write_u64(counter, time::performance_counter());
    }
    time::interrupt_time()
}

/// `KeQueryTimeIncrement` (wdm.h). Any IRQL.
pub(super) extern "win64" fn ke_query_time_increment() -> u32 {
    time::TIME_INCREMENT
}

/// `KeEnterCriticalRegion` and `KeLeaveCriticalRegion` (wdm.h): there are no APCs here.
pub(super) extern "win64" fn ke_critical_region() {
    verifier::at_most("KeEnterCriticalRegion", APC_LEVEL);
}

/// `KeQueryActiveProcessorCountEx` and its siblings (wdm.h): one.
pub(super) extern "win64" fn ke_query_active_processor_count() -> u32 {
    1
}

/// `KeBugCheckEx` (wdm.h). Any IRQL. Does not return.
pub(super) extern "win64" fn ke_bug_check_ex(code: u32, a: u64, b: u64, c: u64, d: u64) {
    bugcheck::raise(code, [a, b, c, d])
}

/// `KeBugCheck` (wdm.h). Any IRQL. Does not return.
pub(super) extern "win64" fn ke_bug_check(code: u32) {
    bugcheck::raise(code, [0; 4])
}

/// `ExAcquireFastMutex` (wdm.h). IRQL <= APC_LEVEL. Raises to APC_LEVEL; on contention waits for the event
/// inside.
pub(super) extern "win64" fn ex_acquire_fast_mutex(mutex: u64) {
    verifier::at_most("ExAcquireFastMutex", APC_LEVEL);
    let old = irql::raise(APC_LEVEL.max(irql::current()));
    let count: &Cell<u32> = shared(mutex);
    let left = count.get().wrapping_sub(1);
    count.set(left);
    if left.cast_signed() < 0 {
        // FAST_MUTEX: Count 0, Owner 8, Contention 10h, Event 18h, OldIrql 30h.
        crate::ke::wait::wait_single(
            Foreign::<crate::ke::event::Event>::checked(mutex + 0x18).cast(),
            None,
        );
    }
    write_u64(mutex + 8, crate::ke::thread::current().address());
    shared::<Cell<u32>>(mutex + 0x30).set(old.into());
}

/// `ExReleaseFastMutex` (wdm.h). IRQL APC_LEVEL.
pub(super) extern "win64" fn ex_release_fast_mutex(mutex: u64) {
    if read_u64(mutex + 8) != crate::ke::thread::current().address() {
        verifier::undocumented_violation(
            "fast-mutex-not-owned",
            format_args!("ExReleaseFastMutex of {mutex:#x}"),
        );
    }
    let old = shared::<Cell<u8>>(mutex + 0x30).get();
    write_u64(mutex + 8, 0);
    let count: &Cell<u32> = shared(mutex);
    let left = count.get().wrapping_add(1);
    count.set(left);
    if left.cast_signed() < 1 {
        crate::ke::event::set(Foreign::checked(mutex + 0x18));
    }
    irql::lower(old);
}

/// `KeGetCurrentThread`, `PsGetCurrentThread` as functions (wdm.h). Any IRQL.
pub(super) extern "win64" fn ke_get_current_thread() -> u64 {
    crate::ke::thread::current().address()
}

fn missing(routine: &str) {
    verifier::undocumented_violation(
        "routine-missing",
        format_args!("{routine} without a routine"),
    );
}
