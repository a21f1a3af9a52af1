//! [`Fault`]: why, and at which byte, a translation ends.

use dmarig_abi::Iova;
use thiserror::Error;

/// The first byte of an access that could not be translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{kind} at IOVA {iova}")]
pub struct Fault {
    /// The first byte that is refused; all bytes of the access before it are permitted.
    pub iova: Iova,
    /// The reason.
    pub kind: FaultKind,
}

/// Why a byte is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FaultKind {
    /// No mapping covers the byte.
    #[error("no mapping")]
    Unmapped,
    /// A mapping covers the byte, but does not permit this access.
    #[error("access not permitted")]
    Permission,
    /// The access would pass 2^64 - 1; `iova` is its first byte and nothing was looked up.
    #[error("access wraps round the end of the address space")]
    Wrap,
}
