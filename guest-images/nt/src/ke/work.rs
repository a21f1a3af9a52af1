//! The system worker thread.

use alloc::collections::VecDeque;

use super::event::{self, Event, EventKind};
use super::thread::{self, Start};
use super::{Foreign, NtStatus, wait};
use crate::arch::guarded::Guarded;
use crate::arch::processor;

type Item = (fn(u64), u64);

struct Worker {
    items: VecDeque<Item>,
    event: Option<Foreign<Event>>,
    /// Address of the thread.
    thread: u64,
}

static WORKER: Guarded<Worker> = Guarded::new(Worker {
    items: VecDeque::new(),
    event: None,
    thread: 0,
});

/// Starts the worker thread. Once, while booting.
pub(super) fn start() -> Result<(), NtStatus> {
    let event = event::create(EventKind::Synchronization);
    WORKER.with(|worker| worker.event = Some(event));
    let thread = thread::create("worker", Start::Kernel(run, 0))?;
    WORKER.with(|worker| worker.thread = thread.address());
    Ok(())
}

/// Whether the current thread is the worker thread, which must not wait for what is queued to it.
#[must_use]
pub fn is_worker() -> bool {
    let current = processor::current_thread();
    WORKER.with(|worker| worker.thread != 0 && worker.thread == current)
}

/// Queues `routine(context)` to the system worker thread, where it runs at PASSIVE_LEVEL, in the order of
/// queueing. Callable at DISPATCH_LEVEL and below.
pub fn queue(routine: fn(u64), context: u64) {
    let event = WORKER.with(|worker| {
        worker.items.push_back((routine, context));
        worker.event
    });
    if let Some(event) = event {
        event::set(event);
    }
}

fn run(_context: u64) {
    let event = WORKER.with(|worker| worker.event);
    let event = event.expect("set before the thread was started");
    loop {
        while let Some((routine, context)) = WORKER.with(|worker| worker.items.pop_front()) {
            routine(context);
        }
        wait::wait_single(event.cast(), None);
    }
}
