//! One boot: start, cases, farewell.

use std::collections::VecDeque;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use contract::{Case, Remapping};
use qemu::console::GuestExit;

use super::ending::Ending;
use super::journal::Journal;
use super::machine::{Machine, StartError};
use super::run::Plan;
use super::signals::Signals;
use super::watch::{Happening, Over, Watch};
use super::worker::{self, Worker};
use crate::entry::chain;
use crate::event::{BootEnding, CaseResult, Event, Verdict};
use crate::guest::nt;
use crate::rig::MachineRig;
use crate::run_folder::RunFolder;

/// Happenings that may wait for the main thread.
const HAPPENINGS_MAX: usize = 256;
/// Notices that may wait for the running case.
const NOTICES_MAX: usize = 1024;
/// How often the main loop looks after processes, deadlines and signals.
const TICK: Duration = Duration::from_millis(10);
/// How long the guest may take to remove its devices, unload the driver and end.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(20);
/// How long the worker may take to notice that everything is gone.
const WORKER_DEADLINE: Duration = Duration::from_secs(30);

/// What a boot is about.
pub struct Boot<'a> {
    /// The run's plan.
    pub plan: &'a Plan,
    /// The mode.
    pub remapping: Remapping,
    /// Its number.
    pub number: u32,
    /// Where its sockets lie.
    pub folder: &'a RunFolder,
    /// Where its logs go.
    pub logs: &'a Path,
    /// Signals that end it.
    pub signals: &'a Signals,
}

/// How a boot ended.
pub struct BootOutcome {
    /// Why it is over.
    pub ending: Ending,
    /// Whether a case has it as its verdict.
    pub has_culprit: bool,
}

impl Boot<'_> {
    /// Runs the pending cases until they are done or the boot is over. Cases with a verdict leave
    /// `pending`.
    pub fn run(&self, pending: &mut VecDeque<&'static Case>, journal: &mut Journal) -> BootOutcome {
        let (sender, happenings) = sync_channel(HAPPENINGS_MAX);
        let (notices, noticed) = sync_channel(NOTICES_MAX);
        let started = fs::create_dir_all(self.logs)
            .map_err(|source| StartError::File {
                path: self.logs.into(),
                source,
            })
            .and_then(|()| {
                Machine::start(
                    self.plan,
                    self.remapping,
                    self.folder,
                    self.number,
                    self.logs,
                    &sender,
                    || journal.qemu_starts(),
                )
            });
        let (mut machine, client) = match started {
            Ok(started) => started,
            Err(error) => {
                return BootOutcome {
                    ending: error.ending(),
                    has_culprit: false,
                };
            }
        };
        let cases: Vec<&'static Case> = pending.iter().copied().collect();
        let stop = AtomicBool::new(false);
        let worker = Worker {
            rig: MachineRig::new(self.remapping, client, noticed),
            cases: &cases,
            sabotage: self.plan.sabotage,
            patience: self.plan.timeout,
            stop: &stop,
            reports: sender,
        };
        let mut watch = Watch::new(
            journal,
            self.number,
            self.remapping,
            self.plan.timeout,
            pending,
            notices,
            Instant::now(),
        );
        thread::scope(|scope| {
            let handle = scope.spawn(move || worker.work());
            let over = self.watch_until_over(&mut watch, &mut machine, &happenings);
            stop.store(true, Ordering::Relaxed);
            if over != Over::WorkDone {
                let ending = resolve(over, &watch, &mut machine);
                let has_culprit = watch.blame(&ending, Instant::now());
                machine.kill();
                drain(&mut watch, &happenings);
                return BootOutcome {
                    ending,
                    has_culprit,
                };
            }
            let rig = match handle.join() {
                Ok(rig) => rig,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            self.say_farewell(rig, &mut watch, &mut machine, &happenings)
        })
    }

    fn watch_until_over(
        &self,
        watch: &mut Watch<'_>,
        machine: &mut Machine,
        happenings: &Receiver<Happening>,
    ) -> Over {
        loop {
            take_next(watch, happenings);
            if let Some(exit) = machine.look() {
                watch.take(exit, Instant::now());
            }
            if let Some(over) = watch.over(Instant::now(), self.signals.exit()) {
                return over;
            }
        }
    }

    /// After the last case: unload, look for leaks, end the processes in order.
    fn say_farewell(
        &self,
        mut rig: MachineRig,
        watch: &mut Watch<'_>,
        machine: &mut Machine,
        happenings: &Receiver<Happening>,
    ) -> BootOutcome {
        if let Some(sabotage) = self.plan.sabotage
            && let Ok(Some(struck)) = worker::end_sabotage(&mut rig, sabotage)
        {
            watch.journal().tell(Event::Sabotage {
                boot: self.number,
                name: sabotage.name.into(),
                struck,
            });
        }
        let start = Instant::now();
        let over = self.shut_down(watch, machine, happenings);
        let verdict = judge_farewell(over, watch, machine);
        let ending = match &verdict {
            Err(ending) if !matches!(ending.how, BootEnding::Clean) => ending.clone(),
            _ => Ending::new(
                BootEnding::Clean,
                "the driver was unloaded, the guest shut down",
            ),
        };
        let has_culprit = ending.how != BootEnding::Interrupted;
        if has_culprit {
            let result = self.unload_result(verdict, start.elapsed());
            watch.journal().case_ended(result);
        }
        machine.end_qemu();
        let stopped = worker::stop_device(&mut rig)
            .map_err(|error| Ending::new(BootEnding::DeviceDied, chain(&error)))
            .and_then(|()| machine.await_device_end());
        let ending = match stopped {
            Err(device) if ending.how == BootEnding::Clean => {
                return BootOutcome {
                    ending: device,
                    has_culprit: false,
                };
            }
            _ => ending,
        };
        BootOutcome {
            ending,
            has_culprit,
        }
    }

    fn shut_down(
        &self,
        watch: &mut Watch<'_>,
        machine: &mut Machine,
        happenings: &Receiver<Happening>,
    ) -> Over {
        if let Err(error) = machine.command(nt::SHUTDOWN_COMMAND) {
            let text = format!("the guest takes no command on COM1: {error}");
            return Over::Ending(Ending::new(BootEnding::GuestHung, text));
        }
        let deadline = Instant::now() + SHUTDOWN_DEADLINE;
        loop {
            take_next(watch, happenings);
            if let Some(exit) = machine.look() {
                watch.take(exit, Instant::now());
            }
            match watch.over(Instant::now(), self.signals.exit()) {
                Some(Over::WorkDone) | None => {}
                Some(over) => return over,
            }
            if Instant::now() >= deadline {
                let seconds = SHUTDOWN_DEADLINE.as_secs();
                let text = format!("waited {seconds} s for the guest to unload the driver and end");
                return Over::Ending(Ending::new(BootEnding::GuestHung, text));
            }
        }
    }

    /// The check that stands at the end of every boot, as a case of its own.
    fn unload_result(&self, verdict: Result<(), Ending>, duration: Duration) -> CaseResult {
        CaseResult {
            boot: self.number,
            id: "RIG/unload".into(),
            rule: "RIG".into(),
            title: "devices are removed, the driver is unloaded, nothing is left allocated".into(),
            remapping: self.remapping.into(),
            verdict: match verdict {
                Ok(()) => Verdict::Passed,
                Err(ending) => Verdict::Broken {
                    reason: ending.detail,
                },
            },
            duration_ms: duration.as_secs_f64() * 1000.0,
            observations: Vec::new(),
        }
    }
}

/// Takes what happens next, or lets a tick pass.
fn take_next(watch: &mut Watch<'_>, happenings: &Receiver<Happening>) {
    match happenings.recv_timeout(TICK) {
        Ok(happening) => watch.take(happening, Instant::now()),
        Err(RecvTimeoutError::Timeout) => {}
        // All senders have ended; the processes are still to be looked after.
        Err(RecvTimeoutError::Disconnected) => thread::sleep(TICK),
    }
}

/// Lets the worker report to the end after everything was killed, so that it never waits for room.
fn drain(watch: &mut Watch<'_>, happenings: &Receiver<Happening>) {
    let deadline = Instant::now() + WORKER_DEADLINE;
    while !watch.is_worker_done() && Instant::now() < deadline {
        take_next(watch, happenings);
    }
}

fn resolve(over: Over, watch: &Watch<'_>, machine: &mut Machine) -> Ending {
    match over {
        Over::Ending(ending) => ending,
        Over::Device(status) => Ending::from_device_exit(status, &machine.device_stderr()),
        Over::Qemu(status) => {
            Ending::from_qemu_exit(status, watch.last_words(), &machine.qemu_stderr())
        }
        Over::WorkDone => Ending::new(BootEnding::Clean, "all cases were run"),
    }
}

/// Judges how the guest took its leave. An error that is itself [`BootEnding::Clean`] is a guest that
/// ended as asked and left something allocated.
fn judge_farewell(over: Over, watch: &Watch<'_>, machine: &mut Machine) -> Result<(), Ending> {
    let is_clean =
        matches!(over, Over::Qemu(status) if GuestExit::from_status(status) == GuestExit::Clean);
    if !is_clean {
        return Err(resolve(over, watch, machine));
    }
    let Some(leaks) = watch.leaks() else {
        let text = "the guest ended without saying what it leaves allocated";
        return Err(Ending::new(BootEnding::Clean, text));
    };
    let found = leaks.found();
    if found.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = found
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    let text = format!(
        "after the driver was unloaded, {} are left",
        list.join(", ")
    );
    Err(Ending::new(BootEnding::Clean, text))
}
