//! Which registers and fields a driver has touched, and which of its accesses mean nothing.
//!
//! [`Coverage`] is told of every access to a BAR, and knows the registers by an endpoint's
//! [`endpoint::RegisterInfo`]. It judges nothing: an access without behavior is counted and listed.
#![forbid(unsafe_code)]

mod coverage;
mod odd;
mod register_use;

pub use coverage::{Access, Coverage};
pub use odd::{MAX_ODD_ACCESSES, OddAccess, OddAccesses, Reason};
pub use register_use::{FieldUse, RegisterUse};
