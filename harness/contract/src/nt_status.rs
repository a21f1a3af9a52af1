//! [`NtStatus`]: the status codes that the documents name for these calls.

use std::fmt;

/// An NTSTATUS, printed with its name where it is one the documents of these calls use.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NtStatus(pub u32);

impl NtStatus {
    /// STATUS_SUCCESS.
    pub const SUCCESS: Self = Self(0);
    /// STATUS_INVALID_PARAMETER: "the caller has provided an incompatible MDL or configuration".
    pub const INVALID_PARAMETER: Self = Self(0xC000_000D);
    /// STATUS_NOT_SUPPORTED: "a configuration that is not supported on the current system".
    pub const NOT_SUPPORTED: Self = Self(0xC000_00BB);
    /// STATUS_BUFFER_TOO_SMALL: a list does not fit into its buffer.
    pub const BUFFER_TOO_SMALL: Self = Self(0xC000_0023);
    /// STATUS_NONE_MAPPED: the list has given its MDL already.
    pub const NONE_MAPPED: Self = Self(0xC000_0073);
    /// STATUS_CANCELLED.
    pub const CANCELLED: Self = Self(0xC000_0120);
    /// STATUS_INSUFFICIENT_RESOURCES: no memory for bookkeeping or mapping.
    pub const INSUFFICIENT_RESOURCES: Self = Self(0xC000_009A);

    /// STATUS_UNSUCCESSFUL.
    pub const UNSUCCESSFUL: Self = Self(0xC000_0001);
    /// STATUS_INFO_LENGTH_MISMATCH: a framework structure has the wrong Size.
    pub const INFO_LENGTH_MISMATCH: Self = Self(0xC000_0004);
    /// STATUS_INTEGER_OVERFLOW: length and alignment are more than 64 bits hold.
    pub const INTEGER_OVERFLOW: Self = Self(0xC000_0095);
    /// STATUS_WDF_OBJECT_ATTRIBUTES_INVALID: such as a parent of another device.
    pub const WDF_OBJECT_ATTRIBUTES_INVALID: Self = Self(0xC020_0209);
    /// STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED.
    pub const WDF_PARENT_ASSIGNMENT_NOT_ALLOWED: Self = Self(0xC020_020F);
    /// STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID.
    pub const WDF_SYNCHRONIZATION_SCOPE_INVALID: Self = Self(0xC020_0210);
    /// STATUS_WDF_EXECUTION_LEVEL_INVALID.
    pub const WDF_EXECUTION_LEVEL_INVALID: Self = Self(0xC020_0211);

    /// Whether the status is a success or an informational code (NT_SUCCESS).
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 < 0x8000_0000
    }

    fn name(self) -> Option<&'static str> {
        Some(match self.0 {
            0 => "STATUS_SUCCESS",
            0x0000_0103 => "STATUS_PENDING",
            0xC000_0001 => "STATUS_UNSUCCESSFUL",
            0xC000_0002 => "STATUS_NOT_IMPLEMENTED",
            0xC000_0004 => "STATUS_INFO_LENGTH_MISMATCH",
            0xC000_0005 => "STATUS_ACCESS_VIOLATION",
            0xC000_000D => "STATUS_INVALID_PARAMETER",
            0xC000_0010 => "STATUS_INVALID_DEVICE_REQUEST",
            0xC000_0023 => "STATUS_BUFFER_TOO_SMALL",
            0xC000_0073 => "STATUS_NONE_MAPPED",
            0xC000_0095 => "STATUS_INTEGER_OVERFLOW",
            0xC000_009A => "STATUS_INSUFFICIENT_RESOURCES",
            0xC000_00BB => "STATUS_NOT_SUPPORTED",
            0xC000_0120 => "STATUS_CANCELLED",
            0xC020_0209 => "STATUS_WDF_OBJECT_ATTRIBUTES_INVALID",
            0xC020_020F => "STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED",
            0xC020_0210 => "STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID",
            0xC020_0211 => "STATUS_WDF_EXECUTION_LEVEL_INVALID",
            _ => return None,
        })
    }
}

impl fmt::Display for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({:#010x})", self.0),
            None => write!(f, "NTSTATUS {:#010x}", self.0),
        }
    }
}

impl fmt::Debug for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
