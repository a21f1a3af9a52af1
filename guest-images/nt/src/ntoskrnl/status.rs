//! NTSTATUS values.

use core::fmt;

/// An NTSTATUS: the top bit says failure.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct NtStatus(pub u32);

impl NtStatus {
    /// `NT_SUCCESS`.
    #[must_use]
    pub const fn is_success(self) -> bool {
        self.0 & 0x8000_0000 == 0
    }
}

impl fmt::Debug for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

impl fmt::Display for NtStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

macro_rules! statuses {
    ($($name:ident = $value:literal;)*) => {
        $(
            #[doc = concat!("`STATUS_", stringify!($name), "`")]
            pub const $name: NtStatus = NtStatus($value);
        )*
    };
}

statuses! {
    SUCCESS = 0x0000_0000;
    TIMEOUT = 0x0000_0102;
    PENDING = 0x0000_0103;
    BREAKPOINT = 0x8000_0003;
    BUFFER_OVERFLOW = 0x8000_0005;
    NO_MORE_ENTRIES = 0x8000_001A;
    UNSUCCESSFUL = 0xC000_0001;
    NOT_IMPLEMENTED = 0xC000_0002;
    INFO_LENGTH_MISMATCH = 0xC000_0004;
    ACCESS_VIOLATION = 0xC000_0005;
    INVALID_HANDLE = 0xC000_0008;
    INVALID_PARAMETER = 0xC000_000D;
    NO_SUCH_DEVICE = 0xC000_000E;
    INVALID_DEVICE_REQUEST = 0xC000_0010;
    MORE_PROCESSING_REQUIRED = 0xC000_0016;
    ACCESS_DENIED = 0xC000_0022;
    BUFFER_TOO_SMALL = 0xC000_0023;
    OBJECT_TYPE_MISMATCH = 0xC000_0024;
    OBJECT_NAME_INVALID = 0xC000_0033;
    OBJECT_NAME_NOT_FOUND = 0xC000_0034;
    OBJECT_NAME_COLLISION = 0xC000_0035;
    DELETE_PENDING = 0xC000_0056;
    INSUFFICIENT_RESOURCES = 0xC000_009A;
    NOT_SUPPORTED = 0xC000_00BB;
    INVALID_PARAMETER_1 = 0xC000_00EF;
    INVALID_PARAMETER_2 = 0xC000_00F0;
    CANCELLED = 0xC000_0120;
    OBJECT_PATH_SYNTAX_BAD = 0xC000_003B;
}
