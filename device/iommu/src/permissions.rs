//! [`Permissions`] of a mapping and the [`Access`] that is held against them.

/// What a request wants to do at its IOVA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The device reads memory.
    Read,
    /// The device writes memory.
    Write,
}

/// What a mapping permits. There is no mapping that permits nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permissions {
    /// The device may read.
    Read,
    /// The device may write. QEMU announces such mappings as read-write; our own remapping unit
    /// tells them apart.
    Write,
    /// The device may do both.
    ReadWrite,
}

impl Permissions {
    /// The permissions for a pair of flags, as DMA_MAP carries them; `None` if both are off.
    #[must_use]
    pub const fn from_flags(read: bool, write: bool) -> Option<Self> {
        match (read, write) {
            (true, true) => Some(Self::ReadWrite),
            (true, false) => Some(Self::Read),
            (false, true) => Some(Self::Write),
            (false, false) => None,
        }
    }

    /// Whether `access` is permitted.
    #[must_use]
    pub const fn allows(self, access: Access) -> bool {
        matches!(
            (self, access),
            (Self::ReadWrite, _) | (Self::Read, Access::Read) | (Self::Write, Access::Write)
        )
    }

    /// The two-bit form: bit 0 read, bit 1 write.
    pub(crate) const fn bits(self) -> u64 {
        match self {
            Self::Read => 1,
            Self::Write => 2,
            Self::ReadWrite => 3,
        }
    }

    /// The inverse of [`Self::bits`] for values that it made.
    pub(crate) const fn from_bits(bits: u64) -> Self {
        match bits & 3 {
            1 => Self::Read,
            2 => Self::Write,
            _ => Self::ReadWrite,
        }
    }
}
