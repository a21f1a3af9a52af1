//! System threads.

use super::wait::DispatcherHeader;
use super::{Foreign, NtStatus};
use crate::arch::win64::Routine;

/// A thread, as gs:[188h] and PsCreateSystemThread give it: its dispatcher header comes first, so that
/// it can be waited for; the rest is ours.
#[derive(Debug)]
#[repr(C)]
pub struct Thread {
    header: DispatcherHeader,
}

/// What a thread runs.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// A driver's KSTART_ROUTINE with its context.
    Driver(Routine, u64),
    /// The kernel's own.
    Kernel(fn(u64), u64),
}

/// Starts a system thread. The result holds a reference that [`dereference`] gives back.
///
/// # Errors
/// STATUS_INSUFFICIENT_RESOURCES.
pub fn create(_name: &'static str, _start: Start) -> Result<Foreign<Thread>, NtStatus> {
    todo!()
}

/// The current thread.
#[must_use]
pub fn current() -> Foreign<Thread> {
    todo!()
}

/// Takes a reference, so that the object outlives the thread.
pub fn reference(_thread: Foreign<Thread>) {
    todo!()
}

/// Gives a reference back.
pub fn dereference(_thread: Foreign<Thread>) {
    todo!()
}

/// PsTerminateSystemThread.
pub fn exit_current(_status: NtStatus) -> ! {
    todo!()
}

/// The status a thread ended with, once it has.
#[must_use]
pub fn exit_status(_thread: Foreign<Thread>) -> Option<NtStatus> {
    todo!()
}

/// Lets other ready threads run. PASSIVE_LEVEL or APC_LEVEL.
pub fn yield_now() {
    todo!()
}

/// Live threads that drivers started, for the leak report.
#[must_use]
pub fn driver_thread_count() -> usize {
    todo!()
}
