//! [`SharedMemory`]: memory of ours that others map, such as the mailbox BAR.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};
use thiserror::Error;
use vm_memory::{FileOffset, MmapRegion};

use crate::access::{MappedRange, OutOfRange};
use crate::region::range_of;

/// Why shared memory could not be made.
#[derive(Debug, Error)]
#[error("shared memory {name:?} of {len:#x} bytes: {action} failed")]
pub struct SharedMemoryError {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub len: usize,
    /// What was tried.
    pub action: &'static str,
    /// The cause.
    #[source]
    pub source: io::Error,
}

/// A memfd of fixed size, zeroed at first, mapped here and open to be mapped by others. Its
/// seals keep everybody from changing its size or its seals.
#[derive(Debug)]
pub struct SharedMemory {
    mapping: MmapRegion,
}

impl SharedMemory {
    /// Makes `len` bytes; `name` is seen in `/proc` alone.
    ///
    /// # Errors
    /// [`SharedMemoryError`] if the system has no room, or `len` is 0.
    pub fn create_sealed(name: &str, len: usize) -> Result<Self, SharedMemoryError> {
        let failed = |action, source| SharedMemoryError {
            name: name.to_owned(),
            len,
            action,
            source,
        };
        let file_len = u64::try_from(len).expect("usize fits into u64 on every target of ours");
        let fd = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
            .map_err(|error| failed("memfd_create", error.into()))?;
        ftruncate(&fd, file_len).map_err(|error| failed("ftruncate", error.into()))?;
        let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
        fcntl_add_seals(&fd, seals).map_err(|error| failed("sealing", error.into()))?;
        let mapping = MmapRegion::from_file(FileOffset::new(File::from(fd), 0), len)
            .map_err(|error| failed("mmap", io::Error::other(error)))?;
        Ok(Self { mapping })
    }

    /// Length in bytes.
    pub fn size(&self) -> usize {
        self.mapping.size()
    }

    /// Returns `len` bytes at `offset`.
    ///
    /// # Errors
    /// [`OutOfRange`] if they go beyond the memory.
    pub fn range(&self, offset: u64, len: usize) -> Result<MappedRange<'_>, OutOfRange> {
        range_of(&self.mapping, offset, len)
    }

    /// Returns all of it.
    pub fn whole(&self) -> MappedRange<'_> {
        self.range(0, self.size()).expect("the whole is in range")
    }
}

impl AsFd for SharedMemory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mapping
            .file_offset()
            .expect("it was mapped from a file")
            .file()
            .as_fd()
    }
}
