//! Every framework object: its handle, type, place in the tree, references.
//!
//! A handle is a number below the system range that no object ever has again: there is nothing behind it for a
//! driver to read, and a stale one is told from a wrong one. Deletion is in [`super::tree`], contexts in
//! [`super::context`].

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;

use super::attributes::{Attributes, ExecutionLevel, Scope};
use super::context::{self, Context};
use super::violation::{self, reason};
use crate::arch::guarded::Guarded;
use crate::log;
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;

/// The first handle; each further one lies a step above.
const FIRST_HANDLE: u64 = 0x5DF0_0000_0000;
const HANDLE_STEP: u64 = 0x10;
/// Objects above one another at most: deletion goes down the tree on the kernel's stack.
const MAX_DEPTH: usize = 64;

/// A framework object's handle, as a driver holds it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Handle(u64);

impl Handle {
    /// The number that the driver sees.
    #[must_use]
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// The handle of that number, whether or not there is an object.
    pub(super) const fn from_raw(raw: u64) -> Self {
        Self(raw)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({:#x})", self.0)
    }
}

/// A type of objects, one `static` in its family's file. Two kinds are the same if they are the same static.
pub struct Kind {
    /// As in the headers: `WDFSPINLOCK`.
    pub name: &'static str,
    /// Whether WdfObjectDelete takes such objects.
    pub is_deletable: bool,
    /// Whether they are disposed and destroyed at PASSIVE_LEVEL alone: a deletion at DISPATCH_LEVEL is then carried
    /// out by the worker thread.
    pub is_passive: bool,
    /// Releases what the object holds. Once, before the driver's EvtCleanup.
    pub on_dispose: fn(Handle),
    /// Forgets the object. Once, after the driver's EvtDestroy, when the last reference has gone.
    pub on_destroy: fn(Handle),
}

impl Kind {
    /// A kind without hooks: deletable, at any IRQL up to DISPATCH_LEVEL.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            is_deletable: true,
            is_passive: false,
            on_dispose: nothing,
            on_destroy: nothing,
        }
    }

    fn is(&self, other: &Self) -> bool {
        core::ptr::eq(self, other)
    }
}

fn nothing(_handle: Handle) {}

/// Where an object stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Live,
    /// Deletion has begun: with its parent, or by itself.
    Disposed,
    /// The reference of its creation has gone; others keep it.
    Deleted,
}

pub(super) struct Object {
    pub(super) kind: &'static Kind,
    pub(super) parent: Option<Handle>,
    /// In the order of creation.
    pub(super) children: Vec<Handle>,
    pub(super) references: u32,
    pub(super) state: State,
    pub(super) is_deletable: bool,
    pub(super) contexts: Vec<Context>,
    execution_level: ExecutionLevel,
    scope: Scope,
}

pub(super) struct Objects {
    pub(super) live: BTreeMap<Handle, Object>,
    next: u64,
}

pub(super) static OBJECTS: Guarded<Objects> = Guarded::new(Objects {
    live: BTreeMap::new(),
    next: FIRST_HANDLE,
});

pub(super) fn with<R>(handle: Handle, body: impl FnOnce(&mut Object) -> R) -> Option<R> {
    OBJECTS.with(|objects| objects.live.get_mut(&handle).map(body))
}

/// Creates an object with the context and callbacks of its attributes. `parent` is what the family has chosen,
/// [`Attributes::parent_or`] for most.
///
/// # Errors
/// STATUS_DELETE_PENDING where the parent is being deleted, STATUS_INSUFFICIENT_RESOURCES where memory is short or the
/// tree too deep.
pub fn create(
    kind: &'static Kind,
    attributes: &Attributes,
    parent: Option<Handle>,
) -> Result<Handle, NtStatus> {
    if let Some(parent) = parent.filter(|parent| line(*parent).count() == MAX_DEPTH) {
        log!(
            "a {} below {parent} would be object {} of its line: refused",
            kind.name,
            MAX_DEPTH + 1
        );
        return Err(status::INSUFFICIENT_RESOURCES);
    }
    let context = context::allocate(attributes)?;
    let object = Object {
        kind,
        parent,
        children: Vec::new(),
        references: 1,
        state: State::Live,
        is_deletable: kind.is_deletable,
        contexts: context.into_iter().collect(),
        execution_level: attributes.execution_level,
        scope: attributes.scope,
    };
    let outcome = OBJECTS.with(|objects| {
        let handle = Handle(objects.next);
        if let Some(parent) = parent {
            match objects.live.get_mut(&parent) {
                Some(parent) if parent.state == State::Live => parent.children.push(handle),
                _ => return Err(object),
            }
        }
        objects.next += HANDLE_STEP;
        objects.live.insert(handle, object);
        Ok(handle)
    });
    outcome.map_err(|object| {
        context::free(&object.contexts);
        status::DELETE_PENDING
    })
}

/// The object of a kind that a driver means; what is no such handle is bug check 0x10D/5.
#[must_use]
pub fn check(function: &str, raw: u64, kind: &'static Kind) -> Handle {
    let handle = check_any(function, raw);
    match kind_of(handle) {
        Some(found) if found.is(kind) => handle,
        found => refuse(
            function,
            raw,
            format_args!(
                "a {}, not a {}",
                found.map_or("?", |found| found.name),
                kind.name
            ),
        ),
    }
}

/// As [`check`] for objects of any kind (WDFOBJECT).
#[must_use]
pub fn check_any(function: &str, raw: u64) -> Handle {
    let (is_there, next) =
        OBJECTS.with(|objects| (objects.live.contains_key(&Handle(raw)), objects.next));
    if is_there {
        return Handle(raw);
    }
    let was_given = (FIRST_HANDLE..next).contains(&raw) && raw.is_multiple_of(HANDLE_STEP);
    let what = if was_given {
        "the handle of an object that is gone"
    } else {
        "no handle"
    };
    refuse(function, raw, format_args!("{what}"))
}

fn refuse(function: &str, raw: u64, what: fmt::Arguments<'_>) -> ! {
    violation::raise(
        "wdf-handle-invalid",
        format_args!("{function}: {raw:#x} is {what}"),
        [reason::INVALID_HANDLE, raw, 0, 0],
    )
}

/// The kind of an object; `None` where it is gone.
#[must_use]
pub fn kind_of(handle: Handle) -> Option<&'static Kind> {
    with(handle, |object| object.kind)
}

/// Whether an object is of a kind.
#[must_use]
pub fn is(handle: Handle, kind: &'static Kind) -> bool {
    kind_of(handle).is_some_and(|found| found.is(kind))
}

/// The parent of an object.
#[must_use]
pub fn parent_of(handle: Handle) -> Option<Handle> {
    with(handle, |object| object.parent).flatten()
}

/// The object itself or the nearest one above it that is of a kind: the device of a queue, say.
#[must_use]
pub fn nearest(handle: Handle, kind: &'static Kind) -> Option<Handle> {
    line(handle).find(|handle| is(*handle, kind))
}

/// The object and its parents, upwards.
fn line(handle: Handle) -> impl Iterator<Item = Handle> {
    core::iter::successors(Some(handle), |handle| parent_of(*handle)).take(MAX_DEPTH)
}

/// The level at which the callbacks of an object come: its own, or the nearest one above that says so.
/// [`ExecutionLevel::Dispatch`] where nobody does.
#[must_use]
pub fn execution_level(handle: Handle) -> ExecutionLevel {
    line(handle)
        .filter_map(|handle| with(handle, |object| object.execution_level))
        .find(|level| *level != ExecutionLevel::Inherit)
        .unwrap_or(ExecutionLevel::Dispatch)
}

/// The lock under which the callbacks of an object come, as [`execution_level`]. [`Scope::None`] where nobody says.
#[must_use]
pub fn synchronization_scope(handle: Handle) -> Scope {
    line(handle)
        .filter_map(|handle| with(handle, |object| object.scope))
        .find(|scope| *scope != Scope::Inherit)
        .unwrap_or(Scope::None)
}

/// Whether the object is there and its deletion has not begun.
#[must_use]
pub fn is_live(handle: Handle) -> bool {
    with(handle, |object| object.state == State::Live).unwrap_or(false)
}

/// Takes WdfObjectDelete away from the driver for this object, or gives it.
pub fn set_deletable(handle: Handle, is_deletable: bool) {
    with(handle, |object| object.is_deletable = is_deletable);
}

/// WdfObjectReference.
pub fn reference(handle: Handle) {
    with(handle, |object| object.references += 1);
}

/// The children of an object that are of a kind, in the order of creation.
#[must_use]
pub fn children_of(handle: Handle, kind: &'static Kind) -> Vec<Handle> {
    let children = with(handle, |object| object.children.clone()).unwrap_or_default();
    children
        .into_iter()
        .filter(|child| is(*child, kind))
        .collect()
}

/// Objects that are still there, for the leak report: handle, kind, references, oldest first.
#[must_use]
pub fn live() -> Vec<(Handle, &'static str, u32)> {
    OBJECTS.with(|objects| {
        let live = objects.live.iter();
        live.map(|(handle, object)| (*handle, object.kind.name, object.references))
            .collect()
    })
}

/// Reports what breaks a rule of objects without a documented code.
pub(super) fn misuse(id: &str, detail: fmt::Arguments<'_>) {
    verifier::undocumented_violation(id, detail);
}

#[cfg(test)]
#[path = "object_tests.rs"]
mod tests;
