//! The kernel core comes up: idle thread, clock, DPC interrupt, worker and command threads. And the idle loop.

use core::sync::atomic::{AtomicU64, Ordering};

use super::event::{self, Event, EventKind};
use super::irql::DISPATCH_LEVEL;
use super::thread::Start;
use super::{Foreign, NtStatus, dpc, scheduler, shared_data, thread, timer, wait, work};
use crate::arch::dispatch::{self, CLOCK_VECTOR, DISPATCH_VECTOR, Interrupted};
use crate::arch::guarded::Guarded;
use crate::arch::{apic, clock, images, interrupts};
use crate::console;

/// How long a thread in a driver's code keeps the CPU while others want it: 20 ms.
const QUANTUM: u64 = 200_000;

/// When the running thread's quantum ends.
static QUANTUM_END: AtomicU64 = AtomicU64::new(0);

/// What else is looked at at the idle tick, and looked after in the command thread.
struct Watch {
    is_due: fn() -> bool,
    look_after: fn(),
}

static WATCH: Guarded<Option<Watch>> = Guarded::new(None);

/// Set when command lines wait, or what is watched is due.
static COMMANDS: Guarded<Option<Foreign<Event>>> = Guarded::new(None);

/// Brings the core up; from here on there are threads, and interrupts are on.
///
/// # Errors
/// If there is no memory for the first threads.
pub fn start() -> Result<(), NtStatus> {
    thread::adopt_idle();
    shared_data::map().map_err(|_| NtStatus::INSUFFICIENT_RESOURCES)?;
    clock::calibrate();
    dispatch::set_handler(DISPATCH_VECTOR, Some(on_dispatch));
    dispatch::set_handler(CLOCK_VECTOR, Some(on_tick));
    work::start()?;
    let commands = event::create(EventKind::Synchronization);
    COMMANDS.with(|slot| *slot = Some(commands));
    thread::create("commands", Start::Kernel(run_commands, commands.address()))?;
    apic::start_clock();
    interrupts::enable();
    Ok(())
}

/// Has `is_due` asked at each idle tick from now on, and where it says so `look_after` called at PASSIVE_LEVEL in the
/// thread in which the harness' commands run. One such watch; a later one takes its place.
pub fn watch_at_idle(is_due: fn() -> bool, look_after: fn()) {
    WATCH.with(|watch| *watch = Some(Watch { is_due, look_after }));
}

/// What the boot thread does for the rest of its life: halts, so that the host's CPU is free for the device,
/// and looks at the command port at each tick.
pub fn idle() -> ! {
    loop {
        let is_due = WATCH.with(|watch| watch.as_ref().map(|watch| watch.is_due));
        if console::poll_commands() | is_due.is_some_and(|is_due| is_due()) {
            COMMANDS.with(|slot| *slot).map(event::set);
        }
        thread::clear_away_dead();
        interrupts::disable();
        if scheduler::has_ready() {
            interrupts::enable();
            scheduler::switch();
        } else {
            interrupts::wait();
        }
    }
}

/// The thread in which the harness' commands run.
fn run_commands(event: u64) {
    let event = Foreign::<Event>::checked(event);
    loop {
        console::run_waiting();
        if let Some(look_after) = WATCH.with(|watch| watch.as_ref().map(|watch| watch.look_after)) {
            look_after();
        }
        wait::wait_single(event.cast(), None);
    }
}

/// The clock's interrupt: only tells whether the DISPATCH_LEVEL interrupt has something to do.
fn on_tick(_interrupted: Interrupted) {
    let now = clock::now();
    shared_data::update(now);
    let is_quantum_over = now >= QUANTUM_END.load(Ordering::Relaxed) && scheduler::has_ready();
    if is_quantum_over || timer::is_due(now) || scheduler::is_wait_due(now) {
        dispatch::request_dispatch();
    }
}

/// The interrupt at DISPATCH_LEVEL: timers, time-outs, DPCs, and the end of a quantum.
fn on_dispatch(interrupted: Interrupted) {
    let now = clock::now();
    timer::expire(now);
    scheduler::expire(now);
    dpc::run_queue();
    let is_quantum_over = now >= QUANTUM_END.load(Ordering::Relaxed);
    let is_in_driver = interrupted.old_irql < DISPATCH_LEVEL && images::contains(interrupted.rip);
    if is_quantum_over && is_in_driver && scheduler::has_ready() {
        scheduler::switch();
    }
}

/// A new turn begins.
pub(super) fn restart_quantum() {
    QUANTUM_END.store(clock::now() + QUANTUM, Ordering::Relaxed);
}
