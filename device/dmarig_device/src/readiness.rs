//! [`Readiness`]: what a socket can do now, as the event loop says it.

/// What a socket can do now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readiness {
    /// Bytes, or the end of the stream, can be read.
    pub readable: bool,
    /// Bytes can be written.
    pub writable: bool,
    /// The peer is gone in both directions, or the socket has failed.
    pub hung_up: bool,
}
