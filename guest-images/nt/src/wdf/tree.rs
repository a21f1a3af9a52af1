//! Deletion: an object goes with its children, children first (KD-22).
//!
//! First the whole tree is disposed: of each object what it holds is released, then EvtCleanup runs. Then each
//! object loses the reference of its creation, and without any other it is destroyed: EvtDestroy, contexts,
//! record. Where an object wants PASSIVE_LEVEL and the IRQL is higher, the worker thread does it.

use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use super::context;
use super::object::{self, Handle, OBJECTS, State};
use crate::ke::irql::{self, PASSIVE_LEVEL};
use crate::ke::{wait, work};
use crate::ntoskrnl::driver;

/// Deletions on their way through the worker thread.
static DEFERRED: AtomicUsize = AtomicUsize::new(0);
/// One millisecond, in units of 100 ns.
const MILLISECOND: i64 = -10_000;
/// How long [`wait_for_deferred`] waits, in milliseconds.
const DEFERRED_LIMIT_MS: usize = 10_000;

/// The part of a deletion that may be left to the worker.
#[derive(Clone, Copy)]
enum Step {
    Delete,
    Destroy,
}

/// Deletes an object with all below it. Nothing happens where that has begun already.
pub fn delete(handle: Handle) {
    let has_begun = OBJECTS.with(|objects| {
        let parent = match objects.live.get_mut(&handle) {
            Some(object) if object.state == State::Live => {
                object.state = State::Disposed;
                object.parent
            }
            _ => return false,
        };
        if let Some(parent) = parent.and_then(|parent| objects.live.get_mut(&parent)) {
            parent.children.retain(|child| *child != handle);
        }
        true
    });
    if has_begun {
        carry_out(handle, Step::Delete);
    }
}

/// Deletes an object that was never given to the driver: its callbacks do not run.
pub fn discard(handle: Handle) {
    object::with(handle, |object| {
        for context in &mut object.contexts {
            (context.cleanup, context.destroy) = (0, 0);
        }
    });
    delete(handle);
}

/// Gives a reference back; the last one of a deleted object destroys it.
pub fn dereference(handle: Handle) {
    enum Outcome {
        Kept,
        Over,
        TooOften,
    }
    let outcome = object::with(handle, |object| {
        // None is left in EvtDestroy, nor where the worker is still to call it.
        let is_last = object.references == 1 && object.state != State::Deleted;
        if object.references == 0 || is_last {
            return Outcome::TooOften;
        }
        object.references -= 1;
        match object.references {
            0 => Outcome::Over,
            _ => Outcome::Kept,
        }
    });
    match outcome {
        Some(Outcome::Over) => carry_out(handle, Step::Destroy),
        Some(Outcome::TooOften) => object::misuse(
            "wdf-object-dereferenced-too-often",
            format_args!(
                "WdfObjectDereference of {handle}, which has no reference left to give back"
            ),
        ),
        Some(Outcome::Kept) | None => {}
    }
}

/// Returns when no deletion is left to the worker thread; for the end of a driver.
pub fn wait_for_deferred() {
    for _ in 0..DEFERRED_LIMIT_MS {
        if DEFERRED.load(Ordering::Relaxed) == 0 {
            return;
        }
        wait::delay(MILLISECOND);
    }
}

fn carry_out(handle: Handle, step: Step) {
    if irql::current() > PASSIVE_LEVEL && wants_passive(handle) {
        DEFERRED.fetch_add(1, Ordering::Relaxed);
        let routine = match step {
            Step::Delete => |raw| finish_deferred(raw, Step::Delete),
            Step::Destroy => |raw| finish_deferred(raw, Step::Destroy),
        };
        work::queue(routine, handle.raw());
        return;
    }
    finish(handle, step);
}

fn finish_deferred(raw: u64, step: Step) {
    finish(Handle::from_raw(raw), step);
    DEFERRED.fetch_sub(1, Ordering::Relaxed);
}

fn finish(handle: Handle, step: Step) {
    match step {
        Step::Delete => {
            dispose(handle);
            release(handle);
        }
        Step::Destroy => destroy(handle),
    }
}

/// Whether the object or one below it wants PASSIVE_LEVEL.
fn wants_passive(handle: Handle) -> bool {
    let wants = object::with(handle, |object| object.kind.is_passive).unwrap_or(false)
        || object::execution_level(handle) == super::attributes::ExecutionLevel::Passive;
    wants || children(handle).into_iter().any(wants_passive)
}

fn children(handle: Handle) -> Vec<Handle> {
    object::with(handle, |object| object.children.clone()).unwrap_or_default()
}

/// Disposes of the tree: children in the order of creation, then the object.
fn dispose(handle: Handle) {
    for child in children(handle) {
        let is_ours = object::with(child, |object| {
            let was_live = object.state == State::Live;
            object.state = State::Disposed;
            was_live
        });
        if is_ours == Some(true) {
            dispose(child);
        }
    }
    let Some(kind) = object::kind_of(handle) else {
        return;
    };
    (kind.on_dispose)(handle);
    for callback in take_callbacks(handle, |context| core::mem::take(&mut context.cleanup)) {
        driver::event(callback, "EvtCleanupCallback", &[handle.raw()]);
    }
}

/// Takes the reference of its creation from each object of the tree, children first.
fn release(handle: Handle) {
    for child in children(handle) {
        release(child);
    }
    object::with(handle, |object| {
        object.children.clear();
        object.parent = None;
        object.state = State::Deleted;
    });
    dereference(handle);
}

fn destroy(handle: Handle) {
    for callback in take_callbacks(handle, |context| core::mem::take(&mut context.destroy)) {
        driver::event(callback, "EvtDestroyCallback", &[handle.raw()]);
    }
    if let Some(kind) = object::kind_of(handle) {
        (kind.on_destroy)(handle);
    }
    if let Some(object) = OBJECTS.with(|objects| objects.live.remove(&handle)) {
        context::free(&object.contexts);
    }
}

fn take_callbacks(handle: Handle, take: impl FnMut(&mut context::Context) -> u64) -> Vec<u64> {
    let all: Vec<u64> = object::with(handle, |object| {
        object.contexts.iter_mut().map(take).collect()
    })
    .unwrap_or_default();
    all.into_iter().filter(|callback| *callback != 0).collect()
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
