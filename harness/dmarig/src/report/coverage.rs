//! [`CoverageReport`]: `register-coverage.txt`, the table of what the driver has touched, and the same for programs in
//! `register-coverage.json`: an object, or an array of those of several devices.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ReportError, Reporter};
use crate::event::{Event, Record, RegisterCoverage};

/// Name of the file in the output folder.
pub const COVERAGE_FILE: &str = "register-coverage.txt";

/// Writes the table at the end of a run; where there are several devices under test, one for each.
pub struct CoverageReport {
    path: PathBuf,
    seen: Vec<RegisterCoverage>,
}

impl CoverageReport {
    /// Writes to `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.into(),
            seen: Vec::new(),
        }
    }
}

impl Reporter for CoverageReport {
    fn record(&mut self, record: &Record) -> Result<(), ReportError> {
        let Event::RegisterCoverage(coverage) = &record.event else {
            return Ok(());
        };
        self.seen.push(coverage.clone());
        let json = match &self.seen[..] {
            [alone] => serde_json::to_string_pretty(alone),
            several => serde_json::to_string_pretty(several),
        };
        let json = json.expect("it is text and numbers");
        let tables: Vec<String> = self.seen.iter().map(RegisterCoverage::table).collect();
        let write = |path: PathBuf, text: String| {
            fs::write(&path, text).map_err(|source| ReportError { path, source })
        };
        write(self.path.with_extension("json"), json + "\n")?;
        write(self.path.clone(), tables.join("\n"))
    }
}
