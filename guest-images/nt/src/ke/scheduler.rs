//! Which thread runs. Threads give the CPU up by waiting or yielding; a thread in a driver's code also at the
//! end of its quantum, so that a driver that polls does not stop the others. The kernel's own code is never
//! switched away from unasked.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::dispatcher::DispatcherHeader;
use super::thread::Start;
use super::wait_table::{Wait, WaitTable, Woken};
use super::{Foreign, NtStatus};
use crate::arch::guarded::Guarded;
use crate::arch::irql::{self, DISPATCH_LEVEL};
use crate::arch::{context, interrupts, processor};
use crate::memory::VirtAddr;

/// What is kept of a thread, apart from the block that drivers see.
#[derive(Debug)]
pub(super) struct Record {
    pub name: &'static str,
    pub start: Start,
    pub state: State,
    /// Lowest address of its stack; none for the boot stack.
    pub stack: Option<VirtAddr>,
    /// Stack pointer while it does not run.
    pub saved: u64,
    pub references: u32,
    pub wait_status: NtStatus,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Running,
    Waiting,
    Ended(NtStatus),
}

pub(super) struct Scheduler {
    pub threads: BTreeMap<u64, Record>,
    pub waits: WaitTable,
    ready: VecDeque<u64>,
    idle: u64,
}

/// All threads.
pub(super) static SCHEDULER: Guarded<Scheduler> = Guarded::new(Scheduler {
    threads: BTreeMap::new(),
    waits: WaitTable::new(),
    ready: VecDeque::new(),
    idle: 0,
});

impl Scheduler {
    /// Adds the thread that runs when no other does.
    pub fn add_idle(&mut self, thread: u64, record: Record) {
        self.idle = thread;
        self.threads.insert(thread, record);
    }

    /// Adds a thread that is ready.
    pub fn add(&mut self, thread: u64, record: Record) {
        self.threads.insert(thread, record);
        self.ready.push_back(thread);
    }

    /// Sets an object's state and wakes whom it satisfies.
    pub fn signal(&mut self, object: Foreign<DispatcherHeader>, state: i32) {
        object.set_state(state);
        let woken = self.waits.on_signal(object);
        self.wake(&woken);
    }

    fn wake(&mut self, woken: &[Woken]) {
        for Woken { thread, status } in woken {
            if let Some(record) = self.threads.get_mut(thread) {
                record.wait_status = *status;
                record.state = State::Ready;
                self.ready.push_back(*thread);
            }
        }
    }

    /// Makes the next thread the current one. `None` if that is the one that runs; otherwise where to save the
    /// stack pointer, and the one to take.
    fn choose(&mut self, current: u64) -> Option<(*mut u64, u64)> {
        let is_running = self.state(current) == Some(State::Running);
        if is_running && self.ready.is_empty() {
            return None;
        }
        if is_running && current != self.idle {
            self.ready.push_back(current);
        }
        if is_running {
            self.set_state(current, State::Ready);
        }
        let next = self.ready.pop_front().unwrap_or(self.idle);
        self.set_state(next, State::Running);
        super::startup::restart_quantum();
        processor::set_current_thread(next);
        if next == current {
            return None;
        }
        let to = self.threads.get(&next)?.saved;
        let from = &raw mut self.threads.get_mut(&current)?.saved;
        Some((from, to))
    }

    fn state(&self, thread: u64) -> Option<State> {
        self.threads.get(&thread).map(|record| record.state)
    }

    pub fn set_state(&mut self, thread: u64, state: State) {
        if let Some(record) = self.threads.get_mut(&thread) {
            record.state = state;
        }
    }

    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }
}

/// Signals an object; see [`Scheduler::signal`].
pub(super) fn signal(object: Foreign<DispatcherHeader>, state: i32) {
    SCHEDULER.with(|scheduler| scheduler.signal(object, state));
}

/// Ends the waits whose time is up.
pub(super) fn expire(now: u64) {
    SCHEDULER.with(|scheduler| {
        let woken = scheduler.waits.expire(now);
        scheduler.wake(&woken);
    });
}

/// Waits, unless the wait is satisfied at once or `only_tries`.
pub(super) fn wait(wait: Wait, only_tries: bool) -> NtStatus {
    let thread = wait.thread;
    let outcome = SCHEDULER.with(|scheduler| {
        if let Some(status) = wait.try_take() {
            return Some(status);
        }
        if only_tries {
            return Some(NtStatus::TIMEOUT);
        }
        scheduler.waits.add(wait);
        scheduler.set_state(thread, State::Waiting);
        None
    });
    outcome.unwrap_or_else(|| {
        switch();
        SCHEDULER.with(|scheduler| {
            let record = scheduler.threads.get(&thread);
            record.map_or(NtStatus::TIMEOUT, |record| record.wait_status)
        })
    })
}

/// Lets the next ready thread run; returns when this one's turn comes again.
pub(super) fn switch() {
    let old = irql::current();
    irql::set(old.max(DISPATCH_LEVEL));
    interrupts::without(|| {
        let current = processor::current_thread();
        if let Some((from, to)) = SCHEDULER.with(|scheduler| scheduler.choose(current)) {
            enter(from, to);
        }
    });
    irql::set(old);
}

/// Whether another thread waits for the CPU.
pub(super) fn has_ready() -> bool {
    SCHEDULER.with(|scheduler| scheduler.has_ready())
}

/// When the next wait ends by itself.
pub(super) fn is_wait_due(now: u64) -> bool {
    SCHEDULER.with(|scheduler| {
        scheduler
            .waits
            .next_deadline()
            .is_some_and(|due| due <= now)
    })
}

/// Threads that have ended and whose stack is still there: all but the running one can be cleared away.
pub(super) fn take_dead_stacks() -> Vec<VirtAddr> {
    SCHEDULER.with(|scheduler| {
        let current = processor::current_thread();
        let mut stacks = Vec::new();
        for (thread, record) in &mut scheduler.threads {
            if *thread != current && matches!(record.state, State::Ended(_)) {
                stacks.extend(record.stack.take());
            }
        }
        stacks
    })
}

#[expect(unsafe_code, reason = "changes the stack")]
fn enter(from: *mut u64, to: u64) {
    // SAFETY: `choose` gives a stack that was saved or prepared and makes it the current one; interrupts are
    // off and the scheduler's guard is free. The record that `from` lies in is not moved before the save, for
    // nothing runs in between.
    unsafe { context::switch(from, to) };
}
