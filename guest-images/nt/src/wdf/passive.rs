//! Callbacks that come at PASSIVE_LEVEL whatever the IRQL they are asked for at: work items, and timers of that
//! execution level. One call at a time of each object, in the worker thread; a call that is asked for while one
//! waits is that one.

use super::family::Family;
use super::object::{self, Handle};
use super::tree;
use crate::arch::processor;
use crate::ke::{wait, work};

/// One millisecond, in units of 100 ns.
const MILLISECOND: i64 = -10_000;

/// The calls of one object.
struct Calls {
    run: fn(Handle),
    is_queued: bool,
    /// The thread that is in the callback.
    thread: Option<u64>,
}

static CALLS: Family<Calls> = Family::new();

/// Gives an object its calls: `run` makes one.
pub(super) fn attach(handle: Handle, run: fn(Handle)) {
    CALLS.insert(
        handle,
        Calls {
            run,
            is_queued: false,
            thread: None,
        },
    );
}

/// Takes them away; for `on_destroy`.
pub(super) fn detach(handle: Handle) {
    CALLS.remove(handle);
}

/// Asks for a call, at any IRQL up to DISPATCH_LEVEL. False where one waits already. The object is referenced until
/// the call is over.
pub(super) fn enqueue(handle: Handle) -> bool {
    let is_new = CALLS.with(handle, |calls| {
        !core::mem::replace(&mut calls.is_queued, true)
    });
    if is_new != Some(true) {
        return false;
    }
    object::reference(handle);
    work::queue(finish, handle.raw());
    true
}

/// Whether this thread is in the callback of the object.
pub(super) fn is_in_callback(handle: Handle) -> bool {
    let thread = processor::current_thread();
    CALLS.with(handle, |calls| calls.thread == Some(thread)) == Some(true)
}

/// Returns when no call of the object waits or runs. IRQL PASSIVE_LEVEL, and not from the callback.
pub(super) fn wait_for(handle: Handle) {
    loop {
        let is_idle = CALLS.with(handle, |calls| !calls.is_queued && calls.thread.is_none());
        if is_idle.unwrap_or(true) {
            return;
        }
        // The worker thread would wait for itself; and on the host there is none.
        if work::is_worker() || cfg!(not(feature = "kernel")) {
            call(handle);
        } else {
            wait::delay(MILLISECOND);
        }
    }
}

fn finish(raw: u64) {
    let handle = Handle::from_raw(raw);
    call(handle);
    tree::dereference(handle);
}

/// Makes the call that waits, if it still does.
fn call(handle: Handle) {
    let thread = processor::current_thread();
    let run = CALLS.with(handle, |calls| {
        let is_due = core::mem::take(&mut calls.is_queued);
        is_due.then(|| {
            calls.thread = Some(thread);
            calls.run
        })
    });
    if let Some(Some(run)) = run {
        run(handle);
        CALLS.with(handle, |calls| calls.thread = None);
    }
}
