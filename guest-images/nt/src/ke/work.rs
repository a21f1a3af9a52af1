//! The system worker thread.

/// Queues `routine(context)` to the system worker thread, where it runs at PASSIVE_LEVEL. Callable at
/// DISPATCH_LEVEL and below.
pub fn queue(_routine: fn(u64), _context: u64) {
    todo!()
}
