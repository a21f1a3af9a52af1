//! What callers of the VT-d driver see: permissions, errors, faults.

use core::fmt;

use super::{Iova, RequesterId};
use crate::memory::GuestPhysAddr;

/// What the device may do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permissions {
    /// Device reads.
    Read,
    /// Device writes.
    Write,
    /// Both.
    ReadWrite,
}

impl Permissions {
    const READ_BIT: u64 = 1;
    const WRITE_BIT: u64 = 2;

    /// The bits of a second-level entry (VT-d specification, section 9.8).
    pub(super) const fn entry_bits(self) -> u64 {
        match self {
            Self::Read => Self::READ_BIT,
            Self::Write => Self::WRITE_BIT,
            Self::ReadWrite => Self::READ_BIT | Self::WRITE_BIT,
        }
    }

    /// What an entry's bits allow; `None` for nothing.
    pub(super) const fn of_entry(entry: u64) -> Option<Self> {
        match entry & (Self::READ_BIT | Self::WRITE_BIT) {
            Self::READ_BIT => Some(Self::Read),
            Self::WRITE_BIT => Some(Self::Write),
            0 => None,
            _ => Some(Self::ReadWrite),
        }
    }
}

/// Why a mapping was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DomainError {
    /// Not page aligned, above the domain's address width, or in the range of interrupt messages.
    BadAddress,
    /// The page is mapped already.
    AlreadyMapped,
    /// The page is not mapped.
    NotMapped,
    /// No frame for a table, or no domain ID left.
    Exhausted,
}

/// Why remapping cannot be turned on: the machine lacks something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VtdError {
    /// No unit that serves all functions of segment 0.
    NoUnit,
    /// The unit does not report caching mode.
    NoCachingMode,
    /// The unit lacks page-selective invalidation or 39-bit and 48-bit tables.
    Unsuitable,
    /// No frames for tables, or no mapping for the registers.
    Exhausted,
    /// The unit did not act on a command.
    NoAnswer {
        /// Offset of the register that was polled.
        register: u64,
    },
}

impl fmt::Display for VtdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUnit => write!(
                f,
                "no VT-d unit: start QEMU with -device intel-iommu,caching-mode=on,intremap=off"
            ),
            Self::NoCachingMode => write!(
                f,
                "the VT-d unit does not report caching mode: start QEMU with caching-mode=on at \
                 -device intel-iommu"
            ),
            Self::Unsuitable => write!(
                f,
                "the VT-d unit lacks page-selective invalidation or 39-bit and 48-bit tables"
            ),
            Self::Exhausted => write!(f, "no memory for VT-d's tables and registers"),
            Self::NoAnswer { register } => {
                write!(f, "the VT-d unit did not act on register {register:#x}")
            }
        }
    }
}

/// One recorded translation fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Fault reason (VT-d specification, appendix A).
    pub reason: u8,
    /// Who asked.
    pub requester: RequesterId,
    /// Page of the access.
    pub iova: Iova,
    /// Whether it was a write.
    pub is_write: bool,
}

/// One page that a translation leads to.
pub(super) type Target = (GuestPhysAddr, Permissions);
