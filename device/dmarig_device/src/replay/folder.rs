//! Replays the folder that `--record` wrote.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use device_file::DeviceFileError;
use fault_injection::{FaultPlan, RuleFileError, rule_file};
use guest_memory::SharedMemoryError;
use recording::bundle::{BundleError, Manifest, RecordedFunction};
use thiserror::Error;

use super::{ReplayError, ReplayReport, replay};
use crate::dut::{Dut, MessageDma};
use crate::model::Model;

/// Why a folder cannot be replayed.
#[derive(Debug, Error)]
pub enum ReplayFolderError {
    /// It is no recording.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// A file of it cannot be read.
    #[error("{}: cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Its device file is wrong.
    #[error(transparent)]
    DeviceFile(#[from] DeviceFileError),
    /// The rule file is wrong.
    #[error(transparent)]
    Faults(#[from] RuleFileError),
    /// The memory of a mappable BAR cannot be had.
    #[error("mappable BAR")]
    BarMemory(#[from] SharedMemoryError),
    /// An event log is wrong.
    #[error("{}", .path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: ReplayError,
    },
}

/// Replays each device under test of a recording, and returns its name with the report.
///
/// # Errors
/// [`ReplayFolderError`].
pub fn replay_folder(folder: &Path) -> Result<Vec<(String, ReplayReport)>, ReplayFolderError> {
    replay_folder_of(folder, &Model::STANDARD, None)
}

/// The same with the faults of a rule file in place of those recorded.
///
/// # Errors
/// [`ReplayFolderError`]; nothing has been replayed if the rule file is wrong.
pub fn replay_folder_with(
    folder: &Path,
    faults: &Path,
) -> Result<Vec<(String, ReplayReport)>, ReplayFolderError> {
    replay_folder_of(folder, &Model::STANDARD, Some(faults))
}

/// The same with the model that recorded.
///
/// # Errors
/// [`ReplayFolderError`].
pub(crate) fn replay_folder_of(
    folder: &Path,
    model: &Model,
    faults: Option<&Path>,
) -> Result<Vec<(String, ReplayReport)>, ReplayFolderError> {
    let plan = faults.map(read_plan).transpose()?;
    let manifest = Manifest::read(folder)?;
    let functions = manifest.functions.iter();
    functions
        .map(|function| {
            let report = replay_function(folder, &manifest, function, model, plan.as_ref())?;
            Ok((function.name.clone(), report))
        })
        .collect()
}

fn replay_function(
    folder: &Path,
    manifest: &Manifest,
    function: &RecordedFunction,
    model: &Model,
    plan: Option<&FaultPlan>,
) -> Result<ReplayReport, ReplayFolderError> {
    let file = function.device_file.as_ref().map(|file| folder.join(file));
    let description = model.description(file.as_deref())?;
    let message_dma = if manifest.message_dma {
        MessageDma::On
    } else {
        MessageDma::Off
    };
    let name = function.name.parse().unwrap_or_default();
    let endpoint = (model.endpoint)(&description);
    let mut dut = Dut::with_endpoint(&description, message_dma, endpoint)?.named(name);
    if let Some(plan) = plan {
        dut.fix_faults(plan.clone());
    }
    let (log_path, log) = open(folder, &function.events)?;
    let (_, trace) = open(folder, &function.trace)?;
    replay(dut, log, BufReader::new(trace)).map_err(|source| ReplayFolderError::Log {
        path: log_path,
        source,
    })
}

fn read_plan(path: &Path) -> Result<FaultPlan, RuleFileError> {
    let text = rule_file::read_text(path)?;
    rule_file::parse(path, &text)
}

fn open(folder: &Path, name: &str) -> Result<(PathBuf, File), ReplayFolderError> {
    let path = folder.join(name);
    match File::open(&path) {
        Ok(file) => Ok((path, file)),
        Err(source) => Err(ReplayFolderError::Read { path, source }),
    }
}
