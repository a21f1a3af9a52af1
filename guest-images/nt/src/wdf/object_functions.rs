//! WdfObject...: the functions that take objects of any kind (indices 202 to 209, 310, 311).

use super::attributes::{Attributes, ParentRule, Rules, type_identity};
use super::object::{self, Kind};
use super::violation::{at_most, not_null};
use super::{context, globals, lock, tree};
use crate::ke::irql::DISPATCH_LEVEL;
use crate::ntoskrnl::shared::write_u64;
use crate::ntoskrnl::status::{self, NtStatus};

/// Objects of WdfObjectCreate.
static KIND: Kind = Kind::new("WDFOBJECT");

/// `WdfObjectCreate` (wdfobject.h). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INSUFFICIENT_RESOURCES, or what
/// [`Attributes::read`] says. The driver is the parent where none is named.
pub(super) extern "win64" fn create(globals: u64, attributes: u64, out: u64) -> NtStatus {
    let function = "WdfObjectCreate";
    at_most(function, DISPATCH_LEVEL);
    not_null(function, "Object", out);
    let rules = Rules {
        execution_level: true,
        ..Rules::PLAIN
    };
    let created = Attributes::read(attributes, rules).and_then(|attributes| {
        let parent = match attributes.parent {
            0 => globals::driver(globals),
            parent => Some(object::check_any(function, parent)),
        };
        object::create(&KIND, &attributes, parent)
    });
    match created {
        Ok(handle) => {
            write_u64(out, handle.raw());
            status::SUCCESS
        }
        Err(status) => status,
    }
}

/// `WdfObjectDelete` (wdfobject.h). IRQL <= DISPATCH_LEVEL. Objects that the framework deletes are a finding, and
/// stay.
pub(super) extern "win64" fn delete(_globals: u64, handle: u64) {
    let function = "WdfObjectDelete";
    at_most(function, DISPATCH_LEVEL);
    let handle = object::check_any(function, handle);
    if object::with(handle, |object| object.is_deletable) == Some(false) {
        let kind = object::kind_of(handle).map_or("object", |kind| kind.name);
        object::misuse(
            "wdf-object-not-deletable",
            format_args!("{function} of {handle}: this {kind} is deleted by the framework alone"),
        );
        return;
    }
    tree::delete(handle);
}

/// `WdfObjectQuery` (wdfobject.h). STATUS_NOT_FOUND: no query is known.
pub(super) extern "win64" fn query(
    _globals: u64,
    handle: u64,
    guid: u64,
    _len: u32,
    _buffer: u64,
) -> NtStatus {
    let function = "WdfObjectQuery";
    let _ = object::check_any(function, handle);
    not_null(function, "Guid", guid);
    status::NOT_FOUND
}

/// `WdfObjectReferenceActual` (wdfobject.h): tag, line and file are of no interest. IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn reference(
    _globals: u64,
    handle: u64,
    _tag: u64,
    _line: i32,
    _file: u64,
) {
    at_most("WdfObjectReference", DISPATCH_LEVEL);
    object::reference(object::check_any("WdfObjectReference", handle));
}

/// `WdfObjectDereferenceActual` (wdfobject.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn dereference(
    _globals: u64,
    handle: u64,
    _tag: u64,
    _line: i32,
    _file: u64,
) {
    at_most("WdfObjectDereference", DISPATCH_LEVEL);
    tree::dereference(object::check_any("WdfObjectDereference", handle));
}

/// `WdfObjectGetTypedContextWorker` (wdfobject.h). Any IRQL up to that of interrupts. The context, or null where
/// the object has none of that type.
pub(super) extern "win64" fn typed_context(_globals: u64, handle: u64, type_info: u64) -> u64 {
    let function = "WdfObjectGetTypedContextWorker";
    not_null(function, "Handle", handle);
    not_null(function, "TypeInfo", type_info);
    let handle = object::check_any(function, handle);
    context::find(handle, type_identity(type_info)).unwrap_or(0)
}

/// `WdfObjectAllocateContext` (wdfobject.h). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_OBJECT_NAME_EXISTS with
/// the context that is there, STATUS_OBJECT_NAME_INVALID without a type, STATUS_INSUFFICIENT_RESOURCES,
/// STATUS_WDF_PARENT_NOT_SPECIFIED without attributes, or what [`Attributes::read`] says.
pub(super) extern "win64" fn allocate_context(
    globals: u64,
    handle: u64,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfObjectAllocateContext";
    at_most(function, DISPATCH_LEVEL);
    not_null(function, "Handle", handle);
    let handle = object::check_any(function, handle);
    if attributes == 0 {
        return status::WDF_PARENT_NOT_SPECIFIED;
    }
    let parent = if globals::is_at_least(globals, 11) {
        ParentRule::NotAllowed
    } else {
        ParentRule::Optional
    };
    let rules = Rules {
        parent,
        ..Rules::PLAIN
    };
    let attributes = match Attributes::read(attributes, rules) {
        Ok(attributes) if attributes.context.is_none() => return status::OBJECT_NAME_INVALID,
        Ok(attributes) => attributes,
        Err(status) => return status,
    };
    let (status, address) = match context::add(handle, &attributes) {
        Ok(address) => (status::SUCCESS, address),
        Err(refusal) => refusal,
    };
    if out != 0 && status.is_success() {
        write_u64(out, address);
    }
    status
}

/// `WdfObjectContextGetObject` (wdfobject.h). The object whose context it is; any other pointer is bug check
/// 0x10D/5.
pub(super) extern "win64" fn context_object(_globals: u64, context: u64) -> u64 {
    match context::owner(context) {
        Some(handle) => handle.raw(),
        None => super::violation::raise(
            "wdf-context-unknown",
            format_args!("WdfObjectContextGetObject: {context:#x} is no context of an object"),
            [super::violation::reason::INVALID_HANDLE, context, 0, 0],
        ),
    }
}

/// `WdfObjectAcquireLock` (wdfsync.h). IRQL <= DISPATCH_LEVEL; comes back at DISPATCH_LEVEL, or at PASSIVE_LEVEL for
/// objects of that execution level.
pub(super) extern "win64" fn acquire_lock(_globals: u64, handle: u64) {
    let function = "WdfObjectAcquireLock";
    at_most(function, DISPATCH_LEVEL);
    lock::acquire(function, object::check_any(function, handle));
}

/// `WdfObjectReleaseLock` (wdfsync.h).
pub(super) extern "win64" fn release_lock(_globals: u64, handle: u64) {
    let function = "WdfObjectReleaseLock";
    at_most(function, DISPATCH_LEVEL);
    lock::release(function, object::check_any(function, handle));
}
