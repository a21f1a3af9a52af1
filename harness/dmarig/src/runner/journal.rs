//! [`Journal`]: puts the time on events, gives them to the report faces, and keeps the sum.

use std::time::{Duration, Instant};

use crate::event::{CaseResult, Event, PeakMemory, Record, Summary, Verdict};
use crate::exit_code::Exit;
use crate::report::Reports;

/// The run's memory of itself.
pub struct Journal {
    reports: Reports,
    start: Instant,
    qemu_start: Option<Instant>,
    summary: Summary,
    struck: Option<u64>,
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
        }
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

    /// A boot's sabotage of the device has struck so often.
    pub fn sabotage_struck(&mut self, times: u64) {
        self.struck = Some(self.struck.unwrap_or(0).saturating_add(times));
    }

    /// Whether a sabotage of the device was set and never struck.
    #[must_use]
    pub const fn sabotage_never_struck(&self) -> bool {
        matches!(self.struck, Some(0))
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
