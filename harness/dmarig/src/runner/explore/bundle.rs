//! [`Bundle`]: a failure of a model-based run as a file that `dmarig replay` runs again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use contract::Remapping;
use contract::explore::{Action, Disagreement};
use serde::{Deserialize, Serialize};

use super::search::Found;
use crate::event::Mode;
use crate::sabotage;

/// What the file says it is.
const FORMAT: &str = "dmarig-bundle";
/// Version of the format.
const VERSION: u32 = 1;
/// The file in the bundle's folder.
const FILE: &str = "bundle.json";
/// Longest file that is read.
const MAX_BYTES: u64 = 64 << 20;
/// Most actions that are run again.
const MAX_ACTIONS: usize = 100_000;

/// Everything that it takes to see a failure again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Version of the dmarig that wrote it.
    pub dmarig_version: String,
    /// Seed of the run.
    pub seed: u64,
    /// Steps of the run.
    pub steps: usize,
    /// CRC-32C of the run's whole list.
    pub list_crc32c: String,
    /// `on` or `off`.
    pub remapping: String,
    /// What misbehaved on purpose.
    pub sabotage: Option<String>,
    /// Whether the failure showed again when it was tried again.
    pub is_reproduced: bool,
    /// Actions before it was shrunk.
    pub n_unshrunk: usize,
    /// Lists tried to shrink it.
    pub n_tries: usize,
    /// What was seen, and what was expected in its place.
    pub failure: Failure,
    /// The actions.
    pub actions: Vec<Action>,
}

/// A disagreement as data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Index of the action.
    pub index: usize,
    /// The action's kind; nothing where it showed at the end.
    pub action: Option<String>,
    /// The rule it was foretold by, if one.
    pub rule: String,
    /// The view that disagrees.
    pub view: String,
    /// The kind of check.
    pub check: String,
    /// What was checked.
    pub what: String,
    /// The buffer.
    pub buffer: Option<String>,
    /// What the model expects.
    pub expected: String,
    /// What was seen.
    pub seen: String,
}

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It cannot be read.
    #[error("cannot read the bundle {}\nhelp: name the folder that dmarig explore wrote, or its bundle.json", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is none.
    #[error("{} is no bundle: {problem}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// It cannot be written.
    #[error("cannot write the bundle {}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What a run that found something was about.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    /// Seed.
    pub seed: u64,
    /// Steps.
    pub steps: usize,
    /// CRC-32C of the list.
    pub list_crc32c: &'a str,
    /// Mode.
    pub remapping: Remapping,
    /// Sabotage.
    pub sabotage: Option<&'a str>,
}

impl Bundle {
    /// Puts one together.
    #[must_use]
    pub fn new(origin: &Origin<'_>, found: &Found) -> Self {
        Self {
            format: FORMAT.into(),
            version: VERSION,
            dmarig_version: env!("CARGO_PKG_VERSION").into(),
            seed: origin.seed,
            steps: origin.steps,
            list_crc32c: origin.list_crc32c.into(),
            remapping: origin.remapping.as_str().into(),
            sabotage: origin.sabotage.map(str::to_owned),
            is_reproduced: found.is_reproduced,
            n_unshrunk: found.unshrunk.len(),
            n_tries: found.n_tries,
            failure: Failure::new(&found.disagreement, &found.actions),
            actions: found.actions.clone(),
        }
    }

    /// Writes it into a folder, which is made.
    ///
    /// # Errors
    /// The folder or the file cannot be made.
    pub fn write(&self, folder: &Path) -> Result<(), BundleError> {
        let path = folder.join(FILE);
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        fs::create_dir_all(folder)
            .and_then(|()| fs::write(&path, text))
            .map_err(|source| BundleError::Write { path, source })
    }

    /// Reads one: the folder, or the file itself.
    ///
    /// # Errors
    /// It cannot be read, or is no bundle of this version.
    pub fn read(path: &Path) -> Result<Self, BundleError> {
        let path = if path.is_dir() {
            path.join(FILE)
        } else {
            path.into()
        };
        let failed = |source| BundleError::Read {
            path: path.clone(),
            source,
        };
        let malformed = |problem: String| BundleError::Malformed {
            path: path.clone(),
            problem,
        };
        let len = fs::metadata(&path).map_err(failed)?.len();
        if len > MAX_BYTES {
            return Err(malformed(format!(
                "{len} bytes, at most {MAX_BYTES} are read"
            )));
        }
        let text = fs::read_to_string(&path).map_err(failed)?;
        let bundle: Self =
            serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        bundle.check().map_err(malformed)?;
        Ok(bundle)
    }

    fn check(&self) -> Result<(), String> {
        if self.format != FORMAT || self.version != VERSION {
            return Err(format!(
                "format {} version {}, expected {FORMAT} version {VERSION}",
                self.format, self.version
            ));
        }
        if self.mode().is_none() {
            return Err(format!("remapping {}, expected on or off", self.remapping));
        }
        if let Some(name) = &self.sabotage
            && sabotage::find(name).is_none()
        {
            return Err(format!("there is no sabotage {name}"));
        }
        if self.actions.len() > MAX_ACTIONS {
            return Err(format!(
                "{} actions, at most {MAX_ACTIONS}",
                self.actions.len()
            ));
        }
        Ok(())
    }

    /// The mode.
    #[must_use]
    pub fn mode(&self) -> Option<Remapping> {
        [Remapping::On, Remapping::Off]
            .into_iter()
            .find(|mode| Mode::from(*mode).name() == self.remapping)
    }
}

impl Failure {
    fn new(disagreement: &Disagreement, actions: &[Action]) -> Self {
        let finding = &disagreement.finding;
        Self {
            index: disagreement.index,
            action: actions
                .get(disagreement.index)
                .map(|action| action.name().to_owned()),
            rule: disagreement.rule.into(),
            view: finding.view.into(),
            check: disagreement.check.clone(),
            what: finding.what.clone(),
            buffer: finding.buffer.clone(),
            expected: finding.expected.clone(),
            seen: finding.seen.clone(),
        }
    }

    /// Whether a disagreement is of the same kind.
    #[must_use]
    pub fn is_like(&self, disagreement: &Disagreement) -> bool {
        self.view == disagreement.finding.view && self.check == disagreement.check
    }
}
