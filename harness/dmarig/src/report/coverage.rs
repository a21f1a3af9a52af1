//! [`CoverageReport`]: `register-coverage.txt`, the table of what the driver has touched.

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
        fs::write(&self.path, coverage.table()).map_err(|source| ReportError {
            path: self.path.clone(),
            source,
        })
    }
}
