//! In which part of the driver's life a call is made: what nt has asked of the driver last and still waits for.

use core::sync::atomic::{AtomicUsize, Ordering};

/// Names of phases; the first is that of a driver of which nothing is asked.
static PHASES: &[&str] = &[
    "running",
    "DriverEntry",
    "AddDevice",
    "START_DEVICE",
    "QUERY_REMOVE_DEVICE",
    "REMOVE_DEVICE",
    "CANCEL_REMOVE_DEVICE",
    "STOP_DEVICE",
    "QUERY_STOP_DEVICE",
    "CANCEL_STOP_DEVICE",
    "SURPRISE_REMOVAL",
    "SET_POWER",
    "DriverUnload",
];

static CURRENT: AtomicUsize = AtomicUsize::new(0);

/// Runs what is asked of the driver under its name.
pub(crate) fn in_phase<R>(name: &str, body: impl FnOnce() -> R) -> R {
    let number = PHASES.iter().position(|phase| *phase == name).unwrap_or(0);
    let before = CURRENT.swap(number, Ordering::Relaxed);
    let result = body();
    CURRENT.store(before, Ordering::Relaxed);
    result
}

/// The phase now.
pub(super) fn current() -> &'static str {
    PHASES[CURRENT.load(Ordering::Relaxed)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phase_ends_with_its_body() {
        assert_eq!(in_phase("AddDevice", current), "AddDevice");
        assert_eq!(current(), "running");
    }
}
