//! Threads, waits, timers and DPCs on the real CPU.

use core::sync::atomic::{AtomicU64, Ordering};

use super::Test;
use crate::arch::win64::Routine;
use crate::ke::dpc::{self, Dpc};
use crate::ke::event::{self, Event, EventKind};
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::ke::pool;
use crate::ke::thread::{self, Start};
use crate::ke::timer::{self, Timer, TimerKind};
use crate::ke::{Foreign, NtStatus, time, wait, work};
use crate::memory::pool::{Content, PoolKind, PoolRequest};

pub(super) const TESTS: &[Test] = &[
    ("delay_takes_its_time", delay_takes_its_time),
    ("threads_take_turns", threads_take_turns),
    ("wait_times_out", wait_times_out),
    ("dpc_waits_for_the_irql", dpc_waits_for_the_irql),
    ("timer_runs_its_dpc", timer_runs_its_dpc),
    ("work_item_runs", work_item_runs),
    ("ended_thread_is_signaled", ended_thread_is_signaled),
];

const MS: i64 = 10_000;
const TAG: u32 = u32::from_le_bytes(*b"Test");

static COUNTER: AtomicU64 = AtomicU64::new(0);

/// A zeroed structure in pool.
fn allocate<T>() -> Foreign<T> {
    let address = pool::allocate(&PoolRequest {
        len_bytes: size_of::<T>() as u64,
        tag: TAG,
        kind: PoolKind::NonPaged,
        content: Content::Zero,
        executable: false,
        caller: 0,
    });
    Foreign::checked(address.expect("there is memory").as_u64())
}

fn free<T>(object: Foreign<T>) {
    pool::free(crate::memory::VirtAddr::new(object.address()), TAG);
}

fn delay_takes_its_time() {
    let start = time::interrupt_time();
    assert_eq!(wait::delay(-5 * MS), NtStatus::SUCCESS);
    let elapsed = time::interrupt_time() - start;
    assert!(elapsed >= 50_000, "5 ms took {elapsed}");
}

fn threads_take_turns() {
    COUNTER.store(0, Ordering::Relaxed);
    let event: Foreign<Event> = allocate();
    event::initialize(event, EventKind::Synchronization, false);
    let adder = |event: u64| {
        let event = Foreign::<Event>::checked(event);
        wait::wait_single(event.cast(), None);
        COUNTER.fetch_add(1, Ordering::Relaxed);
    };
    let threads = [(); 4].map(|()| {
        thread::create("adder", Start::Kernel(adder, event.address())).expect("there is memory")
    });
    for expected in 1..=4 {
        event::set(event);
        while COUNTER.load(Ordering::Relaxed) < expected {
            thread::yield_now();
        }
    }
    let all = threads.map(Foreign::cast);
    assert_eq!(
        wait::wait_multiple(&all, wait::WaitKind::All, None),
        NtStatus::SUCCESS
    );
    threads.into_iter().for_each(thread::dereference);
    free(event);
}

fn wait_times_out() {
    let event: Foreign<Event> = allocate();
    event::initialize(event, EventKind::Notification, false);
    assert_eq!(wait::wait_single(event.cast(), Some(0)), NtStatus::TIMEOUT);
    assert_eq!(
        wait::wait_single(event.cast(), Some(-2 * MS)),
        NtStatus::TIMEOUT
    );
    event::set(event);
    assert_eq!(wait::wait_single(event.cast(), Some(0)), NtStatus::SUCCESS);
    free(event);
}

extern "win64" fn count(_dpc: u64, context: u64, argument1: u64, _argument2: u64) {
    assert_eq!(irql::current(), DISPATCH_LEVEL);
    COUNTER.fetch_add(context + argument1, Ordering::Relaxed);
}

fn counting_dpc() -> Foreign<Dpc> {
    let dpc = allocate();
    let routine = Routine::new(count as *const () as u64).expect("not null");
    dpc::initialize(dpc, routine, 1);
    dpc
}

fn dpc_waits_for_the_irql() {
    COUNTER.store(0, Ordering::Relaxed);
    let dpc = counting_dpc();
    let old = irql::raise(DISPATCH_LEVEL);
    assert!(dpc::insert(dpc, 10, 0));
    assert!(!dpc::insert(dpc, 10, 0), "queued already");
    assert_eq!(COUNTER.load(Ordering::Relaxed), 0);
    irql::lower(old);
    assert_eq!(
        COUNTER.load(Ordering::Relaxed),
        11,
        "ran as soon as the IRQL allowed"
    );
    free(dpc);
}

fn timer_runs_its_dpc() {
    COUNTER.store(0, Ordering::Relaxed);
    let (dpc, timer): (Foreign<Dpc>, Foreign<Timer>) = (counting_dpc(), allocate());
    timer::initialize(timer, TimerKind::Notification);
    assert!(!timer::set(timer, -2 * MS, 0, Some(dpc)));
    assert_eq!(
        wait::wait_single(timer.cast(), Some(-1000 * MS)),
        NtStatus::SUCCESS
    );
    dpc::flush();
    assert!(COUNTER.load(Ordering::Relaxed) > 0);
    assert!(!timer::cancel(timer), "it has expired");
    timer::set(timer, -1000 * MS, 0, None);
    assert!(timer::cancel(timer));
    free(timer);
    free(dpc);
}

fn work_item_runs() {
    COUNTER.store(0, Ordering::Relaxed);
    work::queue(|context| COUNTER.store(context, Ordering::Relaxed), 7);
    wait::delay(-2 * MS);
    assert_eq!(COUNTER.load(Ordering::Relaxed), 7);
}

fn ended_thread_is_signaled() {
    let ends = |status: u64| thread::exit_current(NtStatus(u32::try_from(status).expect("small")));
    let thread = thread::create("ends", Start::Kernel(ends, 0x55)).expect("there is memory");
    assert_eq!(wait::wait_single(thread.cast(), None), NtStatus::SUCCESS);
    assert_eq!(thread::exit_status(thread), Some(NtStatus(0x55)));
    thread::dereference(thread);
    assert!(!thread::exists(thread.address()));
}
