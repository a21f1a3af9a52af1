//! [`JsonReport`]: the event stream as it is, one JSON object a line.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{ReportError, Reporter};
use crate::event::Record;

/// Writes each record at once, so that nothing is lost when the run is killed.
pub struct JsonReport<W> {
    output: W,
    path: PathBuf,
}

impl JsonReport<File> {
    /// Writes to a new file.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: &Path) -> Result<Self, ReportError> {
        let failed = |source| ReportError {
            path: path.into(),
            source,
        };
        Ok(Self {
            output: File::create(path).map_err(failed)?,
            path: path.into(),
        })
    }
}

impl JsonReport<io::Stdout> {
    /// Writes to standard output.
    #[must_use]
    pub fn stdout() -> Self {
        Self {
            output: io::stdout(),
            path: "standard output".into(),
        }
    }
}

impl<W: Write> Reporter for JsonReport<W> {
    fn record(&mut self, record: &Record) -> Result<(), ReportError> {
        let mut line = serde_json::to_vec(record).unwrap_or_default();
        line.push(b'\n');
        self.output
            .write_all(&line)
            .and_then(|()| self.output.flush())
            .map_err(|source| ReportError {
                path: self.path.clone(),
                source,
            })
    }
}
