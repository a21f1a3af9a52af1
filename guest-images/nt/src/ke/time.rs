//! Clocks.

use crate::arch::clock;

/// Time at boot, in 100 ns since 1601: 2025-01-01. The machine's own date is no business of a test, and equal
/// runs see equal dates.
const BOOT_TIME: u64 = 133_801_632_000_000_000;
/// 100 ns units in one tick (KeQueryTimeIncrement).
pub const TIME_INCREMENT: u32 = 10_000;
/// Frequency of [`performance_counter`], in Hz.
pub const PERFORMANCE_FREQUENCY: u64 = clock::UNITS_PER_SECOND;

/// KeQuerySystemTime: 100 ns units since 1601.
#[must_use]
pub fn system_time() -> u64 {
    system_time_at(clock::now())
}

/// The system time at a moment since boot.
pub(super) fn system_time_at(now: u64) -> u64 {
    BOOT_TIME + now
}

/// KeQueryInterruptTime: 100 ns units since boot.
#[must_use]
pub fn interrupt_time() -> u64 {
    clock::now()
}

/// KeQueryTickCount: ticks since boot.
#[must_use]
pub fn tick_count() -> u64 {
    clock::now() / u64::from(TIME_INCREMENT)
}

/// KeQueryPerformanceCounter.
#[must_use]
pub fn performance_counter() -> u64 {
    clock::now()
}

/// KeStallExecutionProcessor.
pub fn stall_us(microseconds: u32) {
    let end = clock::now() + u64::from(microseconds) * (clock::UNITS_PER_SECOND / 1_000_000);
    while cfg!(feature = "kernel") && clock::now() < end {
        core::hint::spin_loop();
    }
}

/// A Windows time (negative: relative; else absolute system time) in 100 ns since boot.
pub(super) fn deadline(due: i64) -> u64 {
    if due < 0 {
        clock::now().saturating_add(due.unsigned_abs())
    } else {
        due.unsigned_abs().saturating_sub(BOOT_TIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_taken_relative_and_absolute() {
        assert_eq!(deadline(-25), 25, "the host's clock stands at 0");
        assert_eq!(deadline(i64::MIN), 1 << 63);
        assert_eq!(deadline(0), 0, "long past");
        assert_eq!(deadline(i64::try_from(BOOT_TIME).expect("fits") + 7), 7);
    }
}
