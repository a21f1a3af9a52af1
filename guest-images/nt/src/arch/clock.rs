//! Time from the time stamp counter, which is counted against the APIC's timer while booting: ticks may be
//! late or lost on a busy host, time is not.

use core::sync::atomic::{AtomicU64, Ordering};

use super::apic;

/// Timer counts of the measurement: 2 ms.
const CALIBRATION_COUNT: u32 = 2_000_000;
/// Units in a second: 100 ns.
pub const UNITS_PER_SECOND: u64 = 10_000_000;

static START: AtomicU64 = AtomicU64::new(0);
static HZ: AtomicU64 = AtomicU64::new(UNITS_PER_SECOND);

/// Measures the counter's frequency. Spins for 2 ms, once.
pub fn calibrate() {
    apic::start_count();
    let start = read_counter();
    let counted = loop {
        let counted = apic::elapsed_count();
        if counted >= CALIBRATION_COUNT {
            break counted;
        }
        core::hint::spin_loop();
    };
    let cycles = read_counter().wrapping_sub(start);
    let hz = u128::from(cycles) * u128::from(apic::TIMER_HZ) / u128::from(counted);
    HZ.store(
        u64::try_from(hz).unwrap_or(u64::MAX).max(1),
        Ordering::Relaxed,
    );
    START.store(start, Ordering::Relaxed);
}

/// 100 ns units since boot.
#[must_use]
pub fn now() -> u64 {
    let cycles = read_counter().wrapping_sub(START.load(Ordering::Relaxed));
    let units =
        u128::from(cycles) * u128::from(UNITS_PER_SECOND) / u128::from(HZ.load(Ordering::Relaxed));
    u64::try_from(units).unwrap_or(u64::MAX)
}

#[cfg(feature = "kernel")]
#[expect(unsafe_code, reason = "rdtsc")]
fn read_counter() -> u64 {
    // SAFETY: every x86-64 CPU has the counter, and CR4.TSD is clear.
    unsafe { core::arch::x86_64::_rdtsc() }
}

#[cfg(not(feature = "kernel"))]
fn read_counter() -> u64 {
    0
}
