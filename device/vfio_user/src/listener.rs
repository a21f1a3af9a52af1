//! The listening socket: takes a path, hands out connections, leaves no socket behind.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, Stat, chmod, lstat, unlink};
use rustix::io::Errno as SystemErrno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect, listen,
    socket_with,
};
use tracing::warn;

use crate::connection::Connection;
use crate::error::ListenError;

/// Longest path of a socket: `sun_path` without its final NUL.
const MAX_PATH: usize = 107;
/// Clients that may wait; one socket serves one device, so more than a few is a mistake.
const BACKLOG: i32 = 4;

/// A listening UNIX socket with owner-only permission. Removed when dropped.
#[derive(Debug)]
pub struct Listener {
    socket: OwnedFd,
    path: PathBuf,
    /// Device and inode of our socket: at drop only that one is removed.
    identity: (u64, u64),
}

impl Listener {
    /// Listens at `path`. A socket that nobody listens on any more is replaced.
    ///
    /// # Errors
    /// [`ListenError::Live`] if somebody listens there, [`ListenError::NotASocket`] if it is
    /// another kind of file, [`ListenError::PathTooLong`], or [`ListenError::System`].
    pub fn bind(path: impl Into<PathBuf>) -> Result<Self, ListenError> {
        let path = path.into();
        let address = SocketAddrUnix::new(&path).map_err(|_| ListenError::PathTooLong {
            path: path.clone(),
            max: MAX_PATH,
        })?;
        remove_stale(&path, &address)?;
        let socket = stream_socket().map_err(|error| system(&path, "socket", error))?;
        bind(&socket, &address).map_err(|error| system(&path, "bind", error))?;
        let identity = lstat(&path)
            .map(|status| identity_of(&status))
            .map_err(|error| system(&path, "stat", error))?;
        let listener = Self {
            socket,
            path,
            identity,
        };
        // Before listen: nobody can connect in the meantime, whatever the umask is.
        chmod(&listener.path, Mode::RUSR | Mode::WUSR)
            .map_err(|error| system(&listener.path, "chmod", error))?;
        listen(&listener.socket, BACKLOG)
            .map_err(|error| system(&listener.path, "listen", error))?;
        Ok(listener)
    }

    /// Takes a waiting client, if there is one; never waits.
    ///
    /// # Errors
    /// [`ListenError::System`] when the process is out of descriptors or memory.
    pub fn accept(&self) -> Result<Option<Connection>, ListenError> {
        let Some(socket) = self.accept_socket()? else {
            return Ok(None);
        };
        Connection::new(socket)
            .map(Some)
            .map_err(|error| ListenError::System {
                path: self.path.clone(),
                action: "accept",
                source: io::Error::other(error),
            })
    }

    /// Takes a waiting client as a bare non-blocking socket, for other protocols than vfio-user.
    ///
    /// # Errors
    /// [`ListenError::System`] when the process is out of descriptors or memory.
    pub fn accept_socket(&self) -> Result<Option<OwnedFd>, ListenError> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        match accept_with(&self.socket, flags) {
            Ok(socket) => Ok(Some(socket)),
            Err(SystemErrno::AGAIN | SystemErrno::INTR | SystemErrno::CONNABORTED) => Ok(None),
            Err(error) => Err(system(&self.path, "accept", error)),
        }
    }

    /// Returns the path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let is_ours = lstat(&self.path).is_ok_and(|status| identity_of(&status) == self.identity);
        if is_ours && let Err(error) = unlink(&self.path) {
            warn!(path = %self.path.display(), %error, "socket could not be removed");
        }
    }
}

fn stream_socket() -> Result<OwnedFd, SystemErrno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
}

/// Removes a socket that refuses connections; it is what a killed process left behind.
fn remove_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), ListenError> {
    let status = match lstat(path) {
        Ok(status) => status,
        Err(SystemErrno::NOENT) => return Ok(()),
        Err(error) => return Err(system(path, "stat", error)),
    };
    if FileType::from_raw_mode(status.st_mode) != FileType::Socket {
        return Err(ListenError::NotASocket { path: path.into() });
    }
    let probe = stream_socket().map_err(|error| system(path, "socket", error))?;
    match connect(&probe, address) {
        Err(SystemErrno::CONNREFUSED) => match unlink(path) {
            Ok(()) | Err(SystemErrno::NOENT) => Ok(()),
            Err(error) => Err(system(path, "remove", error)),
        },
        // A full backlog says EAGAIN: somebody is there.
        Ok(()) | Err(SystemErrno::AGAIN) => Err(ListenError::Live { path: path.into() }),
        Err(error) => Err(system(path, "connect", error)),
    }
}

fn identity_of(status: &Stat) -> (u64, u64) {
    (status.st_dev, status.st_ino)
}

fn system(path: &Path, action: &'static str, error: SystemErrno) -> ListenError {
    ListenError::System {
        path: path.into(),
        action,
        source: error.into(),
    }
}
