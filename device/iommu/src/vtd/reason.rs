//! [`FaultReason`]: why a request is refused, with the specification's codes.

use thiserror::Error;

use crate::fault::FaultKind;
use crate::permissions::Access;

/// A fault reason of legacy mode (section 7.1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum FaultReason {
    /// 1h: the root entry is not present.
    #[error("the root entry is not present")]
    RootNotPresent,
    /// 2h: the context entry is not present.
    #[error("the context entry is not present")]
    ContextNotPresent,
    /// 3h: the context entry says what the unit cannot do, or leads to no memory.
    #[error("the context entry is invalid")]
    ContextInvalid,
    /// 4h: the address is beyond the width that unit and context entry have.
    #[error("the address is beyond the address width")]
    AddressBeyondWidth,
    /// 5h: an entry on the way does not permit writes.
    #[error("no write permission")]
    WritePermission,
    /// 6h: an entry on the way does not permit reads.
    #[error("no read permission")]
    ReadPermission,
    /// 7h: an entry leads to a table where there is no memory.
    #[error("no memory where a page table should lie")]
    PageTableAccess,
    /// 8h: there is no memory where the root table should lie.
    #[error("no memory where the root table should lie")]
    RootTableAccess,
    /// 9h: the root entry leads to a table where there is no memory.
    #[error("no memory where the context table should lie")]
    ContextTableAccess,
    /// Ah: a reserved bit is set in a root entry that is present.
    #[error("a reserved bit is set in the root entry")]
    RootReserved,
    /// Bh: a reserved bit is set in a context entry that is present.
    #[error("a reserved bit is set in the context entry")]
    ContextReserved,
    /// Ch: a reserved bit is set in a page-table entry that permits something.
    #[error("a reserved bit is set in a page-table entry")]
    PageReserved,
    /// Eh: the tables lead to the addresses of interrupt messages (section 3.14).
    #[error("the translation leads to the addresses of interrupt messages")]
    InterruptAddress,
}

impl FaultReason {
    /// The code in a fault record.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::RootNotPresent => 0x1,
            Self::ContextNotPresent => 0x2,
            Self::ContextInvalid => 0x3,
            Self::AddressBeyondWidth => 0x4,
            Self::WritePermission => 0x5,
            Self::ReadPermission => 0x6,
            Self::PageTableAccess => 0x7,
            Self::RootTableAccess => 0x8,
            Self::ContextTableAccess => 0x9,
            Self::RootReserved => 0xa,
            Self::ContextReserved => 0xb,
            Self::PageReserved => 0xc,
            Self::InterruptAddress => 0xe,
        }
    }

    /// Whether a context entry's FPD bit keeps the fault from being recorded: where the unit had that
    /// entry in its hands. FPD counts in an entry that is not present, too (section 9.3).
    #[must_use]
    pub const fn is_qualified(self) -> bool {
        !matches!(
            self,
            Self::RootNotPresent
                | Self::RootTableAccess
                | Self::ContextTableAccess
                | Self::RootReserved
        )
    }

    /// The reason for a missing permission.
    pub(super) const fn missing(access: Access) -> Self {
        match access {
            Access::Read => Self::ReadPermission,
            Access::Write => Self::WritePermission,
        }
    }
}

/// A request that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why.
    pub reason: FaultReason,
    /// The same for whoever knows no VT-d: `Permission` where the other kind of access is permitted.
    pub kind: FaultKind,
    /// Whether the fault is recorded: false where FPD says so.
    pub is_recorded: bool,
}

impl Refusal {
    pub(super) const fn new(reason: FaultReason) -> Self {
        Self {
            reason,
            kind: FaultKind::Unmapped,
            is_recorded: true,
        }
    }

    /// A missing permission at an entry that permits something else, or nothing.
    pub(super) const fn missing(access: Access, permits_other: bool) -> Self {
        Self {
            reason: FaultReason::missing(access),
            kind: if permits_other {
                FaultKind::Permission
            } else {
                FaultKind::Unmapped
            },
            is_recorded: true,
        }
    }

    /// The same under a context entry whose FPD bit may be set.
    pub(super) const fn under(self, is_fault_processing_disabled: bool) -> Self {
        Self {
            is_recorded: self.is_recorded
                && !(is_fault_processing_disabled && self.reason.is_qualified()),
            ..self
        }
    }
}
