//! [`Files`]: empty files that stand for those of the guest's memory.
//!
//! They have the size of the real ones and no content, so they cost no memory; what the device reads
//! comes from the log, and what it writes goes nowhere.

use std::collections::HashMap;
use std::os::fd::OwnedFd;

use recording::log::MappingFile;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

/// Most files that a replay holds open.
const MAX_FILES: usize = 256;

/// The files, by number.
#[derive(Debug, Default)]
pub(super) struct Files {
    open: HashMap<u32, (OwnedFd, u64)>,
}

impl Files {
    /// A descriptor of a file, which is as large as it was or larger.
    ///
    /// # Errors
    /// If the system gives none.
    pub(super) fn descriptor(&mut self, file: MappingFile) -> Result<OwnedFd, String> {
        if !self.open.contains_key(&file.number) {
            if self.open.len() >= MAX_FILES {
                return Err(format!("more than {MAX_FILES} files of guest memory"));
            }
            self.open.insert(file.number, (create()?, 0));
        }
        let (fd, size) = self
            .open
            .get_mut(&file.number)
            .expect("it was put there if it was not");
        if *size < file.size {
            ftruncate(&*fd, file.size).map_err(|error| {
                format!("no file of {:#x} bytes can be had: {error}", file.size)
            })?;
            *size = file.size;
        }
        fd.try_clone()
            .map_err(|error| format!("no further descriptor can be had: {error}"))
    }
}

fn create() -> Result<OwnedFd, String> {
    let failed = |error| format!("no memory file can be had: {error}");
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd = memfd_create("replay", flags).map_err(failed)?;
    fcntl_add_seals(&fd, SealFlags::SHRINK).map_err(failed)?;
    Ok(fd)
}
