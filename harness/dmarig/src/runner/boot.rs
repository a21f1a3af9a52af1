//! One boot: start, cases, and then the [`Farewell`].

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use contract::{Case, Profile, Remapping};
use control_api::FunctionName;
use qemu::console::Tap;

use super::coverage;
use super::crew::Crew;
use super::device_faults;
use super::ending::Ending;
use super::farewell::Farewell;
use super::history;
use super::journal::Journal;
use super::machine::{Machine, StartError};
use super::recording::RecordedRun;
use super::run::Plan;
use super::signals::Signals;
use super::watch::{Culprit, Happening, Over, Watch};
use super::worker::{Task, Worker};
use crate::entry::chain;
use crate::event::{BootEnding, Event};
use crate::faults::Faults;
use crate::rig::{AskMark, Inbox, MachineRig};
use crate::run_folder::RunFolder;

/// Happenings that may wait for the main thread.
const HAPPENINGS_MAX: usize = 256;
/// Notices that may wait for the running case.
const NOTICES_MAX: usize = 1024;
/// How often the main loop looks after processes, deadlines and signals.
const TICK: Duration = Duration::from_millis(10);
/// How long QEMU's console may take to be read to where it is.
const CONSOLE_DEADLINE: Duration = Duration::from_secs(5);
/// How long the worker may take to notice that everything is gone.
const WORKER_DEADLINE: Duration = Duration::from_secs(30);

/// What a boot is about.
pub struct Boot<'a> {
    /// The run's plan.
    pub plan: &'a Plan,
    /// The mode.
    pub remapping: Remapping,
    /// What its cases need.
    pub profile: &'static Profile,
    /// Its number.
    pub number: u32,
    /// Where its sockets lie.
    pub folder: &'a RunFolder,
    /// Where its logs go.
    pub logs: &'a Path,
    /// Signals that end it.
    pub signals: &'a Signals,
    /// What goes wrong in it on purpose.
    pub faults: &'a Faults,
    /// Whether the farewell of a driver that refuses to start is said at once. Otherwise it is waited for.
    pub may_refuse: bool,
}

/// How a boot ended.
pub struct BootOutcome {
    /// Why it is over.
    pub ending: Ending,
    /// Who has it as its verdict.
    pub culprit: Culprit,
}

impl BootOutcome {
    const fn without_culprit(ending: Ending) -> Self {
        Self {
            ending,
            culprit: Culprit::Nobody,
        }
    }
}

impl Boot<'_> {
    /// Runs the pending cases until they are done or the boot is over. Cases with a verdict leave
    /// `pending`.
    pub fn run(&self, pending: &mut VecDeque<&'static Case>, journal: &mut Journal) -> BootOutcome {
        let task = Task::Cases(pending.iter().copied().collect());
        self.run_task(task, pending, journal)
    }

    /// Does a task until it is done or the boot is over.
    pub fn run_task(
        &self,
        task: Task,
        pending: &mut VecDeque<&'static Case>,
        journal: &mut Journal,
    ) -> BootOutcome {
        let (sender, happenings) = sync_channel(HAPPENINGS_MAX);
        let (notices, noticed) = sync_channel(NOTICES_MAX);
        let started = fs::create_dir_all(self.logs)
            .map_err(|source| StartError::File {
                path: self.logs.into(),
                source,
            })
            .and_then(|()| self.prepare_recording(&task, pending))
            .and_then(|()| Machine::start(self, &sender, || journal.qemu_starts()));
        let (mut machine, client) = match started {
            Ok(started) => started,
            Err(error) => {
                return BootOutcome::without_culprit(error.ending());
            }
        };
        let orders = match machine.orders() {
            Ok(orders) => orders,
            Err(error) => {
                let text = format!("cannot duplicate COM1's socket: {error}");
                let ending = Ending::new(BootEnding::EnvironmentMissing, text);
                return BootOutcome::without_culprit(ending);
            }
        };
        let stop = Arc::new(AtomicBool::new(false));
        let worker = Worker {
            rig: MachineRig::new(
                self.remapping,
                self.profile.memory,
                client,
                Inbox::new(
                    noticed,
                    ask_mark(machine.take_console_tap(), sender.clone()),
                ),
                orders,
                machine.hot_plug(),
            ),
            task,
            record_points: self.faults.record_points,
            sabotage: self.plan.sabotage,
            driven_duts: self.driven_duts(),
            strikes_of_start: 0,
            patience: self.plan.timeout,
            stop: Arc::clone(&stop),
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
        if self.may_refuse {
            watch.expect_refusal();
        }
        let crew = match Crew::start(move || worker.work()) {
            Ok(crew) => crew,
            Err(error) => return BootOutcome::without_culprit(no_thread(&error)),
        };
        let over = self.watch_until_over(&mut watch, &mut machine, &happenings, &crew);
        stop.store(true, Ordering::Relaxed);
        machine.note_peak_memory();
        watch.journal().peak_memory(machine.peak_memory());
        if over != Over::WorkDone && over != Over::Refused {
            let ending = resolve(over, &watch, &mut machine);
            let now = Instant::now();
            let history = watch
                .words_of_stop(&ending)
                .map(|words| history::read(machine.control_socket(), &words, self.n_duts()));
            let culprit = watch.blame(&ending, history, now);
            self.note_faults(watch.journal(), &machine);
            if ending.stop.is_some() {
                self.note_coverage(watch.journal(), &machine);
            }
            machine.kill();
            let ending = dismiss(crew, &mut watch, &happenings)
                .err()
                .unwrap_or(ending);
            return BootOutcome { ending, culprit };
        }
        match crew.join() {
            Ok(rig) => Farewell {
                boot: self,
                rig,
                watch,
                machine,
                happenings,
            }
            .say(),
            Err(ending) => BootOutcome::without_culprit(ending),
        }
    }

    /// Devices under test that the machine has.
    pub(super) fn n_duts(&self) -> u16 {
        self.plan.n_duts(self.profile)
    }

    /// The profile's file for the first device, where the user's will not do: one that comes and goes may be the
    /// user's own, and so may one with a remapping unit where the cases look for it.
    pub(super) fn profile_device(&self) -> Option<&'static str> {
        let first = self.plan.devices.first();
        let is_fit = first.is_some_and(|device| {
            let has_unit = device.is_ours && device.has_unit;
            self.profile.hot_plug || (self.profile.has_own_iommu() && has_unit)
        });
        self.profile.device.filter(|_| !is_fit)
    }

    /// Those that our driver starts: it knows them by their IDs.
    fn driven_duts(&self) -> u16 {
        let replaced = usize::from(self.profile_device().is_some());
        let ours = self.plan.devices.iter().skip(replaced);
        let n_ours = replaced + ours.take_while(|device| device.is_ours).count();
        let n_ours = u16::try_from(n_ours).expect("there are 8 at most");
        self.profile.duts.max(n_ours)
    }

    /// Writes what is run beside what the device will record of it. Of a trial that is its first point: the others
    /// have recordings of their own where they go badly.
    fn prepare_recording(
        &self,
        task: &Task,
        cases: &VecDeque<&'static Case>,
    ) -> Result<(), StartError> {
        if !self.plan.record {
            return Ok(());
        }
        let point = match task {
            Task::Trial(points, _) => points.first(),
            _ => None,
        };
        let rules = point.and_then(|point| point.rules.as_deref());
        let n_cases = point.map_or(cases.len(), |point| point.cases.len());
        RecordedRun::of(self, cases.iter().copied().take(n_cases), rules)
            .write(self.logs, rules.unwrap_or(&self.faults.text))
            .map_err(|(path, source)| StartError::File { path, source })
    }

    /// Asks each device under test what the driver has touched.
    fn note_coverage(&self, journal: &mut Journal, machine: &Machine) {
        for function in (0..self.n_duts()).map(FunctionName::Dut) {
            if let Ok(coverage) = coverage::read(machine.control_socket(), function) {
                journal.register_coverage(function, coverage);
            }
        }
    }

    /// Asks the device what its rules did, if it has any.
    pub(super) fn note_faults(&self, journal: &mut Journal, machine: &Machine) {
        if self.faults.rules.plan.rules.is_empty() {
            return;
        }
        match device_faults::read(machine.control_socket(), self.number, self.n_duts()) {
            Ok(rules) => journal.faults_seen(rules),
            Err(error) => {
                let text = format!(
                    "boot {}: what the fault rules did cannot be read: {}",
                    self.number,
                    chain(&error)
                );
                journal.tell(Event::Note { text });
            }
        }
    }

    fn watch_until_over<T: Send + 'static>(
        &self,
        watch: &mut Watch<'_>,
        machine: &mut Machine,
        happenings: &Receiver<Happening>,
        crew: &Crew<T>,
    ) -> Over {
        loop {
            // Asked first, so that whatever the worker has reported is in the channel.
            let is_worker_gone = crew.is_finished();
            take_next(watch, happenings);
            if let Some(exit) = machine.look() {
                watch.take(exit, Instant::now());
            }
            if let Some(over) = watch.over(Instant::now(), self.signals.exit()) {
                return over;
            }
            if is_worker_gone && !watch.is_worker_done() {
                while let Ok(happening) = happenings.try_recv() {
                    watch.take(happening, Instant::now());
                }
                if !watch.is_worker_done() {
                    let text = "the harness failed: its worker ended before its work was done";
                    return Over::Ending(Ending::new(BootEnding::HarnessFailed, text));
                }
            }
        }
    }
}

/// Takes what happens next, or lets a tick pass.
pub(super) fn take_next(watch: &mut Watch<'_>, happenings: &Receiver<Happening>) {
    match happenings.recv_timeout(TICK) {
        Ok(happening) => watch.take(happening, Instant::now()),
        Err(RecvTimeoutError::Timeout) => {}
        // All senders have ended; the processes are still to be looked after.
        Err(RecvTimeoutError::Disconnected) => thread::sleep(TICK),
    }
}

/// After everything was killed: takes what the worker still reports, so that it never waits for room,
/// until it has ended.
///
/// # Errors
/// It panicked, or does not end; then it is left behind.
fn dismiss<T: Send + 'static>(
    crew: Crew<T>,
    watch: &mut Watch<'_>,
    happenings: &Receiver<Happening>,
) -> Result<(), Ending> {
    let deadline = Instant::now() + WORKER_DEADLINE;
    while !crew.is_finished() {
        if Instant::now() >= deadline {
            let seconds = WORKER_DEADLINE.as_secs();
            let text = format!("the harness failed: waited {seconds} s for its worker to end");
            return Err(Ending::new(BootEnding::HarnessFailed, text));
        }
        take_next(watch, happenings);
    }
    crew.join().map(drop)
}

fn no_thread(error: &io::Error) -> Ending {
    let text = format!("cannot start a thread: {error}");
    Ending::new(BootEnding::EnvironmentMissing, text)
}

/// Marks go the way of the console's lines, once all of those are on it.
fn ask_mark(tap: Option<Tap>, happenings: SyncSender<Happening>) -> AskMark {
    Box::new(move |number| {
        if tap
            .as_ref()
            .is_none_or(|tap| tap.await_handled(CONSOLE_DEADLINE))
        {
            let _ = happenings.send(Happening::Mark(number));
        }
    })
}

pub(super) fn resolve(over: Over, watch: &Watch<'_>, machine: &mut Machine) -> Ending {
    match over {
        Over::Ending(ending) => ending,
        Over::Device(status) => Ending::from_device_exit(status, &machine.device_stderr()),
        Over::Qemu(status) => {
            Ending::from_qemu_exit(status, watch.last_words(), &machine.qemu_stderr())
        }
        Over::WorkDone | Over::Refused => Ending::new(BootEnding::Clean, "all cases were run"),
    }
}
