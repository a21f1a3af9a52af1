//! [`JunitReport`]: `junit.xml`, written anew and whole each time; at the end of every boot and of the
//! run, and in between once a second. (Replacing a file costs up to 50 ms on ext4.)

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::{ReportError, Reporter};
use crate::event::{CaseResult, Event, FindingRecord, Record, Verdict};

/// Least time between two writings in the middle of a boot.
const WRITE_INTERVAL_MS: u64 = 1000;

/// Collects results; one JUnit suite for each mode, one test case for each case.
pub struct JunitReport {
    path: PathBuf,
    suite: String,
    results: Vec<CaseResult>,
    /// Of each device under test.
    coverage: Vec<String>,
    total: Duration,
    written_ms: Option<u64>,
}

impl JunitReport {
    /// Writes to `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            suite: "dmarig".into(),
            results: Vec::new(),
            coverage: Vec::new(),
            total: Duration::ZERO,
            written_ms: None,
        }
    }

    fn write(&self) -> Result<(), ReportError> {
        let failed = |source| ReportError {
            path: self.path.clone(),
            source,
        };
        let text = self
            .report()
            .to_string()
            .map_err(|error| failed(std::io::Error::other(error)))?;
        // A reader never sees half a file.
        let fresh = self.path.with_extension("xml.new");
        fs::write(&fresh, text)
            .and_then(|()| fs::rename(&fresh, &self.path))
            .map_err(failed)
    }

    fn report(&self) -> Report {
        let mut report = Report::new(self.suite.as_str());
        report.set_time(self.total);
        let mut modes: Vec<_> = self.results.iter().map(|result| result.remapping).collect();
        modes.dedup();
        for mode in modes {
            let name = format!("{}.remapping-{}", self.suite, mode.name());
            let mut suite = TestSuite::new(name.as_str());
            let results = self
                .results
                .iter()
                .filter(|result| result.remapping == mode);
            suite.add_test_cases(results.clone().map(|result| test_case(result, &name)));
            suite.set_time(results.map(duration).sum());
            if !self.coverage.is_empty() {
                suite.set_system_out(self.coverage.join("\n").as_str());
            }
            report.add_test_suite(suite);
        }
        report
    }
}

impl Reporter for JunitReport {
    fn record(&mut self, record: &Record) -> Result<(), ReportError> {
        self.total = Duration::from_millis(record.time_ms);
        match &record.event {
            Event::RunStarted { suite, .. } => self.suite = suite.clone(),
            Event::CaseEnded(result) => {
                self.results.push(result.clone());
                let is_recent =
                    |written| record.time_ms.saturating_sub(written) < WRITE_INTERVAL_MS;
                if self.written_ms.is_some_and(is_recent) {
                    return Ok(());
                }
            }
            Event::RegisterCoverage(coverage) => {
                self.coverage.push(coverage.table());
                return Ok(());
            }
            Event::BootEnded { .. } | Event::RunEnded(_) => {}
            _ => return Ok(()),
        }
        self.written_ms = Some(record.time_ms);
        self.write()
    }
}

fn test_case(result: &CaseResult, classname: &str) -> TestCase {
    let mut case = TestCase::new(result.id.as_str(), status(&result.verdict));
    case.set_classname(classname);
    case.set_time(duration(result));
    case.add_property(("rule", result.rule.as_str()));
    case.add_property(("title", result.title.as_str()));
    let mut lines = result.observations.clone();
    if let Some(history) = &result.buffer_history {
        lines.extend(history.lines());
    }
    if !lines.is_empty() {
        case.set_system_out(lines.join("\n"));
    }
    case
}

fn status(verdict: &Verdict) -> TestCaseStatus {
    match verdict {
        Verdict::Passed => TestCaseStatus::success(),
        Verdict::Failed { findings } => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            if let Some(first) = findings.first() {
                status.set_type(format!("{} view", first.view));
                status.set_message(describe(first));
            }
            let all: Vec<String> = findings.iter().map(describe).collect();
            status.set_description(all.join("\n"));
            status
        }
        Verdict::Broken { reason } => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type("broken");
            status.set_message(reason.as_str());
            status
        }
        Verdict::Skipped { reason } | Verdict::NotRun { reason } => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason.as_str());
            status
        }
    }
}

/// One finding in one line.
pub fn describe(finding: &FindingRecord) -> String {
    let mut text = format!("{} view: {}", finding.view, finding.what);
    if let Some(buffer) = &finding.buffer {
        text.push_str(", buffer ");
        text.push_str(buffer);
    }
    if let Some(address) = &finding.logical_address {
        text.push_str(", logical address ");
        text.push_str(address);
    }
    format!(
        "{text}: expected {}, seen {}",
        finding.expected, finding.seen
    )
}

fn duration(result: &CaseResult) -> Duration {
    Duration::try_from_secs_f64(result.duration_ms / 1000.0).unwrap_or_default()
}

#[cfg(test)]
mod tests;
