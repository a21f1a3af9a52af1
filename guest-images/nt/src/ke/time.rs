//! Clocks.

/// KeQuerySystemTime: 100 ns units since 1601.
#[must_use]
pub fn system_time() -> u64 {
    todo!()
}

/// KeQueryInterruptTime: 100 ns units since boot.
#[must_use]
pub fn interrupt_time() -> u64 {
    todo!()
}

/// KeQueryTickCount: ticks since boot.
#[must_use]
pub fn tick_count() -> u64 {
    todo!()
}

/// 100 ns units in one tick (KeQueryTimeIncrement).
pub const TIME_INCREMENT: u32 = 10_000;
/// Frequency of [`performance_counter`], in Hz.
pub const PERFORMANCE_FREQUENCY: u64 = 10_000_000;

/// KeQueryPerformanceCounter.
#[must_use]
pub fn performance_counter() -> u64 {
    todo!()
}

/// KeStallExecutionProcessor.
pub fn stall_us(_microseconds: u32) {
    todo!()
}
