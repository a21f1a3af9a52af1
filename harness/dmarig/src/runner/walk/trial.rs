//! [`Trial`]: one boot in which one fault strikes, and everything that is to be known of it afterwards.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use contract::{Case, Profile, Remapping};
use fault_injection::Point;
use qemu::console::{GuestEvent, GuestEventKind};

use super::super::boot::Boot;
use super::super::ending::Ending;
use super::super::journal::Journal;
use super::super::machine::QEMU_REFUSES;
use super::super::run::Plan;
use super::super::signals::Signals;
use super::super::worker::{Task, TrialPoint};
use super::point_log::PointLog;
use crate::event::{BootEnding, Event, Record, Verdict};
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
    /// The points that were begun.
    pub points: Vec<PointLog>,
    /// How often rules that were there from before QEMU have struck where no case came to be run.
    pub strikes_of_start: u64,
    /// Whether the start of the boot is what was to fail.
    pub is_of_start: bool,
    /// Whether that was an access by which a platform gets to know a device. Nothing mends it before the next boot.
    pub is_of_enumeration: bool,
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
    /// Boots, lets point after point fail, says farewell. `faults` are there from before QEMU starts.
    pub fn run(
        &self,
        faults: &Faults,
        (profile, remapping): (&'static Profile, Remapping),
        points: Vec<TrialPoint>,
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
        let is_of_start = points.iter().any(|point| point.rules_of_start.is_some());
        let cases = points.iter().flat_map(|point| point.cases.iter().copied());
        let mut pending: VecDeque<&'static Case> = cases.collect();
        let log = Arc::new(Mutex::new(Vec::new()));
        let task = Task::Trial(points, Arc::clone(&log));
        let start = Instant::now();
        let outcome = boot.run_task(task, &mut pending, &mut journal);
        let events = recorder.0.lock().map(|events| events.clone());
        let rules = faults.rules.plan.rules.iter();
        let is_of_enumeration = rules.clone().any(|rule| is_of_enumeration(rule.event));
        let seen = rules.flat_map(|rule| journal.fault_rule(&rule.name));
        Trial {
            points: log.lock().map(|log| log.clone()).unwrap_or_default(),
            strikes_of_start: seen.map(|seen| seen.rule.fired).sum(),
            is_of_start,
            is_of_enumeration,
            duration: start.elapsed(),
            ..Trial::seen(outcome.ending, &events.unwrap_or_default())
        }
    }
}

const fn is_of_enumeration(point: Point) -> bool {
    matches!(
        point,
        Point::ConfigRead | Point::ConfigWrite | Point::Link | Point::Reset
    )
}

impl Trial {
    /// Without points and time.
    fn seen(ending: Ending, events: &[Event]) -> Self {
        let mut seen = Self {
            ending,
            guest: Vec::new(),
            points: Vec::new(),
            strikes_of_start: 0,
            is_of_start: false,
            is_of_enumeration: false,
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

    /// Whether the fault of the last point struck.
    pub fn has_struck(&self) -> bool {
        let is_failure = |event| matches!(event, &GuestEventKind::CallFailed { .. });
        let by_the_device = self.points.last().map_or(0, |point| point.strikes);
        by_the_device + self.strikes_of_start > 0 || self.guest.iter().any(is_failure)
    }

    /// Whether QEMU did not take the device whose start went wrong: it ended, or did not come to run the guest.
    pub fn is_refused_by_qemu(&self) -> bool {
        let is_gone = match self.ending.how {
            BootEnding::EnvironmentMissing => self.ending.detail.starts_with(QEMU_REFUSES),
            BootEnding::QemuDied => true,
            _ => false,
        };
        self.is_of_start && is_gone && self.guest.is_empty()
    }

    /// Whether the guest found no device under test.
    pub fn has_no_device(&self) -> bool {
        !self.guest.iter().any(|event| match event {
            GuestEventKind::Pnp { device, .. } => device.starts_with("dut"),
            _ => false,
        })
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
