//! [`Listener`]: a UNIX socket on which we wait for QEMU, with a deadline and an eye on its life.

use std::fs;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How often a waiting listener looks whether the peer still lives.
const LIFE_CHECK_INTERVAL: Duration = Duration::from_millis(10);

/// A bound socket; its file goes with it.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
    purpose: &'static str,
}

/// Why nobody came.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The socket could not be made.
    #[error("cannot listen on {} for {purpose}", .path.display())]
    Bind {
        /// The path.
        path: PathBuf,
        /// What for.
        purpose: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The time is over.
    #[error("waited {} ms for {peer} to connect {purpose}", .waited.as_millis())]
    Timeout {
        /// Who was awaited.
        peer: &'static str,
        /// What for.
        purpose: &'static str,
        /// How long.
        waited: Duration,
    },
    /// The peer has ended.
    #[error("{peer} ended before it connected {purpose}")]
    PeerEnded {
        /// Who.
        peer: &'static str,
        /// What for.
        purpose: &'static str,
    },
    /// The system refused to wait or to accept.
    #[error("accepting {purpose}")]
    Accept {
        /// What for.
        purpose: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Listener {
    /// Binds `path`, which must not exist.
    ///
    /// # Errors
    /// The system refuses.
    pub fn bind(path: &Path, purpose: &'static str) -> Result<Self, ListenError> {
        let bound = UnixListener::bind(path).and_then(|socket| {
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        match bound {
            Ok(socket) => Ok(Self {
                socket,
                path: path.into(),
                purpose,
            }),
            Err(source) => Err(ListenError::Bind {
                path: path.into(),
                purpose,
                source,
            }),
        }
    }

    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for `peer` to connect, at most `limit`, and only while `is_alive` says so.
    ///
    /// # Errors
    /// Nobody came in time, the peer ended, or the system refused.
    pub fn accept(
        &self,
        peer: &'static str,
        limit: Duration,
        mut is_alive: impl FnMut() -> bool,
    ) -> Result<UnixStream, ListenError> {
        let purpose = self.purpose;
        let start = Instant::now();
        loop {
            match self.socket.accept() {
                Ok((stream, _)) => {
                    return stream
                        .set_nonblocking(false)
                        .map(|()| stream)
                        .map_err(|source| ListenError::Accept { purpose, source });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(source) => return Err(ListenError::Accept { purpose, source }),
            }
            if !is_alive() {
                return Err(ListenError::PeerEnded { peer, purpose });
            }
            if start.elapsed() >= limit {
                return Err(ListenError::Timeout {
                    peer,
                    purpose,
                    waited: limit,
                });
            }
            self.wait_a_moment();
        }
    }

    fn wait_a_moment(&self) {
        let interval = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(LIFE_CHECK_INTERVAL.subsec_nanos()),
        };
        // An interrupted or refused poll only shortens the moment: the caller's loop has a deadline.
        let _ = poll(
            &mut [PollFd::new(&self.socket, PollFlags::IN)],
            Some(&interval),
        );
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listener(folder: &tempfile::TempDir) -> Listener {
        Listener::bind(&folder.path().join("socket"), "a test").expect("bound")
    }

    #[test]
    fn nobody_coming_names_who_and_what_was_awaited() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = listener(&folder)
            .accept("QEMU", Duration::from_millis(1), || true)
            .expect_err("nobody is there");
        assert_eq!(error.to_string(), "waited 1 ms for QEMU to connect a test");
    }

    #[test]
    fn dead_peer_ends_the_wait() {
        let folder = tempfile::tempdir().expect("a folder");
        let error = listener(&folder)
            .accept("QEMU", Duration::from_secs(3600), || false)
            .expect_err("it is dead");
        assert!(matches!(error, ListenError::PeerEnded { .. }));
    }

    #[test]
    fn dropped_listener_leaves_no_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = listener(&folder).path().to_path_buf();
        assert!(!path.exists());
    }
}
