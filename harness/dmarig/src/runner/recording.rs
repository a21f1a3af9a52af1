//! What is recorded of a boot: the device process writes what it was told and did, and the harness
//! writes beside it what was run, so that it can be run again.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use contract::{Case, Remapping};
use fault_injection::rule_file::RuleFileError;
use serde::{Deserialize, Serialize};

use super::boot::Boot;
use crate::faults::Faults;

/// The folder in a boot's folder.
pub const FOLDER: &str = "recording";
/// What the harness writes into it.
const FILE: &str = "run.json";
/// The rule file, as it was, where faults were injected.
const FAULTS_FILE: &str = "faults.toml";
/// What the device process writes into it.
const DEVICE_FILE: &str = "recording.json";
/// What the file says it is.
const FORMAT: &str = "dmarig-run";
/// Version of the format.
const VERSION: u32 = 1;
/// Longest file that is read.
const MAX_BYTES: u64 = 4 << 20;
/// Most cases that are run again.
const MAX_CASES: usize = 10_000;

/// What a boot was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedRun {
    /// [`FORMAT`].
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Version of the dmarig that ran it.
    pub dmarig_version: String,
    /// Version of QEMU.
    pub qemu_version: String,
    /// Accelerator of QEMU.
    pub accel: String,
    /// The command line of the harness.
    pub command_line: Vec<String>,
    /// `on` or `off`.
    pub remapping: String,
    /// Name of the profile of the boot.
    pub profile: String,
    /// What misbehaved on purpose.
    pub sabotage: Option<String>,
    /// Whether faults were injected; `faults.toml` has their rules.
    pub has_faults: bool,
    /// Whether those rules were loaded before the first case and ended with it, as a fault walk does; else they are
    /// there from before QEMU.
    #[serde(default)]
    pub faults_first_case: bool,
    /// The cases of the boot, in order; the last ones may not have been reached.
    pub cases: Vec<String>,
}

/// Why a recording cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// A file cannot be read.
    #[error("cannot read {}\nhelp: name a folder boot-N-remapping-MODE of a run, or the folder recording in it", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is none of ours.
    #[error("{} is no recorded run: {problem}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl RecordedRun {
    /// What is about to be booted: these cases, the first of them under `case_rules` if there are any.
    pub(super) fn of(
        boot: &Boot<'_>,
        cases: impl Iterator<Item = &'static Case>,
        case_rules: Option<&str>,
    ) -> Self {
        Self {
            format: FORMAT.into(),
            version: VERSION,
            dmarig_version: env!("CARGO_PKG_VERSION").into(),
            qemu_version: boot.plan.qemu.version.to_string(),
            accel: boot.plan.accel.name().into(),
            command_line: std::env::args().collect(),
            remapping: boot.remapping.as_str().into(),
            profile: boot.profile.name.into(),
            sabotage: boot.plan.sabotage.map(|sabotage| sabotage.name.into()),
            has_faults: case_rules.is_some() || !boot.faults.text.is_empty(),
            faults_first_case: case_rules.is_some(),
            cases: cases.map(|case| case.id.into()).collect(),
        }
    }

    /// Writes it into a boot's folder of logs, with the rules if there are any.
    ///
    /// # Errors
    /// The file and the cause.
    pub(super) fn write(&self, logs: &Path, rules: &str) -> Result<(), (PathBuf, io::Error)> {
        let folder = logs.join(FOLDER);
        fs::create_dir_all(&folder).map_err(|source| (folder.clone(), source))?;
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|source| (path, source))
        };
        if self.has_faults {
            write(FAULTS_FILE, rules)?;
        }
        let text = serde_json::to_string_pretty(self).expect("it is text and numbers");
        write(FILE, &(text + "\n"))
    }

    /// The rules that were injected, read from the folder of the recording.
    ///
    /// # Errors
    /// The file cannot be read, or something in it is wrong.
    pub fn faults(&self, folder: &Path) -> Result<Faults, RuleFileError> {
        if self.has_faults {
            Faults::read(&folder.join(FAULTS_FILE))
        } else {
            Ok(Faults::default())
        }
    }

    /// Reads it from the folder of a recording.
    ///
    /// # Errors
    /// [`RecordingError`].
    pub fn read(folder: &Path) -> Result<Self, RecordingError> {
        let path = folder.join(FILE);
        let mut text = String::new();
        let read =
            File::open(&path).and_then(|file| file.take(MAX_BYTES).read_to_string(&mut text));
        if let Err(source) = read {
            return Err(RecordingError::Read { path, source });
        }
        Self::parse(&text).map_err(|problem| RecordingError::Malformed { path, problem })
    }

    /// The mode.
    #[must_use]
    pub fn mode(&self) -> Remapping {
        if self.remapping == Remapping::Off.as_str() {
            Remapping::Off
        } else {
            Remapping::On
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let run: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if run.format != FORMAT {
            return Err(format!("format is {:?}, not {FORMAT:?}", run.format));
        }
        if run.version != VERSION {
            return Err(format!(
                "version {} of the format, written by dmarig {}; this one reads {VERSION}",
                run.version, run.dmarig_version
            ));
        }
        let is_mode = [Remapping::On, Remapping::Off]
            .iter()
            .any(|mode| mode.as_str() == run.remapping);
        if !is_mode {
            return Err(format!("remapping is {:?}, not on or off", run.remapping));
        }
        if run.cases.len() > MAX_CASES {
            return Err(format!("more than {MAX_CASES} cases"));
        }
        Ok(run)
    }
}

/// The folder of the recording that a path means: itself, or the one in a boot's folder; nothing if it
/// is neither.
#[must_use]
pub fn recording_at(path: &Path) -> Option<PathBuf> {
    [path.to_owned(), path.join(FOLDER)]
        .into_iter()
        .find(|folder| folder.join(DEVICE_FILE).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RecordedRun {
        RecordedRun {
            format: FORMAT.into(),
            version: VERSION,
            dmarig_version: "0.1.0".into(),
            qemu_version: "11.1.3".into(),
            accel: "tcg".into(),
            command_line: vec!["dmarig".into(), "run".into()],
            remapping: "off".into(),
            profile: "default".into(),
            sabotage: None,
            has_faults: false,
            faults_first_case: false,
            cases: vec!["CM-9/mapped".into()],
        }
    }

    #[test]
    fn run_survives_its_file() {
        let logs = tempfile::tempdir().expect("folder");
        run().write(logs.path(), "").expect("file");
        let read = RecordedRun::read(&logs.path().join(FOLDER)).expect("a run");
        assert_eq!(read, run());
        assert_eq!(read.mode(), Remapping::Off);
    }

    #[test]
    fn folder_or_its_parent_is_taken_if_the_device_wrote_there() {
        let logs = tempfile::tempdir().expect("folder");
        run().write(logs.path(), "").expect("file");
        assert_eq!(recording_at(logs.path()), None);
        let folder = logs.path().join(FOLDER);
        fs::write(folder.join(DEVICE_FILE), "{}").expect("file");
        assert_eq!(recording_at(logs.path()), Some(folder.clone()));
        assert_eq!(recording_at(&folder), Some(folder));
    }

    #[test]
    fn what_is_none_is_refused_with_the_reason() {
        let of = |change: fn(&mut RecordedRun)| {
            let mut changed = run();
            change(&mut changed);
            let text = serde_json::to_string(&changed).expect("JSON");
            RecordedRun::parse(&text).expect_err("refused")
        };
        let other = of(|run| run.format = "dmarig-bundle".into());
        assert!(other.contains("dmarig-bundle"), "{other}");
        let newer = of(|run| run.version = 9);
        assert!(newer.contains("version 9"), "{newer}");
        let mode = of(|run| run.remapping = "maybe".into());
        assert!(mode.contains("maybe"), "{mode}");
    }
}
