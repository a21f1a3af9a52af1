//! [`HostQueueFull`]: why a device-side request of the host is not taken.

use thiserror::Error;

/// The host's queue holds as many requests as it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{queued} device-side requests are queued already: wait for one to end")]
pub struct HostQueueFull {
    /// Requests in the queue.
    pub queued: usize,
}
