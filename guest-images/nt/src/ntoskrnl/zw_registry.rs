//! The registry routines.

use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use super::objects_by_handle::{self, Object};
use super::shared::{
    CellStructure, counted_string, optional, read_bytes, shared, write_bytes, write_u64,
};
use super::status::{self, NtStatus};
use super::verifier;
use crate::ke::irql::PASSIVE_LEVEL;
use crate::registry::{
    Fit, InformationClass, MAX_VALUE_BYTES, PathError, REGISTRY, Value, value_information,
};

/// OBJECT_ATTRIBUTES.
#[repr(C)]
struct ObjectAttributes {
    length: Cell<u32>,
    root_directory: Cell<u64>,
    object_name: Cell<u64>,
    attributes: Cell<u32>,
    security_descriptor: Cell<u64>,
    security_quality_of_service: Cell<u64>,
}

const _: () = assert!(size_of::<ObjectAttributes>() == 0x30);

// SAFETY: cells of integers only.
#[expect(unsafe_code, reason = "the promise of CellStructure")]
unsafe impl CellStructure for ObjectAttributes {}

/// `ZwOpenKey` (wdm.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_OBJECT_NAME_NOT_FOUND,
/// STATUS_OBJECT_PATH_SYNTAX_BAD, STATUS_INVALID_HANDLE.
pub(super) extern "win64" fn zw_open_key(handle: u64, _access: u32, attributes: u64) -> NtStatus {
    verifier::at_most("ZwOpenKey", PASSIVE_LEVEL);
    let opened = path_of(attributes).and_then(|path| {
        REGISTRY
            .with(|registry| registry.open(&path))
            .map_err(path_status)
    });
    give_handle(handle, opened)
}

/// `ZwCreateKey` (wdm.h). IRQL PASSIVE_LEVEL. As [`zw_open_key`], and creates what is missing.
pub(super) extern "win64" fn zw_create_key(
    handle: u64,
    _access: u32,
    attributes: u64,
    _title_index: u32,
    _class: u64,
    _options: u32,
    disposition: u64,
) -> NtStatus {
    verifier::at_most("ZwCreateKey", PASSIVE_LEVEL);
    let created = path_of(attributes).and_then(|path| {
        REGISTRY.with(|registry| {
            let existed = registry.open(&path).is_ok();
            let key = registry.create(&path).map_err(path_status)?;
            if let Some(disposition) = optional::<Cell<u32>>(disposition) {
                // REG_CREATED_NEW_KEY or REG_OPENED_EXISTING_KEY.
                disposition.set(if existed { 2 } else { 1 });
            }
            Ok(key)
        })
    });
    give_handle(handle, created)
}

/// `ZwQueryValueKey` (wdm.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_OBJECT_NAME_NOT_FOUND,
/// STATUS_BUFFER_OVERFLOW, STATUS_BUFFER_TOO_SMALL, STATUS_INVALID_PARAMETER, STATUS_INVALID_HANDLE.
pub(super) extern "win64" fn zw_query_value_key(
    handle: u64,
    name: u64,
    class: u32,
    buffer: u64,
    room: u32,
    result_len: u64,
) -> NtStatus {
    verifier::at_most("ZwQueryValueKey", PASSIVE_LEVEL);
    let name = counted_string(name);
    query(handle, class, buffer, room, result_len, |key| {
        let value = REGISTRY.with(|registry| registry.value(key, &name).cloned());
        value.ok_or(status::OBJECT_NAME_NOT_FOUND)
    })
}

/// `ZwEnumerateValueKey` (wdm.h). IRQL PASSIVE_LEVEL. As [`zw_query_value_key`];
/// STATUS_NO_MORE_ENTRIES behind the last value.
pub(super) extern "win64" fn zw_enumerate_value_key(
    handle: u64,
    index: u32,
    class: u32,
    buffer: u64,
    room: u32,
    result_len: u64,
) -> NtStatus {
    verifier::at_most("ZwEnumerateValueKey", PASSIVE_LEVEL);
    query(handle, class, buffer, room, result_len, |key| {
        let value = REGISTRY.with(|registry| registry.value_at(key, index as usize).cloned());
        value.ok_or(status::NO_MORE_ENTRIES)
    })
}

/// `ZwSetValueKey` (wdm.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_INVALID_HANDLE,
/// STATUS_INSUFFICIENT_RESOURCES beyond 1 MiB.
pub(super) extern "win64" fn zw_set_value_key(
    handle: u64,
    name: u64,
    _title_index: u32,
    kind: u32,
    data: u64,
    data_len: u32,
) -> NtStatus {
    verifier::at_most("ZwSetValueKey", PASSIVE_LEVEL);
    let Some(Object::Key(key)) = objects_by_handle::find(handle) else {
        return status::INVALID_HANDLE;
    };
    if data_len as usize > MAX_VALUE_BYTES {
        return status::INSUFFICIENT_RESOURCES;
    }
    let value = Value {
        name: counted_string(name),
        kind,
        data: read_bytes(data, data_len as usize),
    };
    REGISTRY.with(|registry| registry.set(&key, value));
    status::SUCCESS
}

/// `ZwDeleteValueKey` (wdm.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_INVALID_HANDLE,
/// STATUS_OBJECT_NAME_NOT_FOUND.
pub(super) extern "win64" fn zw_delete_value_key(handle: u64, name: u64) -> NtStatus {
    verifier::at_most("ZwDeleteValueKey", PASSIVE_LEVEL);
    let Some(Object::Key(key)) = objects_by_handle::find(handle) else {
        return status::INVALID_HANDLE;
    };
    let name = counted_string(name);
    if REGISTRY.with(|registry| registry.remove_value(&key, &name)) {
        status::SUCCESS
    } else {
        status::OBJECT_NAME_NOT_FOUND
    }
}

/// Writes what a value query answers.
fn query(
    handle: u64,
    class: u32,
    buffer: u64,
    room: u32,
    result_len: u64,
    find: impl FnOnce(&str) -> Result<Value, NtStatus>,
) -> NtStatus {
    let Some(Object::Key(key)) = objects_by_handle::find(handle) else {
        return status::INVALID_HANDLE;
    };
    let Ok(class) = InformationClass::try_from(class) else {
        return status::INVALID_PARAMETER;
    };
    let value = match find(&key) {
        Ok(value) => value,
        Err(status) => return status,
    };
    let answer = value_information(&value, class, room as usize);
    write_bytes(buffer, &answer.bytes);
    shared::<Cell<u32>>(result_len).set(answer.needed);
    match answer.fit {
        Fit::Whole => status::SUCCESS,
        Fit::Cut => status::BUFFER_OVERFLOW,
        Fit::Nothing => status::BUFFER_TOO_SMALL,
    }
}

/// The full path that OBJECT_ATTRIBUTES name.
fn path_of(attributes: u64) -> Result<String, NtStatus> {
    let attributes: &ObjectAttributes = shared(attributes);
    let name = counted_string(attributes.object_name.get());
    if attributes.root_directory.get() == 0 {
        return Ok(name);
    }
    match objects_by_handle::find(attributes.root_directory.get()) {
        Some(Object::Key(root)) => {
            let parts: Vec<&str> = [root.as_str(), name.trim_start_matches('\\')]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect();
            Ok(parts.join("\\"))
        }
        _ => Err(status::INVALID_HANDLE),
    }
}

fn give_handle(handle: u64, key: Result<String, NtStatus>) -> NtStatus {
    match key {
        Ok(key) => {
            write_u64(handle, objects_by_handle::open(Object::Key(key)));
            status::SUCCESS
        }
        Err(status) => status,
    }
}

fn path_status(error: PathError) -> NtStatus {
    match error {
        PathError::NotFound => status::OBJECT_NAME_NOT_FOUND,
        PathError::BadSyntax => status::OBJECT_PATH_SYNTAX_BAD,
    }
}
