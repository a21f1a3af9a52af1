//! [`CoverageReport`]: `register-coverage.txt`, the table of what the driver has touched, and the same for programs in
//! `register-coverage.json`.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ReportError, Reporter};
use crate::event::{Event, Record};

/// Name of the file in the output folder.
pub const COVERAGE_FILE: &str = "register-coverage.txt";

/// Writes the table once, at the end of a run.
pub struct CoverageReport {
    path: PathBuf,
}

impl CoverageReport {
    /// Writes to `path`.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.into() }
    }
}

impl Reporter for CoverageReport {
    fn record(&mut self, record: &Record) -> Result<(), ReportError> {
        let Event::RegisterCoverage(coverage) = &record.event else {
            return Ok(());
        };
        let json = serde_json::to_string_pretty(coverage).expect("it is text and numbers");
        let write = |path: PathBuf, text: String| {
            fs::write(&path, text).map_err(|source| ReportError { path, source })
        };
        write(self.path.with_extension("json"), json + "\n")?;
        write(self.path.clone(), coverage.table())
    }
}
