//! [`NtStatus`] and the codes that the kernel core itself gives.

use core::fmt;

/// An NTSTATUS.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct NtStatus(pub u32);

impl NtStatus {
    /// STATUS_SUCCESS, also STATUS_WAIT_0.
    pub const SUCCESS: Self = Self(0);
    /// STATUS_TIMEOUT.
    pub const TIMEOUT: Self = Self(0x102);

    /// STATUS_ABANDONED_WAIT_0.
    pub const ABANDONED: Self = Self(0x80);
    /// STATUS_INSUFFICIENT_RESOURCES.
    pub const INSUFFICIENT_RESOURCES: Self = Self(0xC000_009A);
    /// STATUS_INVALID_PARAMETER.
    pub const INVALID_PARAMETER: Self = Self(0xC000_000D);

    /// Whether the code is a success or information code.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 >> 31 == 0
    }
}

impl fmt::Debug for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NtStatus({:#x})", self.0)
    }
}

impl fmt::Display for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}
