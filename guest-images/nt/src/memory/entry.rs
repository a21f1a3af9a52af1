//! [`Cache`], [`Protection`] and how they look in a page table entry.

use super::Pfn;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const WRITE_THROUGH: u64 = 1 << 3;
const CACHE_DISABLE: u64 = 1 << 4;
const GLOBAL: u64 = 1 << 8;
const NO_EXECUTE: u64 = 1 << 63;

/// Cache attribute of a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cache {
    /// Uncached: device registers.
    NonCached,
    /// Write-back.
    Cached,
    /// Write-combining; uncached in this kernel, which is correct and slower.
    WriteCombined,
}

/// What the CPU may do with a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Read.
    ReadOnly,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    Execute,
    /// Read, write and execute.
    ReadWriteExecute,
}

/// The entry of a 4 KiB page, or of a larger one.
pub(super) fn encode(frame: Pfn, cache: Cache, protection: Protection) -> u64 {
    let cache_bits = match cache {
        Cache::Cached => 0,
        Cache::NonCached | Cache::WriteCombined => WRITE_THROUGH | CACHE_DISABLE,
    };
    let protection_bits = match protection {
        Protection::ReadOnly => NO_EXECUTE,
        Protection::ReadWrite => WRITABLE | NO_EXECUTE,
        Protection::Execute => 0,
        Protection::ReadWriteExecute => WRITABLE,
    };
    frame.start().raw() | PRESENT | GLOBAL | cache_bits | protection_bits
}

/// The same entry with another protection.
pub(super) fn with_protection(entry: u64, protection: Protection) -> u64 {
    let bits = WRITABLE | NO_EXECUTE;
    (entry & !bits) | (encode(Pfn::new(0), Cache::Cached, protection) & bits)
}

pub(super) fn is_writable(entry: u64) -> bool {
    entry & WRITABLE != 0
}

pub(super) fn is_executable(entry: u64) -> bool {
    entry & NO_EXECUTE == 0
}
