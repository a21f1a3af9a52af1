//! The CPU that QEMU and the device process share. A trapped register access is a ping-pong between
//! the two, which costs 2.7 times as much across CPUs.

use rustix::thread::{CpuSet, sched_getaffinity};

/// The last CPU that we may use: the first one has more of the system's own work.
#[must_use]
pub fn choose_cpu() -> Option<usize> {
    allowed_cpus().pop()
}

/// The CPUs that we may use; none where the system does not tell.
#[must_use]
pub fn allowed_cpus() -> Vec<usize> {
    let allowed = sched_getaffinity(None);
    let is_allowed = |cpu: &usize| allowed.as_ref().is_ok_and(|set| set.is_set(*cpu));
    (0..CpuSet::MAX_CPU).filter(is_allowed).collect()
}
