//! [`Notice`]: what the rest of the device is to do about a fault on the bus.

use dmarig_abi::Iova;

/// An error that a real function would log in its AER capability or its status register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusError {
    /// A Completion with status Unsupported Request came.
    UnsupportedRequest,
    /// A Completion with status Completer Abort came.
    CompleterAbort,
    /// No Completion came.
    CompletionTimeout,
    /// A poisoned Completion came.
    PoisonedTlp,
}

/// One thing to do, in the order in which it came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Log an error of the access at this address.
    Error {
        /// What went wrong.
        error: BusError,
        /// First byte of the access.
        iova: Iova,
    },
    /// Raise a vector that nobody asked for.
    SpuriousInterrupt {
        /// The vector.
        vector: u16,
    },
    /// Take the link down: for so many microseconds, or for good.
    LinkDown {
        /// For how long; `None` for good.
        microseconds: Option<u32>,
    },
}
