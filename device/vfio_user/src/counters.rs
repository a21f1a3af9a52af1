//! Counts of what a peer can cause at will. They stand in for log lines: a line is written when
//! a count is a power of two, so that a flood costs a few dozen lines.

/// Totals of one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Requests taken, good or bad.
    pub requests: u64,
    /// Requests answered with an error.
    pub refused: u64,
    /// Requests that failed and wanted no reply.
    pub refused_silently: u64,
    /// Replies to message DMA that came after its deadline.
    pub late_replies: u64,
    /// Replies that answer nothing we asked.
    pub unknown_replies: u64,
    /// Replies to message DMA whose size, count or address is wrong.
    pub malformed_replies: u64,
}

/// Adds one and tells whether this occurrence is worth a log line.
pub(crate) fn count(counter: &mut u64) -> bool {
    *counter = counter.saturating_add(1);
    counter.is_power_of_two()
}
