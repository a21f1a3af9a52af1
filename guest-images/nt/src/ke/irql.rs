//! Checked IRQL changes.

pub use crate::arch::irql::{
    APC_LEVEL, CLOCK_LEVEL, DISPATCH_LEVEL, HIGH_LEVEL, Irql, PASSIVE_LEVEL, current,
};

/// Raises the IRQL and returns the old one; to a lower one is bug check 0x09.
pub fn raise(_new: Irql) -> Irql {
    todo!()
}

/// Lowers the IRQL, on which pending interrupts, DPCs and thread switches run; to a higher one is
/// bug check 0x0A.
pub fn lower(_new: Irql) {
    todo!()
}

/// Runs `body` at `level`, at least.
pub fn at<R>(_level: Irql, _body: impl FnOnce() -> R) -> R {
    todo!()
}
