//! The CPU that QEMU and the device process share. A trapped register access is a ping-pong between
//! the two, which costs 2.7 times as much across CPUs.

use rustix::thread::{CpuSet, sched_getaffinity};

/// The last CPU that we may use: the first one has more of the system's own work.
#[must_use]
pub fn choose_cpu() -> Option<usize> {
    let allowed = sched_getaffinity(None).ok()?;
    (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu))
}
