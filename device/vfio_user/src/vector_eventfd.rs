//! [`VectorEventFd`]: a descriptor of the client's, checked, as the eventfd of one vector.
#![expect(
    unsafe_code,
    reason = "vmm-sys-util takes over a descriptor by number only"
)]

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl, fstat};
use vmm_sys_util::eventfd::EventFd;

use crate::error::Errno;

/// The eventfd by which the client learns of one vector.
#[derive(Debug)]
pub(crate) struct VectorEventFd(EventFd);

impl VectorEventFd {
    /// Takes over a descriptor that [`Self::check`] has let pass.
    pub(crate) fn new(fd: OwnedFd) -> Self {
        // SAFETY: `into_raw_fd` gives up ownership of an open descriptor, so the `EventFd` is its
        // only owner. `EventFd` does nothing with it but read, write and close, which are sound on
        // any descriptor.
        Self(unsafe { EventFd::from_raw_fd(fd.into_raw_fd()) })
    }

    /// Refuses what is not an anonymous kernel object, and makes writes to it return at once.
    ///
    /// A pipe or socket in place of an eventfd could make a signal wait, a file could be written
    /// to. An eventfd has no file type; what else has none (epoll, timer) refuses a write of 8 bytes.
    ///
    /// # Errors
    /// `EINVAL`.
    pub(crate) fn check(fd: &OwnedFd) -> Result<(), Errno> {
        const FILE_TYPE_MASK: u32 = 0o170_000;
        let status = fstat(fd).map_err(|_| Errno::EINVAL)?;
        if status.st_mode & FILE_TYPE_MASK != 0 {
            return Err(Errno::EINVAL);
        }
        let flags = fcntl_getfl(fd).map_err(|_| Errno::EINVAL)?;
        if !flags.contains(OFlags::NONBLOCK) {
            fcntl_setfl(fd, flags | OFlags::NONBLOCK).map_err(|_| Errno::EINVAL)?;
        }
        Ok(())
    }

    /// Adds one to the counter; a counter that is full already holds an interrupt. False if the
    /// client was not told.
    pub(crate) fn signal(&self) -> bool {
        match self.0.write(1) {
            Ok(()) => true,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}
