//! System threads.

use super::dispatcher::{DispatcherHeader, ObjectType};
use super::foreign::{leak, reclaim};
use super::scheduler::{self, Record, SCHEDULER, State};
use super::{Foreign, NtStatus};
use crate::arch::irql::{self, PASSIVE_LEVEL};
use crate::arch::win64::Routine;
use crate::arch::{context, interrupts, processor};
use crate::memory::{self, PAGE_SIZE, VirtAddr};

/// Pages of a stack; Windows has 6, and our exports run on it as well.
const STACK_PAGES: u64 = 16;
/// Threads that may exist at once.
const MAX_THREADS: usize = 1024;

/// A thread, as gs:[188h] and PsCreateSystemThread give it: its dispatcher header comes first, so that
/// it can be waited for; the rest is not looked into.
#[derive(Debug)]
#[repr(C, align(16))]
pub struct Thread {
    header: DispatcherHeader,
    opaque: [u64; 61],
}

/// What a thread runs.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// A driver's KSTART_ROUTINE with its context.
    Driver(Routine, u64),
    /// The kernel's own.
    Kernel(fn(u64), u64),
}

/// Makes the running code the idle thread. Once, while booting.
pub(super) fn adopt_idle() {
    let thread = new_block();
    let record = Record {
        state: State::Running,
        ..new_record("idle", Start::Kernel(|_| {}, 0), None, 0)
    };
    SCHEDULER.with(|scheduler| scheduler.add_idle(thread.address(), record));
    processor::set_current_thread(thread.address());
    processor::set_idle_thread(thread.address());
}

/// Starts a system thread. The result holds a reference that [`dereference`] gives back.
///
/// # Errors
/// STATUS_INSUFFICIENT_RESOURCES.
pub fn create(name: &'static str, start: Start) -> Result<Foreign<Thread>, NtStatus> {
    clear_away_dead();
    if SCHEDULER.with(|scheduler| scheduler.threads.len()) >= MAX_THREADS {
        return Err(NtStatus::INSUFFICIENT_RESOURCES);
    }
    let stack =
        memory::allocate_stack(STACK_PAGES).map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
    let saved = prepare_stack(stack);
    let thread = new_block();
    let record = new_record(name, start, Some(stack), saved);
    SCHEDULER.with(|scheduler| scheduler.add(thread.address(), record));
    Ok(thread)
}

/// The current thread.
#[must_use]
pub fn current() -> Foreign<Thread> {
    Foreign::checked(processor::current_thread())
}

/// Name of the current thread, for the way out of a crash.
#[must_use]
pub fn current_name() -> &'static str {
    let name = SCHEDULER.try_with(|scheduler| {
        let record = scheduler.threads.get(&processor::current_thread())?;
        Some(record.name)
    });
    name.flatten().unwrap_or("unknown")
}

/// Whether this is a thread, running or ended, that still has references.
#[must_use]
pub fn exists(address: u64) -> bool {
    SCHEDULER.with(|scheduler| scheduler.threads.contains_key(&address))
}

/// Takes a reference, so that the object outlives the thread.
pub fn reference(thread: Foreign<Thread>) {
    SCHEDULER.with(|scheduler| {
        if let Some(record) = scheduler.threads.get_mut(&thread.address()) {
            record.references = record.references.saturating_add(1);
        }
    });
}

/// Gives a reference back.
pub fn dereference(thread: Foreign<Thread>) {
    SCHEDULER.with(|scheduler| {
        if let Some(record) = scheduler.threads.get_mut(&thread.address()) {
            record.references = record.references.saturating_sub(1);
        }
    });
    clear_away_dead();
}

/// PsTerminateSystemThread.
pub fn exit_current(status: NtStatus) -> ! {
    let thread = current();
    SCHEDULER.with(|scheduler| {
        scheduler.set_state(thread.address(), State::Ended(status));
        scheduler.signal(thread.cast(), 1);
    });
    scheduler::switch();
    unreachable!("a thread that has ended is never chosen");
}

/// The status a thread ended with, once it has.
#[must_use]
pub fn exit_status(thread: Foreign<Thread>) -> Option<NtStatus> {
    SCHEDULER.with(
        |scheduler| match scheduler.threads.get(&thread.address())?.state {
            State::Ended(status) => Some(status),
            _ => None,
        },
    )
}

/// Lets other ready threads run. PASSIVE_LEVEL or APC_LEVEL.
pub fn yield_now() {
    scheduler::switch();
}

/// Live threads that drivers started, for the leak report.
#[must_use]
pub fn driver_thread_count() -> usize {
    SCHEDULER.with(|scheduler| {
        let records = scheduler.threads.values();
        records
            .filter(|record| matches!(record.start, Start::Driver(..)))
            .filter(|record| !matches!(record.state, State::Ended(_)))
            .count()
    })
}

/// Frees the stacks of ended threads, and the threads that nobody refers to any more.
pub(super) fn clear_away_dead() {
    for stack in scheduler::take_dead_stacks() {
        memory::free_stack(stack).expect("the stack was allocated for its thread");
    }
    while let Some(thread) = SCHEDULER.with(|scheduler| {
        let mut records = scheduler.threads.iter();
        let (address, _) = records.find(|(_, record)| {
            let has_ended = matches!(record.state, State::Ended(_));
            has_ended && record.stack.is_none() && record.references == 0
        })?;
        let address = *address;
        scheduler.threads.remove(&address);
        Some(address)
    }) {
        free_block(Foreign::checked(thread));
    }
}

/// Where each thread starts: on its own stack, at DISPATCH_LEVEL, interrupts off.
extern "C" fn enter() -> ! {
    irql::set(PASSIVE_LEVEL);
    interrupts::enable();
    let thread = processor::current_thread();
    let start =
        SCHEDULER.with(|scheduler| scheduler.threads.get(&thread).map(|record| record.start));
    match start.expect("the current thread has its record") {
        Start::Kernel(routine, context) => routine(context),
        Start::Driver(routine, context) => call_driver(routine, context),
    }
    exit_current(NtStatus::SUCCESS)
}

#[expect(unsafe_code, reason = "calls a driver's thread routine")]
fn call_driver(routine: Routine, context: u64) {
    // SAFETY: a KSTART_ROUTINE as the driver gave it, at PASSIVE_LEVEL on a stack of its own; no guard is held.
    unsafe { routine.call1(context) };
}

#[expect(unsafe_code, reason = "writes the first frame of a stack")]
fn prepare_stack(stack: VirtAddr) -> u64 {
    let top = (stack + STACK_PAGES * PAGE_SIZE).as_u64();
    // SAFETY: the stack was just allocated and ends, page aligned, at `top`.
    unsafe { context::prepare(top, enter) }
}

fn new_block() -> Foreign<Thread> {
    let thread = leak(Thread {
        header: DispatcherHeader::default(),
        opaque: [0; 61],
    });
    let header: Foreign<DispatcherHeader> = thread.cast();
    header.initialize(ObjectType::THREAD, size_of::<Thread>(), 0);
    thread
}

#[expect(unsafe_code, reason = "frees the block that `new_block` leaked")]
fn free_block(thread: Foreign<Thread>) {
    // SAFETY: the block came from `new_block`; its record is gone, so no reference is counted.
    unsafe { reclaim(thread) };
}

fn new_record(name: &'static str, start: Start, stack: Option<VirtAddr>, saved: u64) -> Record {
    Record {
        name,
        start,
        state: State::Ready,
        stack,
        saved,
        references: 1,
        wait_status: NtStatus::SUCCESS,
    }
}
