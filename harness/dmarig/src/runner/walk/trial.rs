//! [`Trial`]: one boot in which one fault strikes, and everything that is to be known of it afterwards.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use contract::{Case, Profile, Remapping};
use qemu::console::{GuestEvent, GuestEventKind};

use super::super::boot::Boot;
use super::super::ending::Ending;
use super::super::journal::Journal;
use super::super::run::Plan;
use super::super::signals::Signals;
use super::super::worker::{Task, TrialCase, TrialLog};
use crate::event::{Event, Record, Verdict};
use crate::faults::Faults;
use crate::report::{ReportError, Reporter, Reports};
use crate::run_folder::RunFolder;

/// Events that are kept of one boot.
const EVENTS_MAX: usize = 1 << 16;

/// What a trial needs.
pub struct Bench<'a> {
    /// Parts and settings.
    pub plan: &'a Plan,
    /// Where sockets lie.
    pub folder: &'a RunFolder,
    /// What may end it.
    pub signals: &'a Signals,
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Why the boot is over.
    pub ending: Ending,
    /// What the guest said.
    pub guest: Vec<GuestEventKind>,
    /// The cases that ended.
    pub cases: Vec<TrialCase>,
    /// How many were to run.
    pub n_cases: usize,
    /// How often the device's rules have struck.
    pub strikes: u64,
    /// What the guest found before the first case.
    pub early_findings: Vec<String>,
    /// What was found when the driver had been unloaded, if it came so far.
    pub unload: Option<Verdict>,
    /// How long it took.
    pub duration: Duration,
}

/// Keeps events.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<Event>>>);

impl Reporter for Recorder {
    fn record(&mut self, record: &Record) -> Result<(), ReportError> {
        if let Ok(mut events) = self.0.lock()
            && events.len() < EVENTS_MAX
        {
            events.push(record.event.clone());
        }
        Ok(())
    }
}

impl Bench<'_> {
    /// Boots with the fault, runs the cases, says farewell.
    pub fn run(
        &self,
        faults: &Faults,
        (profile, remapping): (&'static Profile, Remapping),
        cases: Vec<&'static Case>,
        (number, logs): (u32, &Path),
    ) -> Trial {
        let recorder = Recorder::default();
        let mut reports = Reports::default();
        reports.add(recorder.clone());
        let mut journal = Journal::new(reports);
        let boot = Boot {
            plan: self.plan,
            remapping,
            profile,
            number,
            folder: self.folder,
            logs,
            signals: self.signals,
            faults,
            may_refuse: true,
        };
        let n_cases = cases.len();
        let log = Arc::new(Mutex::new(TrialLog {
            rules: faults.device_rules(),
            ..TrialLog::default()
        }));
        let mut pending: VecDeque<&'static Case> = cases.iter().copied().collect();
        let task = Task::Trial(cases, Arc::clone(&log));
        let start = Instant::now();
        let outcome = boot.run_task(task, &mut pending, &mut journal);
        let events = recorder.0.lock().map(|events| events.clone());
        let log = log.lock().map(|log| log.clone()).unwrap_or_default();
        Trial {
            cases: log.cases,
            strikes: log.strikes,
            n_cases,
            duration: start.elapsed(),
            ..Trial::seen(outcome.ending, &events.unwrap_or_default())
        }
    }
}

impl Trial {
    /// Without cases and time.
    fn seen(ending: Ending, events: &[Event]) -> Self {
        let mut seen = Self {
            ending,
            guest: Vec::new(),
            cases: Vec::new(),
            n_cases: 0,
            strikes: 0,
            early_findings: Vec::new(),
            unload: None,
            duration: Duration::ZERO,
        };
        let mut is_early = true;
        for event in events {
            match event {
                Event::Guest { line, .. } => {
                    let kind = GuestEvent::parse(&line.to_string()).kind;
                    if let (true, GuestEventKind::Finding { id, detail, .. }) = (is_early, &kind) {
                        seen.early_findings.push(format!("{id}: {detail}"));
                    }
                    seen.guest.push(kind);
                }
                Event::CaseStarted { .. } => is_early = false,
                Event::CaseEnded(result) if result.id == "RIG/unload" => {
                    seen.unload = Some(result.verdict.clone());
                }
                _ => {}
            }
        }
        seen
    }

    /// Whether the fault struck.
    pub fn has_struck(&self) -> bool {
        let is_failure = |event| matches!(event, &GuestEventKind::CallFailed { .. });
        self.strikes > 0 || self.guest.iter().any(is_failure)
    }

    /// What the driver answered in place of starting, if it refused.
    pub fn refusal(&self) -> Option<String> {
        self.guest.iter().find_map(|event| match event {
            GuestEventKind::Pnp {
                device,
                irp,
                status,
            } if status.0 >> 31 == 1 => {
                let of = if device.is_empty() { "" } else { " of " };
                Some(format!("{irp}{of}{device} ended with {status}"))
            }
            _ => None,
        })
    }

    /// Whether the guest ended because DriverEntry had failed.
    pub fn has_no_driver(&self) -> bool {
        self.guest.iter().any(|event| match event {
            GuestEventKind::Goodbye { reason } => reason.as_str() == Some("DriverEntry failed"),
            _ => false,
        })
    }

    /// What was left allocated.
    pub fn leaks(&self) -> Vec<String> {
        self.guest
            .iter()
            .filter_map(|event| match event {
                GuestEventKind::Leaks(leaks) => Some(leaks.found()),
                _ => None,
            })
            .flatten()
            .map(|(name, count)| format!("{count} {name}"))
            .collect()
    }
}
