//! [`Sabotage`]: deliberate misbehavior, the negative control of the oracles.
//!
//! The engine asks at the points named here and at no others; with no sabotage set each of them is
//! one comparison. Only payload writes are sabotaged, never descriptor fetches or completion entries.

/// One way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// One bit of a payload write is flipped; CRC and status claim the intended bytes.
    FlipBit,
    /// One payload write is not made; CRC and status claim that it was.
    SkipWrite,
    /// Behind the last byte of a request's destination one more byte is changed.
    WritePastEnd,
    /// Completion entry, status and vector become visible although the request's last write is not
    /// made. It is held back until the channel's next request begins, the worst case that a missing
    /// acknowledgement allows, so that the outcome does not hang on timing.
    CompleteEarly,
}
