//! [`RecordFolder`]: the files of a recording, all opened before the first input.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use control_api::FunctionName;
use recording::bundle::{FORMAT, MANIFEST_FILE, MANIFEST_VERSION, Manifest, RecordedFunction};
use recording::log::{LOG_VERSION, LogWriter};
use recording::trace::{Trace, TraceFile};
use thiserror::Error;

use crate::dut::{Dut, MessageDma};

/// A file of a recording cannot be made.
#[derive(Debug, Error)]
#[error("--record: {} cannot be written\nhelp: name a folder that is new or yours", .path.display())]
pub struct RecordError {
    /// The file or folder.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

/// A folder that recordings go to.
#[derive(Debug)]
pub struct RecordFolder {
    folder: PathBuf,
    max_bytes: u64,
    manifest: Manifest,
}

impl RecordFolder {
    /// Makes the folder if need be. Each log and each trace may have `max_bytes`.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn create(
        folder: &Path,
        max_bytes: u64,
        message_dma: MessageDma,
    ) -> Result<Self, RecordError> {
        fs::create_dir_all(folder).map_err(|source| RecordError {
            path: folder.to_owned(),
            source,
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            max_bytes,
            manifest: Manifest {
                format: FORMAT.into(),
                version: MANIFEST_VERSION,
                dmarig_version: env!("CARGO_PKG_VERSION").into(),
                log_version: LOG_VERSION,
                message_dma: message_dma == MessageDma::On,
                faults: None,
                functions: Vec::new(),
            },
        })
    }

    /// Keeps a copy of the rule file.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn keep_faults(&mut self, file: &Path) -> Result<(), RecordError> {
        self.manifest.faults = Some(self.keep(file, "faults.toml")?);
        Ok(())
    }

    /// Lets a device be recorded from here on, and keeps a copy of its device file.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn add(
        &mut self,
        name: FunctionName,
        device_file: Option<&Path>,
        dut: &mut Dut,
    ) -> Result<(), RecordError> {
        let events = format!("{name}.events");
        let trace = format!("{name}.trace.jsonl");
        let device_file = device_file
            .map(|file| self.keep(file, &format!("{name}.toml")))
            .transpose()?;
        let (path, file) = self.open(&events)?;
        let log = LogWriter::new(Box::new(file), self.max_bytes)
            .map_err(|source| RecordError { path, source })?;
        let (_, file) = self.open(&trace)?;
        dut.record(log);
        dut.set_trace(Trace::new(Some(Box::new(TraceFile::new(
            file,
            self.max_bytes,
        )))));
        self.manifest.functions.push(RecordedFunction {
            name: name.to_string(),
            device_file,
            events,
            trace,
        });
        Ok(())
    }

    /// Writes the manifest: what it names is there.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn seal(self) -> Result<(), RecordError> {
        let path = self.folder.join(MANIFEST_FILE);
        fs::write(&path, self.manifest.to_text()).map_err(|source| RecordError { path, source })
    }

    fn keep(&self, file: &Path, name: &str) -> Result<String, RecordError> {
        let path = self.folder.join(name);
        fs::copy(file, &path).map_err(|source| RecordError { path, source })?;
        Ok(name.to_owned())
    }

    fn open(&self, name: &str) -> Result<(PathBuf, File), RecordError> {
        let path = self.folder.join(name);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path);
        match file {
            Ok(file) => Ok((path, file)),
            Err(source) => Err(RecordError { path, source }),
        }
    }
}
