//! [`RunFolder`]: the private folder of a run's sockets, which is gone when the run is over, even
//! when the harness was killed.
//!
//! UNIX sockets want short paths, so the folder lies in the system's temporary folder. Its `lock` is
//! held while the run lives. A second process, the *janitor* ([`tidy_after_eof`]), waits for the end
//! of a pipe that only the harness holds, and removes the folder when that dies without doing so.
//! Should both be killed, the next run removes every folder whose lock nobody holds.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::fs::{FlockOperation, flock};
use rustix::process::getuid;

/// First argument of this program when it is to be the janitor: `VERB FOLDER`.
pub const JANITOR_VERB: &str = "janitor";

const PREFIX: &str = "dmarig-";
const PREPARING: &str = ".dmarig-";
const LOCK: &str = "lock";

/// A folder of sockets with its lock and its janitor.
#[derive(Debug)]
pub struct RunFolder {
    path: PathBuf,
    _lock: File,
    janitor: Option<Child>,
}

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot make a private folder for sockets in {}\nhelp: set TMPDIR to a folder that can be written",
    .parent.display()
)]
pub struct RunFolderError {
    parent: PathBuf,
    source: io::Error,
}

impl RunFolder {
    /// Removes what dead runs have left, then makes a folder for this one. `program` is this program,
    /// which is started as the janitor.
    ///
    /// # Errors
    /// The temporary folder cannot be written, or no process can be started.
    pub fn create(program: &Path) -> Result<Self, RunFolderError> {
        let parent = env::temp_dir();
        sweep(&parent);
        Self::create_in(&parent, program).map_err(|source| RunFolderError { parent, source })
    }

    fn create_in(parent: &Path, program: &Path) -> io::Result<Self> {
        let name = std::process::id().to_string();
        // A sweeping neighbor must never see the folder without its lock held: it is made under
        // another name.
        let preparing = parent.join(format!("{PREPARING}{name}"));
        let path = parent.join(format!("{PREFIX}{name}"));
        let _ = fs::remove_dir_all(&preparing);
        DirBuilder::new().mode(0o700).create(&preparing)?;
        let lock = File::create(preparing.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        fs::rename(&preparing, &path)?;
        let mut folder = Self {
            path,
            _lock: lock,
            janitor: None,
        };
        folder.janitor = Some(start_janitor(program, &folder.path)?);
        Ok(folder)
    }

    /// The path of a file in it.
    #[must_use]
    pub fn join(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path.join(name.as_ref())
    }
}

impl Drop for RunFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        if let Some(mut janitor) = self.janitor.take() {
            drop(janitor.stdin.take());
            let _ = janitor.wait();
        }
    }
}

fn start_janitor(program: &Path, folder: &Path) -> io::Result<Child> {
    Command::new(program)
        .arg(JANITOR_VERB)
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Out of the reach of Ctrl-C, which goes to the whole group of the terminal.
        .process_group(0)
        .spawn()
}

/// The janitor: waits until nobody holds the other end of `pipe`, then removes the folder if it is
/// one of ours.
pub fn tidy_after_eof(mut pipe: impl Read, folder: &Path) {
    let mut byte = [0];
    while !matches!(pipe.read(&mut byte), Ok(0) | Err(_)) {}
    if is_ours(folder) {
        let _ = fs::remove_dir_all(folder);
    }
}

/// Removes the folders of runs that have ended without doing so.
fn sweep(parent: &Path) {
    let Ok(entries) = parent.read_dir() else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if is_ours(&path) && is_abandoned(&path) {
            tracing::info!(folder = %path.display(), "removing the folder of a dead run");
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Whether it is a folder with our name and owner, and no symbolic link.
fn is_ours(path: &Path) -> bool {
    let is_named = path
        .file_name()
        .and_then(OsStr::to_str)
        .and_then(|name| name.strip_prefix(PREFIX))
        .is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()));
    is_named
        && fs::symlink_metadata(path)
            .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == getuid().as_raw())
}

fn is_abandoned(path: &Path) -> bool {
    File::open(path.join(LOCK))
        .is_ok_and(|lock| flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with_lock(parent: &Path, name: &str) -> (PathBuf, File) {
        let path = parent.join(name);
        fs::create_dir(&path).expect("made");
        let lock = File::create(path.join(LOCK)).expect("made");
        (path, lock)
    }

    #[test]
    fn sweep_takes_abandoned_folders_and_leaves_live_and_foreign_ones() {
        let parent = tempfile::tempdir().expect("a folder");
        let (dead, _) = folder_with_lock(parent.path(), "dmarig-1");
        let (live, lock) = folder_with_lock(parent.path(), "dmarig-2");
        flock(&lock, FlockOperation::NonBlockingLockExclusive).expect("locked");
        let (foreign, _) = folder_with_lock(parent.path(), "dmarig-out");
        sweep(parent.path());
        assert!(!dead.exists());
        assert!(live.exists());
        assert!(foreign.exists());
    }

    #[test]
    fn janitor_removes_the_folder_when_the_pipe_ends() {
        let parent = tempfile::tempdir().expect("a folder");
        let (folder, _) = folder_with_lock(parent.path(), "dmarig-7");
        tidy_after_eof(&b""[..], &folder);
        assert!(!folder.exists());
    }

    #[test]
    fn janitor_leaves_what_is_not_ours() {
        let parent = tempfile::tempdir().expect("a folder");
        let (folder, _) = folder_with_lock(parent.path(), "precious");
        tidy_after_eof(&b""[..], &folder);
        assert!(folder.exists());
    }
}
