//! [`AcpiError`].

use core::fmt;

use crate::memory::GuestPhysAddr;

/// Why the tables cannot be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcpiError {
    /// The firmware handed over no root pointer, or something else at its place.
    NoRootPointer,
    /// An address that cannot be read.
    Unreadable {
        /// Where.
        at: GuestPhysAddr,
    },
    /// A table whose length cannot be.
    BadLength {
        /// The table.
        at: GuestPhysAddr,
        /// Length that it claims, or that one of its entries claims.
        len_bytes: u64,
    },
    /// A table whose bytes do not add up to zero.
    BadChecksum {
        /// The table.
        at: GuestPhysAddr,
    },
}

impl fmt::Display for AcpiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRootPointer => write!(f, "the firmware handed over no ACPI root pointer"),
            Self::Unreadable { at } => write!(f, "ACPI table at {at}: not readable"),
            Self::BadLength { at, len_bytes } => {
                write!(f, "ACPI table at {at}: impossible length {len_bytes:#x}")
            }
            Self::BadChecksum { at } => write!(f, "ACPI table at {at}: bad checksum"),
        }
    }
}
