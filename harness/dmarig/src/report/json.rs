//! [`JsonReport`]: the event stream as it is, one JSON object a line.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{ReportError, Reporter};
use crate::event::{Event, Record};

/// Writes each record at once, so that nothing is lost when the run is killed.
pub struct JsonReport<W> {
    output: W,
    path: PathBuf,
    /// Device and number of the file, to see whether it is still the one at `path`.
    identity: Option<(u64, u64)>,
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
        let output = File::create(path).map_err(failed)?;
        let metadata = output.metadata().map_err(failed)?;
        Ok(Self {
            output,
            path: path.into(),
            identity: Some((metadata.dev(), metadata.ino())),
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
            identity: None,
        }
    }
}

impl<W> JsonReport<W> {
    /// A file that was removed or replaced under us takes every line and keeps none.
    fn check_place(&self) -> io::Result<()> {
        let Some(identity) = self.identity else {
            return Ok(());
        };
        let is_same = fs::metadata(&self.path)
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == identity);
        if is_same {
            Ok(())
        } else {
            Err(io::Error::other(
                "it was removed or replaced during the run",
            ))
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
            .and_then(|()| match record.event {
                Event::RunEnded(_) => self.check_place(),
                _ => Ok(()),
            })
            .map_err(|source| ReportError {
                path: self.path.clone(),
                source,
            })
    }
}
