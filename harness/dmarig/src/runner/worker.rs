//! The worker: the thread of a boot that talks to the device process and runs the cases.
//!
//! It knows nothing of processes or deadlines of cases; it reports each step to the main thread and
//! ends when its cases are done, the rig breaks, or it is told to stop.

mod trial;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use contract::{Case, CaseReport, Rig, RigError, Step, StepResult};
use control_api::ClientError;
use control_api::request::{
    Hello, MailboxWaitAttached, SabotageClear, SabotageList, SabotageSet, Stop,
};
use dmarig_abi::mailbox::{CONTEXT_CONTROL_THREAD, MAILBOX_VERSION};

use super::explore::{Search, Sign};
use super::proof::{self, ProofError};
use super::walk::PointLog;
use super::watch::Happening;
use crate::entry::chain;
use crate::event::PassedPoint;
use crate::rig::{MachineRig, Trouble, milliseconds};
use crate::sabotage::{Place, Sabotage};

pub use trial::TrialPoint;

/// Value that the driver must echo before any case runs.
const PING_VALUE: u64 = 0x1234_5678_9abc_def0;

/// How long one question for the driver may wait; between two the worker sees whether it is to stop.
const ATTACH_SLICE: Duration = Duration::from_millis(100);
/// How often we ask whether the device is started.
const START_INTERVAL: Duration = Duration::from_millis(2);

/// What the worker reports.
#[derive(Debug)]
pub enum WorkerReport {
    /// The driver reads the mailbox.
    Attached,
    /// The mode of remapping is what was asked for.
    Proven(String),
    /// The next case begins.
    CaseStarted,
    /// The case, or before the first one the start, has passed these points of fault injection.
    Passed(Vec<PassedPoint>),
    /// The case has ended.
    CaseEnded {
        /// Its verdict, or how the rig broke.
        report: Result<CaseReport, RigError>,
        /// What kind of trouble it was, if the rig broke.
        trouble: Option<Trouble>,
        /// How long it took.
        duration: Duration,
    },
    /// A search tells of itself.
    Searching(Sign),
    /// The rig broke under a search.
    SearchBroke {
        /// How.
        error: RigError,
        /// What kind of trouble it was.
        trouble: Option<Trouble>,
    },
    /// The worker could not get to the first case.
    SetUpFailed(SetUpError),
    /// Nothing more will come.
    Done,
}

/// Why no case could run.
#[derive(Debug, thiserror::Error)]
pub enum SetUpError {
    /// No driver came.
    #[error("waited {} s for the driver to read the mailbox", .waited.as_secs())]
    NotAttached {
        /// How long.
        waited: Duration,
    },
    /// The driver came, and its device does not.
    #[error("waited {} s for the driver to start the device under test", .waited.as_secs())]
    NotStarted {
        /// How long.
        waited: Duration,
    },
    /// A device will not come.
    #[error(
        "no device under test was started: there is none for the driver, or it refused to start it"
    )]
    Refused,
    /// The driver does not do as it is told.
    #[error("the driver does not answer a ping: {0}")]
    Ping(String),
    /// The mode is not proven.
    #[error(transparent)]
    Proof(ProofError),
    /// What was counted or loaded for the start cannot be had or ended.
    #[error("after the start: {error}")]
    Start {
        /// How the rig broke.
        error: RigError,
        /// What kind of trouble it was.
        trouble: Option<Trouble>,
    },
    /// The device process speaks another version.
    #[error(
        "the device process speaks version {theirs} of the mailbox, dmarig version {MAILBOX_VERSION}\nhelp: build both from the same sources"
    )]
    Version {
        /// Its version.
        theirs: u32,
    },
    /// The device process does not answer.
    #[error(transparent)]
    Client(ClientError),
    /// It was told to stop.
    #[error("stopped before the driver was there")]
    Stopped,
}

impl From<ClientError> for SetUpError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

/// What a worker does once everything is up.
pub enum Task {
    /// Runs these cases, in order.
    Cases(Vec<&'static Case>),
    /// Tries these fault points, in order, up to the first that is not survived; tells of each what is needed to
    /// judge it.
    Trial(Vec<TrialPoint>, Arc<Mutex<Vec<PointLog>>>),
    /// Goes on with this search.
    Search(Arc<Mutex<Search>>),
}

/// What a worker needs for its boot.
pub struct Worker {
    /// The rig.
    pub rig: MachineRig,
    /// What to do.
    pub task: Task,
    /// Whether the points of fault injection are counted, of the start and by case.
    pub record_points: bool,
    /// Part that is to misbehave.
    pub sabotage: Option<&'static Sabotage>,
    /// Devices under test that the driver is to start.
    pub driven_duts: u16,
    /// How often rules for the start of the boot have struck.
    pub strikes_of_start: u64,
    /// Longest wait for the driver.
    pub patience: Duration,
    /// Whether to stop before the next case.
    pub stop: Arc<AtomicBool>,
    /// The main thread.
    pub reports: SyncSender<Happening>,
}

impl Worker {
    /// Does everything; gives the rig back for the farewell.
    pub fn work(mut self) -> MachineRig {
        match self.set_up() {
            Ok(()) => self.do_task(),
            Err(SetUpError::Stopped) => {}
            Err(error) => self.report(WorkerReport::SetUpFailed(error)),
        }
        self.report(WorkerReport::Done);
        self.rig
    }

    fn set_up(&mut self) -> Result<(), SetUpError> {
        let hello = self.rig.call(&Hello {})?;
        if hello.abi_version != MAILBOX_VERSION {
            let theirs = hello.abi_version;
            return Err(SetUpError::Version { theirs });
        }
        self.await_driver()?;
        self.report(WorkerReport::Attached);
        self.await_device()?;
        if let Err(error) = self.end_of_start() {
            let trouble = self.rig.trouble();
            return Err(SetUpError::Start { error, trouble });
        }
        self.rig.set_duts(self.driven_duts);
        let evidence = self.rig.each_dut(proof::prove);
        let evidence = evidence.map_err(SetUpError::Proof)?;
        self.report(WorkerReport::Proven(evidence.join("; ")));
        if let Some(Place::Device(name)) = self.sabotage.map(|sabotage| sabotage.place) {
            self.rig.each_dut(|rig| {
                let function = rig.function();
                rig.call(&SabotageSet {
                    function,
                    name,
                    times: None,
                })
            })?;
        }
        Ok(())
    }

    fn await_driver(&mut self) -> Result<(), SetUpError> {
        let waited = self.patience;
        let start = Instant::now();
        loop {
            let slice = ATTACH_SLICE.min(waited.saturating_sub(start.elapsed()));
            let wait = MailboxWaitAttached {
                timeout_ms: milliseconds(slice),
            };
            match self.rig.call_patiently(&wait, slice) {
                Ok(_) => return Ok(()),
                Err(error) if error.code() == Some(control_api::rpc::CODE_TIMEOUT) => {}
                Err(error) => return Err(error.into()),
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(SetUpError::Stopped);
            }
            if start.elapsed() >= waited {
                return Err(SetUpError::NotAttached { waited });
            }
        }
    }

    /// Waits until the driver has started the devices under test, too: the mailbox belongs to the
    /// control function, which is started by itself. A driver in the middle of a start may be busy.
    fn await_device(&mut self) -> Result<(), SetUpError> {
        let waited = self.patience;
        let start = Instant::now();
        let steps = [Step::ping(PING_VALUE), Step::query_driver()];
        loop {
            match self.rig.run(CONTEXT_CONTROL_THREAD, &steps) {
                Ok(results) => {
                    if n_started_devices(&results)? >= self.driven_duts.into() {
                        return Ok(());
                    }
                }
                Err(_) if self.rig.trouble() == Some(Trouble::DriverBusy) => {}
                Err(error) => return Err(SetUpError::Ping(chain(&error))),
            }
            if self.stop.load(Ordering::Relaxed) {
                return Err(SetUpError::Stopped);
            }
            if start.elapsed() >= waited {
                return Err(SetUpError::NotStarted { waited });
            }
            thread::sleep(START_INTERVAL);
        }
    }

    fn do_task(&mut self) {
        match std::mem::replace(&mut self.task, Task::Cases(Vec::new())) {
            Task::Cases(cases) => self.run_cases(cases),
            Task::Trial(points, log) => self.try_points(points, &log),
            Task::Search(search) => self.search(&search),
        }
    }

    fn search(&mut self, search: &Mutex<Search>) {
        let Ok(mut search) = search.lock() else {
            return;
        };
        let reports = self.reports.clone();
        let mut tell = |sign| {
            // As of `report`.
            let _ = reports.send(Happening::Worker(WorkerReport::Searching(sign)));
        };
        if let Err(error) = search.work(&mut self.rig, &self.stop, &mut tell) {
            let trouble = self.rig.trouble();
            self.report(WorkerReport::SearchBroke { error, trouble });
        }
    }

    fn run_cases(&mut self, cases: Vec<&'static Case>) {
        for case in cases {
            let counted = |worker: &mut Self| {
                if worker.record_points {
                    worker.rig.record_points()?;
                }
                let report = case.run(&mut worker.rig)?;
                worker.tell_points().map(|()| report)
            };
            if self.stop.load(Ordering::Relaxed) || self.run_case(counted).is_none() {
                return;
            }
        }
    }

    /// Runs one case in this way and reports it; `None` where the rig broke.
    fn run_case(
        &mut self,
        run: impl FnOnce(&mut Self) -> Result<CaseReport, RigError>,
    ) -> Option<CaseReport> {
        self.report(WorkerReport::CaseStarted);
        self.rig.begin_case();
        let start = Instant::now();
        let report = run(self);
        let kept = report.as_ref().ok().cloned();
        self.report(WorkerReport::CaseEnded {
            report,
            trouble: self.rig.trouble(),
            duration: start.elapsed(),
        });
        kept
    }

    /// Reports the points of fault injection that were counted, if they are. A case that loads rules of its own has
    /// none: it would take a walk's rule away.
    fn tell_points(&mut self) -> Result<(), RigError> {
        if self.record_points && !self.rig.has_loaded_faults() {
            let points = self.rig.take_points()?;
            let passed = points.into_iter().map(|point| PassedPoint {
                point: point.point,
                channel: point.channel,
                hits: point.hits,
            });
            self.report(WorkerReport::Passed(passed.collect()));
        }
        Ok(())
    }

    fn report(&self, report: WorkerReport) {
        // The main thread takes reports until `Done`; without it there is nobody to tell.
        let _ = self.reports.send(Happening::Worker(report));
    }
}

/// Checks the echo; how many devices under test are started.
fn n_started_devices(results: &[StepResult]) -> Result<u64, SetUpError> {
    let [echo, driver] = results else {
        return Err(SetUpError::Ping("no result".into()));
    };
    let is_echo = echo.is_success() && echo.result.value[0] == PING_VALUE;
    if is_echo && driver.is_success() {
        return Ok(driver.result.value[1]);
    }
    Err(SetUpError::Ping(format!(
        "{}, value {:#x}, then {}",
        echo.describe(),
        echo.result.value[0],
        driver.describe()
    )))
}

/// How often the sabotage has struck in each device under test; ends it.
pub fn end_sabotage(
    rig: &mut MachineRig,
    sabotage: &Sabotage,
) -> Result<Option<Vec<u64>>, ClientError> {
    let Place::Device(name) = sabotage.place else {
        return Ok(None);
    };
    let struck = rig.each_dut(|rig| {
        let function = rig.function();
        let list = rig.call(&SabotageList { function })?;
        let state = list.sabotages.iter().find(|state| state.name == name);
        Ok(state.map_or(0, |state| state.struck))
    })?;
    rig.call(&SabotageClear {})?;
    Ok(Some(struck))
}

/// Tells the device process to stop.
pub fn stop_device(rig: &mut MachineRig) -> Result<(), ClientError> {
    rig.call(&Stop {}).map(|_| ())
}
