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
    /// A fence of all channels passes without waiting for any.
    PassFence,
    /// A chain ends with its first descriptor, as if it led no further.
    IgnoreChain,
    /// The producer index of a ring in index mode is told one entry behind.
    StaleIndex,
    /// A descriptor that changes while it is the device's is not found.
    OverlookChange,
}
