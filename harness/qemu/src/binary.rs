//! Finding a QEMU binary, and refusing one that is too old to carry our device.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Environment variable that names the QEMU to use.
pub const QEMU_VARIABLE: &str = "DMARIG_QEMU";
/// Environment variable that names the cache folder of `scripts/setup`.
pub const CACHE_VARIABLE: &str = "DMARIG_CACHE";
/// Name of the binary on `PATH` and in the cache folder.
pub const PROGRAM: &str = "qemu-system-x86_64";
/// The oldest QEMU whose message DMA has the layout that our device speaks.
pub const MINIMUM_VERSION: Version = Version {
    major: 11,
    minor: 1,
    micro: 0,
};

/// QEMU's version, as `--version` and `query-version` tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub micro: u32,
}

impl Version {
    /// Reads the first `major.minor[.micro]` after the word "version".
    #[must_use]
    pub fn from_banner(banner: &str) -> Option<Self> {
        let rest = banner.split_once("version ")?.1;
        let end = rest
            .find(|c: char| c != '.' && !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let mut numbers = rest[..end].split('.').map(|part| part.parse().ok());
        Some(Self {
            major: numbers.next()??,
            minor: numbers.next()??,
            micro: numbers.next().flatten().unwrap_or(0),
        })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

/// A QEMU that was found and answered `--version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QemuBinary {
    /// Where it lies.
    pub path: PathBuf,
    /// What it calls itself.
    pub version: Version,
}

/// Why there is no QEMU to run.
#[derive(Debug, thiserror::Error)]
pub enum BinaryError {
    /// None of the places has one.
    #[error(
        "no {PROGRAM} found (asked: --qemu, {QEMU_VARIABLE}, {cache}, PATH)\nhelp: run scripts/setup, or install QEMU {MINIMUM_VERSION} or newer and name it with --qemu",
        cache = .cache.display()
    )]
    NotFound {
        /// The cache folder that was looked into.
        cache: PathBuf,
    },
    /// The binary does not start.
    #[error("{} does not start\nhelp: name another one with --qemu, or run scripts/setup", .path.display())]
    NotStarting {
        /// The binary.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The binary starts but is no QEMU.
    #[error("{} --version prints no version: {banner:?}\nhelp: --qemu and {QEMU_VARIABLE} name a {PROGRAM}", .path.display())]
    NotQemu {
        /// The binary.
        path: PathBuf,
        /// The start of what it printed.
        banner: String,
    },
    /// The binary is too old.
    #[error("{} is QEMU {version}, dmarig needs {MINIMUM_VERSION} or newer\nhelp: run scripts/setup, which unpacks one into a cache folder, or name a newer one with --qemu", .path.display())]
    TooOld {
        /// The binary.
        path: PathBuf,
        /// Its version.
        version: Version,
    },
}

/// Finds QEMU: the one `named`, else [`QEMU_VARIABLE`], else one on `PATH` that is new enough, else
/// the newest in the cache folder of `scripts/setup`.
///
/// # Errors
/// Nothing is there, or what the user named does not serve.
pub fn find(named: Option<&Path>) -> Result<QemuBinary, BinaryError> {
    let from_environment = env::var_os(QEMU_VARIABLE)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from);
    if let Some(path) = named.map(Path::to_path_buf).or(from_environment) {
        return inspect(&path);
    }
    let mut refusal = None;
    for path in on_path().into_iter().chain(in_cache()) {
        match inspect(&path) {
            Ok(binary) => return Ok(binary),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or_else(|| BinaryError::NotFound {
        cache: cache_folder(),
    }))
}

/// Asks one binary for its version and judges it.
///
/// # Errors
/// It does not start, is no QEMU, or is too old.
pub fn inspect(path: &Path) -> Result<QemuBinary, BinaryError> {
    let output = Command::new(path)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| BinaryError::NotStarting {
            path: path.into(),
            source,
        })?;
    let banner = String::from_utf8_lossy(&output.stdout);
    let Some(version) = Version::from_banner(&banner) else {
        return Err(BinaryError::NotQemu {
            path: path.into(),
            banner: banner.chars().take(80).collect(),
        });
    };
    if version < MINIMUM_VERSION {
        return Err(BinaryError::TooOld {
            path: path.into(),
            version,
        });
    }
    Ok(QemuBinary {
        path: path.into(),
        version,
    })
}

/// Whether this QEMU has a device of that name.
#[must_use]
pub fn has_device(path: &Path, device: &str) -> bool {
    Command::new(path)
        .args(["-device", &format!("{device},help")])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn on_path() -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?)
        .map(|folder| folder.join(PROGRAM))
        .find(|candidate| candidate.is_file())
}

/// The QEMUs that `scripts/setup` has unpacked, newest first.
fn in_cache() -> Vec<PathBuf> {
    let Ok(entries) = cache_folder().read_dir() else {
        return Vec::new();
    };
    let mut found: Vec<(Option<Version>, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = Version::from_banner(&format!("version {}", name.strip_prefix("qemu-")?));
            Some((version, entry.path().join(PROGRAM)))
        })
        .filter(|(_, program)| program.is_file())
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, program)| program).collect()
}

fn cache_folder() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value: &OsString| !value.is_empty());
    set(CACHE_VARIABLE).map_or_else(
        || {
            set("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .or_else(|| set("HOME").map(|home| Path::new(&home).join(".cache")))
                .unwrap_or_default()
                .join("dmarig")
        },
        PathBuf::from,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn fake(script: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("qemu");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("made executable");
        (folder, path)
    }

    #[test]
    fn banner_yields_the_version() {
        let check = |banner, expected: Option<(u32, u32, u32)>| {
            let found = Version::from_banner(banner).map(|v| (v.major, v.minor, v.micro));
            assert_eq!(found, expected, "{banner}");
        };
        check(
            "QEMU emulator version 11.1.3 (Debian 1:11.1.3+ds-1)",
            Some((11, 1, 3)),
        );
        check("QEMU emulator version 11.2", Some((11, 2, 0)));
        check("QEMU emulator version ", None);
        check("version 99999999999.1", None);
        check("GNU bash", None);
    }

    #[test]
    fn old_qemu_is_refused_with_the_mend() {
        let (_folder, path) = fake("echo QEMU emulator version 10.2.1");
        let error = inspect(&path).expect_err("too old").to_string();
        assert!(
            error.contains("10.2.1") && error.contains("scripts/setup"),
            "{error}"
        );
    }

    #[test]
    fn program_that_is_no_qemu_is_refused() {
        let (_folder, path) = fake("echo hello");
        assert!(matches!(inspect(&path), Err(BinaryError::NotQemu { .. })));
    }

    #[test]
    fn missing_binary_is_refused() {
        let error = inspect(Path::new("/nonexistent/qemu")).expect_err("not there");
        assert!(matches!(error, BinaryError::NotStarting { .. }));
    }
}
