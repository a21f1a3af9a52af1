//! [`Journal`]: puts the time on events, gives them to the report faces, and keeps the sum.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use control_api::FunctionName;
use fault_injection::CallRule;

use super::device_faults::SeenRule;
use crate::event::{CaseResult, Event, PeakMemory, Record, RegisterCoverage, Summary, Verdict};
use crate::exit_code::Exit;
use crate::report::{Reporter, Reports};

/// The run's memory of itself.
pub struct Journal {
    reports: Reports,
    start: Instant,
    qemu_start: Option<Instant>,
    summary: Summary,
    struck: Option<u64>,
    /// By device under test.
    coverage: BTreeMap<FunctionName, RegisterCoverage>,
    /// Calls that failed as they were told to: routine and call site.
    failed_calls: BTreeSet<(String, String)>,
    /// What the device's rules did.
    fault_rules: Vec<SeenRule>,
}

impl Journal {
    /// Starts the clock.
    #[must_use]
    pub fn new(reports: Reports) -> Self {
        Self {
            reports,
            start: Instant::now(),
            qemu_start: None,
            summary: Summary::default(),
            struck: None,
            coverage: BTreeMap::new(),
            failed_calls: BTreeSet::new(),
            fault_rules: Vec::new(),
        }
    }

    /// Lets one more report face see what comes from now on.
    pub fn add_report(&mut self, face: impl Reporter + 'static) {
        self.reports.add(face);
    }

    /// Gives an event to all report faces.
    pub fn tell(&mut self, event: Event) {
        let time_ms = milliseconds(self.start.elapsed());
        self.reports.record(&Record { time_ms, event });
    }

    /// QEMU is being started; the first time counts.
    pub fn qemu_starts(&mut self) {
        self.qemu_start.get_or_insert_with(Instant::now);
    }

    /// A boot begins; its number, from 1.
    pub const fn next_boot(&mut self) -> u32 {
        self.summary.boots += 1;
        self.summary.boots
    }

    /// A case has its verdict.
    pub fn case_ended(&mut self, result: CaseResult) {
        let is_verdict = !matches!(result.verdict, Verdict::NotRun { .. });
        if is_verdict && self.summary.first_verdict_ms.is_none() {
            self.summary.first_verdict_ms = self.since_qemu_start();
        }
        self.summary.count(&result.verdict);
        self.tell(Event::CaseEnded(result));
    }

    /// A boot's processes had so much memory.
    pub fn peak_memory(&mut self, seen: PeakMemory) {
        self.summary.peak_memory = self.summary.peak_memory.max(seen);
    }

    /// A boot's driver has touched so much of a device's registers.
    pub fn register_coverage(&mut self, device: FunctionName, seen: RegisterCoverage) {
        self.coverage.entry(device).or_default().merge(seen);
    }

    /// A boot's sabotage of the device has struck so often.
    pub fn sabotage_struck(&mut self, times: u64) {
        self.struck = Some(self.struck.unwrap_or(0).saturating_add(times));
    }

    /// Whether a sabotage of the device was set and never struck.
    #[must_use]
    pub const fn sabotage_never_struck(&self) -> bool {
        matches!(self.struck, Some(0))
    }

    /// A call of the driver failed as it was told to.
    pub fn call_failed(&mut self, routine: String, location: String) {
        self.failed_calls.insert((routine, location));
    }

    /// Whether the call that a rule means has failed in any boot.
    #[must_use]
    pub fn has_struck(&self, rule: &CallRule) -> bool {
        let location = rule.location.as_ref().map(ToString::to_string);
        self.failed_calls.iter().any(|(routine, at)| {
            let is_there = |wanted: &String| wanted.eq_ignore_ascii_case(at);
            *routine == rule.routine && location.as_ref().is_none_or(is_there)
        })
    }

    /// The device's rules did this in a boot.
    pub fn faults_seen(&mut self, rules: Vec<SeenRule>) {
        self.fault_rules.extend(rules);
    }

    /// What a rule of the device did, by boot and device under test.
    #[must_use]
    pub fn fault_rule(&self, name: &str) -> Vec<SeenRule> {
        let rules = self.fault_rules.iter();
        rules
            .filter(|seen| seen.rule.name == name)
            .cloned()
            .collect()
    }

    /// Something went wrong that is more than one case's.
    pub fn problem(&mut self, text: String) {
        self.summary.problems.push(text);
    }

    /// The sum so far.
    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }

    /// The run is over; `exit` is how, unless a report cannot be written.
    #[must_use]
    pub fn finish(&mut self, exit: Exit) -> Exit {
        let mut summary = self.summary.clone();
        summary.exit_code = self.exit_with_failures(exit).code();
        summary.total_ms = self.since_qemu_start();
        for failure in self.reports.failures() {
            summary.problems.push(crate::entry::chain(failure));
        }
        let mut coverage = std::mem::take(&mut self.coverage);
        coverage.retain(|_, seen| !seen.registers.is_empty());
        let is_one_of_several = coverage.len() > 1;
        for (device, seen) in coverage {
            self.tell(Event::RegisterCoverage(RegisterCoverage {
                device: is_one_of_several.then(|| device.to_string()),
                ..seen
            }));
        }
        self.tell(Event::RunEnded(summary));
        // The last record may have been the one that could not be written.
        self.exit_with_failures(exit)
    }

    /// Results that nobody can read are no results.
    fn exit_with_failures(&self, exit: Exit) -> Exit {
        if self.reports.failures().is_empty() {
            exit
        } else {
            exit.max(Exit::EnvironmentMissing)
        }
    }

    /// What could not be reported.
    #[must_use]
    pub const fn reports(&self) -> &Reports {
        &self.reports
    }

    fn since_qemu_start(&self) -> Option<u64> {
        self.qemu_start.map(|start| milliseconds(start.elapsed()))
    }
}

/// Whole milliseconds.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
