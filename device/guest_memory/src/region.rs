//! [`GuestMemory`]: each file mapped once, whole, for as long as a DMA mapping leads to it.
//!
//! QEMU sends the same memfd with every mapping of guest RAM. One `mmap` for each mapping would
//! cost 6.6 µs and a kernel mapping each, of which there are 65,530; so a file is known by
//! device and inode, mapped as a whole, and its live pages are counted.

use std::fs::File;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, SealFlags, Stat, fcntl_get_seals, fstat, fstatfs};
use thiserror::Error;
use vm_memory::{FileOffset, MmapRegion, VolatileMemory};

use crate::access::{MappedRange, OutOfRange};

/// The unit in which live memory is counted.
pub const PAGE_SIZE_BYTES: u64 = 4096;
/// Most files mapped at a time. QEMU has one for all RAM, and a few more for ROMs; each costs a
/// descriptor and a kernel mapping.
pub const MAX_REGIONS: usize = 64;

/// File system of huge page memfds (`HUGETLBFS_MAGIC`, linux/magic.h).
const HUGETLBFS_MAGIC: u32 = 0x9584_58f6;

/// Why a file is not mapped. What lies there can still be reached by message.
#[derive(Debug, Error)]
pub enum NotMappable {
    /// It is not a regular file.
    #[error("the descriptor is not a regular file")]
    NotAFile,
    /// It can be truncated under us: an access would then kill the process.
    #[error("the file has no shrink seal\nhelp: use memory-backend-memfd with seal=on")]
    NotSealed,
    /// Huge pages can run out at any access, which kills the process too.
    #[error("the file is of huge pages")]
    HugePages,
    /// The mapping goes beyond the end of the file.
    #[error("the range goes beyond the file")]
    BeyondEnd(#[source] OutOfRange),
    /// As many files are mapped as we take.
    #[error("{MAX_REGIONS} files are mapped already")]
    TooMany,
    /// The kernel refuses to tell about or to map the file.
    #[error("the file cannot be mapped")]
    System(#[source] io::Error),
}

/// Names one mapped file. Small, and an `Option` of it is no larger, because a mapping table
/// holds one for every page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionId(NonZeroU32);

impl RegionId {
    fn from_slot(slot: usize) -> Self {
        let number = u32::try_from(slot + 1).expect("there are at most 64 slots");
        Self(NonZeroU32::new(number).expect("one more than a slot is not zero"))
    }

    fn slot(self) -> usize {
        usize::try_from(self.0.get() - 1).expect("there are at most 64 slots")
    }
}

/// Device and inode of a file. The mapping keeps the inode alive, so it is not given out again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FileId {
    device: u64,
    inode: u64,
}

#[derive(Debug)]
struct Region {
    mapping: MmapRegion,
    file: FileId,
    live_pages: u64,
}

/// Every file that a live DMA mapping leads to.
#[derive(Debug, Default)]
pub struct GuestMemory {
    /// At most [`MAX_REGIONS`], of which one or two are in use: searched in order.
    regions: Vec<Option<Region>>,
}

impl GuestMemory {
    /// Maps nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes `len` bytes at `offset` of a file reachable, and counts their pages as live.
    ///
    /// # Errors
    /// [`NotMappable`] tells why the range must be served by message; nothing has changed then.
    pub fn attach(&mut self, fd: OwnedFd, offset: u64, len: u64) -> Result<RegionId, NotMappable> {
        let status = fstat(&fd).map_err(system)?;
        let file = FileId {
            device: status.st_dev,
            inode: status.st_ino,
        };
        // A file that is mapped was judged before, and seals are never taken off again.
        let known = self.find(file);
        let size = match known {
            Some(_) => size_of_file(&status),
            None => judge(&fd, &status)?,
        };
        let end = offset.checked_add(len);
        if end.is_none_or(|end| end > size) {
            return Err(NotMappable::BeyondEnd(OutOfRange { offset, len, size }));
        }
        let id = match known {
            Some(id) => {
                self.grow(id, fd, size)?;
                id
            }
            None => self.insert(fd, file, size)?,
        };
        self.region_mut(id).live_pages += len.div_ceil(PAGE_SIZE_BYTES);
        Ok(id)
    }

    /// Counts pages down; with the last one the file is unmapped.
    ///
    /// # Panics
    /// If more pages are released than were attached.
    pub fn release(&mut self, id: RegionId, n_pages: u64) {
        let region = self.region_mut(id);
        region.live_pages = region
            .live_pages
            .checked_sub(n_pages)
            .expect("pages are released as often as they were attached");
        if region.live_pages == 0 {
            self.regions[id.slot()] = None;
        }
    }

    /// Returns `len` bytes at `offset` of a region.
    ///
    /// # Errors
    /// [`OutOfRange`] if they go beyond the file.
    ///
    /// # Panics
    /// If every page of the region was released.
    #[inline]
    pub fn range(
        &self,
        id: RegionId,
        offset: u64,
        len: usize,
    ) -> Result<MappedRange<'_>, OutOfRange> {
        let region = self.regions[id.slot()]
            .as_ref()
            .expect("a region in use has live pages");
        range_of(&region.mapping, offset, len)
    }

    /// Number of files mapped.
    pub fn region_count(&self) -> usize {
        self.regions.iter().flatten().count()
    }

    fn find(&self, file: FileId) -> Option<RegionId> {
        let is_it = |region: &Option<Region>| region.as_ref().is_some_and(|it| it.file == file);
        self.regions.iter().position(is_it).map(RegionId::from_slot)
    }

    fn region_mut(&mut self, id: RegionId) -> &mut Region {
        self.regions[id.slot()]
            .as_mut()
            .expect("a region in use has live pages")
    }

    fn insert(&mut self, fd: OwnedFd, file: FileId, size: u64) -> Result<RegionId, NotMappable> {
        if self.region_count() >= MAX_REGIONS {
            return Err(NotMappable::TooMany);
        }
        let region = Region {
            mapping: map_whole(fd, size)?,
            file,
            live_pages: 0,
        };
        let free = self.regions.iter().position(Option::is_none);
        let slot = free.unwrap_or_else(|| {
            self.regions.push(None);
            self.regions.len() - 1
        });
        self.regions[slot] = Some(region);
        Ok(RegionId::from_slot(slot))
    }

    /// Maps a file again that has grown since. Nobody holds a range meanwhile: they borrow us.
    fn grow(&mut self, id: RegionId, fd: OwnedFd, size: u64) -> Result<(), NotMappable> {
        let region = self.region_mut(id);
        if to_u64(region.mapping.size()) < size {
            region.mapping = map_whole(fd, size)?;
        }
        Ok(())
    }
}

/// Checks that a file cannot fail under an access, and returns its size.
fn judge(fd: &OwnedFd, status: &Stat) -> Result<u64, NotMappable> {
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(NotMappable::NotAFile);
    }
    // Files that know no seals say EINVAL: they can be truncated.
    let seals = fcntl_get_seals(fd).unwrap_or(SealFlags::empty());
    if !seals.contains(SealFlags::SHRINK) {
        return Err(NotMappable::NotSealed);
    }
    if is_huge(fd)? {
        return Err(NotMappable::HugePages);
    }
    // Asked again now that the seal is seen: from here on the size only grows.
    Ok(size_of_file(&fstat(fd).map_err(system)?))
}

fn size_of_file(status: &Stat) -> u64 {
    u64::try_from(status.st_size).unwrap_or(0)
}

fn is_huge(fd: impl AsFd) -> Result<bool, NotMappable> {
    let file_system = fstatfs(fd).map_err(system)?;
    Ok(u32::try_from(file_system.f_type) == Ok(HUGETLBFS_MAGIC))
}

/// Maps all of a file for reading and writing, shared.
fn map_whole(fd: OwnedFd, size: u64) -> Result<MmapRegion, NotMappable> {
    let size = usize::try_from(size)
        .map_err(|_| NotMappable::System(io::ErrorKind::OutOfMemory.into()))?;
    MmapRegion::from_file(FileOffset::new(File::from(fd), 0), size)
        .map_err(|error| NotMappable::System(io::Error::other(error)))
}

#[inline]
pub(crate) fn range_of(
    mapping: &MmapRegion,
    offset: u64,
    len: usize,
) -> Result<MappedRange<'_>, OutOfRange> {
    usize::try_from(offset)
        .ok()
        .and_then(|offset| mapping.get_slice(offset, len).ok())
        .map(MappedRange::new)
        .ok_or_else(|| OutOfRange {
            offset,
            len: to_u64(len),
            size: to_u64(mapping.size()),
        })
}

fn to_u64(size: usize) -> u64 {
    u64::try_from(size).expect("usize fits into u64 on every target of ours")
}

fn system(error: rustix::io::Errno) -> NotMappable {
    NotMappable::System(error.into())
}
