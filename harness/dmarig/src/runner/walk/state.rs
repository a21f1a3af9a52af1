//! [`WalkState`]: what a walk knows, on disk after each point, so that one that was stopped goes on.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::point::Point;
use crate::event::WalkResult;

/// Version of the file.
const VERSION: u32 = 2;
/// Largest file that is read, in bytes.
const STATE_MAX_BYTES: u64 = 64 << 20;

/// Why a state cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// It cannot be read.
    #[error("cannot read {}\nhelp: leave --resume out to begin anew", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is none.
    #[error("{} is no state of a walk: {problem}\nhelp: leave --resume out to begin anew", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It belongs to another walk.
    #[error("{} belongs to another walk ({theirs}, not {ours})\nhelp: leave --resume out to begin anew", .path.display())]
    Other {
        /// The file.
        path: PathBuf,
        /// What it was made of.
        theirs: String,
        /// What this one is made of.
        ours: String,
    },
    /// It cannot be written.
    #[error("cannot write {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// The points of a golden run, and what became of those that were tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WalkState {
    version: u32,
    /// What was walked: suite, filters, modes, drivers with their CRC-32C.
    pub identity: String,
    /// All points, in the order of tables.
    pub points: Vec<Point>,
    /// The results so far.
    pub results: Vec<WalkResult>,
}

impl WalkState {
    /// A walk that begins.
    #[must_use]
    pub fn new(identity: String, points: Vec<Point>) -> Self {
        Self {
            version: VERSION,
            identity,
            points,
            results: Vec::new(),
        }
    }

    /// Reads the state in `folder` of a walk that was made of the same.
    ///
    /// # Errors
    /// There is none, it is malformed, or belongs to another walk.
    pub fn read(folder: &Path, identity: &str) -> Result<Self, WalkError> {
        let path = Self::path(folder);
        let malformed = |problem: String| WalkError::Malformed {
            path: path.clone(),
            problem,
        };
        let read = |source| WalkError::Read {
            path: path.clone(),
            source,
        };
        let file = File::open(&path).map_err(read)?;
        if file.metadata().map_err(read)?.len() > STATE_MAX_BYTES {
            return Err(malformed(format!("larger than {STATE_MAX_BYTES} bytes")));
        }
        let state: Self = serde_json::from_reader(io::BufReader::new(file))
            .map_err(|error| malformed(error.to_string()))?;
        if state.version != VERSION {
            return Err(malformed(format!("version {}", state.version)));
        }
        if state.identity != identity {
            return Err(WalkError::Other {
                path,
                theirs: state.identity,
                ours: identity.to_owned(),
            });
        }
        Ok(state)
    }

    /// Adds a result; results stand in the order of their numbers.
    pub fn add(&mut self, result: WalkResult) {
        let at = self
            .results
            .partition_point(|known| known.number < result.number);
        self.results.insert(at, result);
    }

    /// Writes it; a reader never sees half a file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<(), WalkError> {
        let path = Self::path(folder);
        let failed = |source| WalkError::Write {
            path: path.clone(),
            source,
        };
        let text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        let fresh = path.with_extension("json.new");
        fs::write(&fresh, text)
            .and_then(|()| fs::rename(&fresh, &path))
            .map_err(failed)
    }

    /// The points that were not tried yet, with their numbers from 1.
    #[must_use]
    pub fn open_points(&self) -> Vec<(usize, Point)> {
        let numbered = (1..).zip(self.points.iter().cloned());
        numbered
            .filter(|(number, _)| self.results.iter().all(|result| result.number != *number))
            .collect()
    }

    fn path(folder: &Path) -> PathBuf {
        folder.join("state.json")
    }
}
