//! Report faces: each takes the event stream and shows it to somebody.

mod coverage;
mod human;
mod json;
mod junit;

use std::io;
use std::path::PathBuf;

use crate::event::Record;

pub use coverage::{COVERAGE_FILE, CoverageReport};
pub use human::HumanReport;
pub use json::JsonReport;
pub use junit::{JunitReport, describe};

/// The event stream in the folder of a run.
pub const EVENTS_FILE: &str = "events.jsonl";

/// A face of the report.
pub trait Reporter {
    /// Takes one record.
    ///
    /// # Errors
    /// What the face writes to cannot be written.
    fn record(&mut self, record: &Record) -> Result<(), ReportError>;
}

/// A report that cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", .path.display())]
pub struct ReportError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// All faces of a run. A face that fails is told of once and left out from then on; the others go on.
#[derive(Default)]
pub struct Reports {
    faces: Vec<Box<dyn Reporter>>,
    failures: Vec<ReportError>,
}

impl Reports {
    /// Adds a face.
    pub fn add(&mut self, face: impl Reporter + 'static) {
        self.faces.push(Box::new(face));
    }

    /// Gives one record to every face.
    pub fn record(&mut self, record: &Record) {
        let failures = &mut self.failures;
        self.faces.retain_mut(|face| match face.record(record) {
            Ok(()) => true,
            // Whoever read standard output has read enough.
            Err(error) if error.source.kind() == io::ErrorKind::BrokenPipe => false,
            Err(error) => {
                failures.push(error);
                false
            }
        });
    }

    /// What could not be written.
    #[must_use]
    pub fn failures(&self) -> &[ReportError] {
        &self.failures
    }
}
