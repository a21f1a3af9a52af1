//! One CPU for everything: across two, a ping-pong costs what the hypervisor likes.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// Pins this thread, and those it starts later, to the first CPU it may use.
pub fn pin_to_one_cpu() {
    let allowed = sched_getaffinity(None).expect("affinity can be read");
    let cpu = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu));
    let mut one = CpuSet::new();
    one.set(cpu.expect("there is a CPU to run on"));
    sched_setaffinity(None, &one).expect("affinity can be narrowed");
}

/// CPU time of this thread in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let ns = time.tv_sec * 1_000_000_000 + time.tv_nsec;
    u64::try_from(ns).expect("CPU time is positive")
}
