//! The built parts of the rig: kernel, driver and device process, found or missed with the mend.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use contract::DriverKind;

use crate::cli::PartArgs;

/// Largest driver or kernel that is loaded.
pub const IMAGE_MAX_BYTES: u64 = 64 << 20;

/// One kind of part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The kernel of the `nt` guest.
    Kernel,
    /// The test driver with the WDM front.
    Driver,
    /// The test driver with the KMDF front.
    KmdfDriver,
    /// The device process.
    Device,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Device, Self::Kernel, Self::Driver];

    /// What it is called.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kernel => "kernel of the nt guest",
            Self::Driver => "test driver",
            Self::KmdfDriver => "test driver for KMDF",
            Self::Device => "device process",
        }
    }

    /// The part that a kind of driver is.
    const fn of_driver(kind: DriverKind) -> Self {
        match kind {
            DriverKind::Wdm => Self::Driver,
            DriverKind::Kmdf => Self::KmdfDriver,
        }
    }

    const fn file_name(self) -> &'static str {
        match self {
            Self::Kernel => "nt-kernel.elf",
            Self::Driver => "dmarig.sys",
            Self::KmdfDriver => "dmarig-kmdf.sys",
            Self::Device => "dmarig-device",
        }
    }

    const fn option(self) -> &'static str {
        match self {
            Self::Kernel => "--kernel",
            Self::Driver | Self::KmdfDriver => "--driver",
            Self::Device => "--device-binary",
        }
    }

    const fn mend(self) -> &'static str {
        match self {
            Self::Kernel => "cargo xtask nt",
            Self::Driver | Self::KmdfDriver => "cargo xtask driver",
            Self::Device => "cargo build --release -p dmarig_device",
        }
    }
}

/// The parts of a run.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// The kernel of the `nt` guest.
    pub kernel: PathBuf,
    /// The driver of each kind that the run needs.
    pub drivers: BTreeMap<DriverKind, PathBuf>,
    /// The device process.
    pub device: PathBuf,
}

impl Artifacts {
    /// The driver of a kind.
    ///
    /// # Errors
    /// It is none that the run was said to need.
    pub fn driver(&self, kind: DriverKind) -> Result<&Path, ArtifactError> {
        let found = self.drivers.get(&kind).map(PathBuf::as_path);
        found.ok_or_else(|| ArtifactError::NotFound {
            kind: Kind::of_driver(kind),
            candidates: Vec::new(),
        })
    }
}

/// Why a part cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It was not built, or lies elsewhere.
    #[error(
        "no {kind} found (looked at {looked})\nhelp: run scripts/run, which builds everything, or {mend}, or name one with {option}",
        kind = .kind.name(),
        looked = .candidates.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "),
        mend = .kind.mend(),
        option = .kind.option()
    )]
    NotFound {
        /// What.
        kind: Kind,
        /// Where it was looked for.
        candidates: Vec<PathBuf>,
    },
    /// The file that was named is not there or not readable.
    #[error("{kind} {}", .path.display(), kind = .kind.name())]
    Unreadable {
        /// What.
        kind: Kind,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no such thing at all.
    #[error("{kind} {}: {problem}", .path.display(), kind = .kind.name())]
    Wrong {
        /// What.
        kind: Kind,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

/// Finds all parts that a run with these kinds of driver needs. A driver that is named stands for all of
/// them.
///
/// # Errors
/// One is missing or not what it should be.
pub fn find_all(
    arguments: &PartArgs,
    drivers: impl IntoIterator<Item = DriverKind>,
) -> Result<Artifacts, ArtifactError> {
    let device = find(Kind::Device, arguments.device_binary.as_deref())?;
    let kernel = find(Kind::Kernel, arguments.kernel.as_deref())?;
    let named = arguments.driver.as_deref();
    let drivers = drivers.into_iter().map(|kind| {
        let path = find(Kind::of_driver(kind), named)?;
        Ok((kind, path))
    });
    Ok(Artifacts {
        kernel,
        drivers: drivers.collect::<Result<_, ArtifactError>>()?,
        device,
    })
}

/// Finds one part: the one `named`, else the one beside this program, else the one in the folder of
/// guest images next to it.
///
/// # Errors
/// It is missing or not what it should be.
pub fn find(kind: Kind, named: Option<&Path>) -> Result<PathBuf, ArtifactError> {
    let path = match named {
        Some(path) => path.to_path_buf(),
        None => {
            let candidates = candidates(kind);
            let found = candidates.iter().find(|path| path.is_file()).cloned();
            found.ok_or(ArtifactError::NotFound { kind, candidates })?
        }
    };
    check(kind, &path)?;
    Ok(path)
}

/// Beside the program (`target/release`), and in `target/guest`.
fn candidates(kind: Kind) -> Vec<PathBuf> {
    let program = env::current_exe().unwrap_or_default();
    let beside = program.parent().unwrap_or(Path::new("."));
    let mut folders = vec![beside.to_path_buf()];
    if kind != Kind::Device
        && let Some(target) = beside.parent()
    {
        folders.push(target.join("guest"));
    }
    folders
        .into_iter()
        .map(|folder| folder.join(kind.file_name()))
        .collect()
}

/// Looks at the file's size and first bytes, so that a wrong file is named here and not by a guest
/// that does not boot.
fn check(kind: Kind, path: &Path) -> Result<(), ArtifactError> {
    let unreadable = |source| ArtifactError::Unreadable {
        kind,
        path: path.into(),
        source,
    };
    let wrong = |problem: String| ArtifactError::Wrong {
        kind,
        path: path.into(),
        problem,
    };
    let metadata = fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(wrong("not a regular file".into()));
    }
    if kind == Kind::Device {
        return Ok(());
    }
    if metadata.len() > IMAGE_MAX_BYTES {
        let size = metadata.len();
        return Err(wrong(format!(
            "{size} bytes, at most {IMAGE_MAX_BYTES} are loaded"
        )));
    }
    let (magic, name): (&[u8], &str) = match kind {
        Kind::Kernel => (b"\x7fELF", "an ELF file"),
        Kind::Driver | Kind::KmdfDriver | Kind::Device => (b"MZ", "a PE image"),
    };
    let mut start = [0; 4];
    let mut file = File::open(path).map_err(unreadable)?;
    let length = file.read(&mut start).map_err(unreadable)?;
    if !start[..length].starts_with(magic) {
        return Err(wrong(format!("not {name}")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, content).expect("written");
        (folder, path)
    }

    #[test]
    fn missing_part_names_the_command_that_builds_it() {
        let candidates = vec!["/target/guest/nt-kernel.elf".into()];
        let kind = Kind::Kernel;
        let message = ArtifactError::NotFound { kind, candidates }.to_string();
        assert!(message.contains("cargo xtask nt"), "{message}");
        assert!(message.contains("--kernel"), "{message}");
    }

    #[test]
    fn wrong_file_is_refused() {
        let (_folder, path) = file(b"hello");
        for (kind, expected) in [(Kind::Kernel, "not an ELF"), (Kind::Driver, "not a PE")] {
            let message = find(kind, Some(&path)).expect_err("wrong").to_string();
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn empty_file_and_folder_are_refused() {
        let (folder, path) = file(b"");
        assert!(find(Kind::Driver, Some(&path)).is_err());
        let error = find(Kind::Device, Some(folder.path())).expect_err("a folder");
        assert!(matches!(error, ArtifactError::Wrong { .. }));
    }

    #[test]
    fn image_is_accepted_by_its_first_bytes() {
        let (_folder, path) = file(b"MZ and so on");
        assert_eq!(find(Kind::Driver, Some(&path)).expect("good"), path);
    }
}
