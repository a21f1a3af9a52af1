//! [`Manifest`]: what lies in a folder of recordings, and what made it.
//!
//! The folder holds `recording.json` (this), the device file and the rule file as they were, and for
//! each function the event log and the trace. Every name in the manifest is one of the folder's.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The file in the folder.
pub const MANIFEST_FILE: &str = "recording.json";
/// What the file says it is.
pub const FORMAT: &str = "dmarig-recording";
/// Version of the format.
pub const MANIFEST_VERSION: u32 = 1;
/// Longest manifest that is read.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
/// Most functions of a recording.
const MAX_FUNCTIONS: usize = 64;

/// What a device process was started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: String,
    /// [`MANIFEST_VERSION`].
    pub version: u32,
    /// Version of the dmarig that recorded.
    pub dmarig_version: String,
    /// Version of the event logs.
    pub log_version: u32,
    /// Whether DMA messages were sent.
    pub message_dma: bool,
    /// The rule file, as it was; none if there were no faults.
    pub faults: Option<String>,
    /// The devices under test.
    pub functions: Vec<RecordedFunction>,
}

/// One device under test.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordedFunction {
    /// Its name, such as `dut0`.
    pub name: String,
    /// The device file, as it was; none for the built-in device.
    pub device_file: Option<String>,
    /// The event log.
    pub events: String,
    /// The trace.
    pub trace: String,
}

/// Why a folder is no recording.
#[derive(Debug, Error)]
pub enum BundleError {
    /// The manifest cannot be read.
    #[error("{}: cannot be read\nhelp: name a folder that dmarig-device --record wrote", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// It is no manifest of ours.
    #[error("{}: {problem}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl Manifest {
    /// Reads the manifest of a folder.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn read(folder: &Path) -> Result<Self, BundleError> {
        let path = folder.join(MANIFEST_FILE);
        let mut text = String::new();
        let read = File::open(&path)
            .and_then(|file| file.take(MAX_MANIFEST_BYTES).read_to_string(&mut text));
        if let Err(source) = read {
            return Err(BundleError::Read { path, source });
        }
        Self::parse(&text).map_err(|problem| BundleError::Malformed { path, problem })
    }

    /// The manifest as text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("it is text and numbers");
        text.push('\n');
        text
    }

    fn parse(text: &str) -> Result<Self, String> {
        let manifest: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if manifest.format != FORMAT {
            return Err(format!("format is {:?}, not {FORMAT:?}", manifest.format));
        }
        if manifest.version != MANIFEST_VERSION {
            return Err(format!(
                "version {} of the format; this dmarig reads {MANIFEST_VERSION}\nhelp: replay it with dmarig {}",
                manifest.version, manifest.dmarig_version
            ));
        }
        if manifest.functions.len() > MAX_FUNCTIONS {
            return Err(format!("more than {MAX_FUNCTIONS} functions"));
        }
        let of_functions = manifest.functions.iter().flat_map(|function| {
            [&function.events, &function.trace]
                .into_iter()
                .chain(&function.device_file)
        });
        for name in of_functions.chain(&manifest.faults) {
            let is_plain =
                !name.is_empty() && !name.contains(['/', '\0']) && name != "." && name != "..";
            if !is_plain {
                return Err(format!("{name:?} is no name of a file in the folder"));
            }
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(events: &str) -> Manifest {
        Manifest {
            format: FORMAT.into(),
            version: MANIFEST_VERSION,
            dmarig_version: "0.1.0".into(),
            log_version: 1,
            message_dma: true,
            faults: None,
            functions: vec![RecordedFunction {
                name: "dut0".into(),
                device_file: Some("dut0.toml".into()),
                events: events.into(),
                trace: "dut0.trace.jsonl".into(),
            }],
        }
    }

    #[test]
    fn a_manifest_survives_its_text() {
        let manifest = manifest("dut0.events");
        assert_eq!(Manifest::parse(&manifest.to_text()), Ok(manifest));
    }

    #[test]
    fn a_name_that_leads_out_of_the_folder_is_refused() {
        for bad in ["../dut0.events", "/etc/passwd", "", ".."] {
            let refused = Manifest::parse(&manifest(bad).to_text());
            let problem = refused.expect_err(bad);
            assert!(problem.contains("is no name of a file"), "{problem}");
        }
    }

    #[test]
    fn another_format_or_version_is_refused() {
        let mut other = manifest("dut0.events");
        other.format = "dmarig-bundle".into();
        let problem = Manifest::parse(&other.to_text()).expect_err("format");
        assert!(problem.contains("dmarig-bundle"), "{problem}");
        let mut newer = manifest("dut0.events");
        newer.version = 2;
        let problem = Manifest::parse(&newer.to_text()).expect_err("version");
        assert!(
            problem.contains("help: replay it with dmarig 0.1.0"),
            "{problem}"
        );
    }
}
