//! [`Sabotage`]: deliberate misbehavior, the negative control of the oracles.

/// One way to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// One bit of a payload write is flipped; CRC and status claim the intended bytes.
    FlipBit,
    /// One payload write is not made; CRC and status claim that it was.
    SkipWrite,
    /// Behind the last byte of a request's destination one more byte is changed, if a mapping lets us.
    WritePastEnd,
    /// Completion entry, status and vector become visible although the request's last write is not
    /// made. It is held back until the channel's next request begins, the worst case that a missing
    /// acknowledgement allows, so that the outcome does not hang on timing.
    CompleteEarly,
    /// Completion entry, status and cause bit become visible, and the vector or line that the request
    /// asked for is never raised, not even when its enable bit is set later.
    LoseInterrupt,
}
