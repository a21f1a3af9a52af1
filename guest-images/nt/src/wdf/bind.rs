//! WDFLDR.SYS: a driver's entry stub binds to the framework, and unbinds at its end (windows-dma-ddi section 4.1).

use core::cell::Cell;

use super::bind_info::{BindInfo, TableForm};
use super::globals::{self, Client};
use super::names::FUNCTION_COUNT;
use super::table::TABLE;
use super::tree;
use crate::ke::irql::PASSIVE_LEVEL;
use crate::log;
use crate::ntoskrnl::shared::{counted_string, shared, wide_text, write_bytes, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;

/// Longest class name that is looked at, in characters.
const MAX_NAME: usize = 64;

/// `WdfVersionBind`. IRQL PASSIVE_LEVEL. STATUS_SUCCESS with the client's globals, STATUS_INVALID_PARAMETER for a client
/// that this framework cannot serve (a finding says why), STATUS_INSUFFICIENT_RESOURCES.
pub(crate) extern "win64" fn version_bind(
    driver_object: u64,
    registry_path: u64,
    info: u64,
    out: u64,
) -> NtStatus {
    verifier::at_most("WdfVersionBind", PASSIVE_LEVEL);
    let path = counted_string(registry_path);
    let service = path.rsplit('\\').next().unwrap_or("");
    if info == 0 || out == 0 || driver_object == 0 {
        return refuse(service, format_args!("a required pointer is null"));
    }
    let info = match BindInfo::read(info) {
        Ok(info) => info,
        Err(why) => return refuse(service, format_args!("{why}")),
    };
    let client = Client {
        driver_object,
        minor: info.minor,
        function_count: info.function_count,
        driver: None,
    };
    let Some(globals) = globals::add(client, service) else {
        return status::INSUFFICIENT_RESOURCES;
    };
    give_table(&info);
    write_u64(out, globals);
    log!(
        "WdfVersionBind: {service} is bound: KMDF 1.{}, {} functions",
        info.minor,
        info.function_count
    );
    status::SUCCESS
}

fn refuse(service: &str, why: core::fmt::Arguments<'_>) -> NtStatus {
    verifier::finding(
        "wdf-bind-refused",
        format_args!("WdfVersionBind of {service}: {why}"),
    );
    status::INVALID_PARAMETER
}

/// Copies the table into the client, or tells it where the table is.
fn give_table(info: &BindInfo) {
    match info.table_form() {
        TableForm::Copy => {
            let count = usize::try_from(info.function_count)
                .unwrap_or(0)
                .min(FUNCTION_COUNT);
            for (slot, entry) in (info.function_table..).step_by(8).zip(TABLE.entries(count)) {
                write_u64(slot, entry);
            }
        }
        TableForm::Pointer => write_u64(info.function_table, TABLE.address()),
    }
    if info.client_is_newer != 0 {
        // ClientVersionHigherThanFramework: never, for such a client is refused.
        write_bytes(info.client_is_newer, &[0]);
    }
}

/// `WdfVersionUnbind`. IRQL PASSIVE_LEVEL. Deletes what is left of the client's WDFDRIVER. STATUS_SUCCESS,
/// STATUS_INVALID_PARAMETER for globals that are none.
pub(crate) extern "win64" fn version_unbind(
    _registry_path: u64,
    _info: u64,
    globals: u64,
) -> NtStatus {
    verifier::at_most("WdfVersionUnbind", PASSIVE_LEVEL);
    let Some(client) = globals::client(globals) else {
        verifier::undocumented_violation(
            "wdf-globals-unknown",
            format_args!("WdfVersionUnbind of {globals:#x}, which no bind has given"),
        );
        return status::INVALID_PARAMETER;
    };
    if let Some(driver) = client.driver {
        tree::delete(driver);
    }
    tree::wait_for_deferred();
    globals::remove(globals);
    status::SUCCESS
}

/// `WdfVersionBindClass`. STATUS_NOT_SUPPORTED: there are no class extensions.
pub(crate) extern "win64" fn version_bind_class(_info: u64, _globals: u64, class: u64) -> NtStatus {
    let name = class_name(class);
    verifier::finding(
        "wdf-class-extension",
        format_args!("WdfVersionBindClass of {name}: nt has no class extensions"),
    );
    status::NOT_SUPPORTED
}

/// `WdfVersionUnbindClass`. Nothing was bound.
pub(crate) extern "win64" fn version_unbind_class(_info: u64, _globals: u64, _class: u64) {}

/// ClassName of WDF_CLASS_BIND_INFO, a wide string.
fn class_name(class: u64) -> alloc::string::String {
    if class == 0 {
        return "(null)".into();
    }
    let name = shared::<Cell<u64>>(class.wrapping_add(8)).get();
    match name {
        0 => "(no name)".into(),
        name => alloc::string::String::from_utf16_lossy(&wide_text(name, MAX_NAME)),
    }
}

/// `WdfLdrQueryInterface`. STATUS_INVALID_PARAMETER for a null pointer, STATUS_NOT_FOUND: no interface is known.
pub(crate) extern "win64" fn ldr_query_interface(interface: u64) -> NtStatus {
    if interface == 0 {
        return status::INVALID_PARAMETER;
    }
    status::NOT_FOUND
}

/// `WdfLdrDiagnosticsValueByNameAsULONG`. STATUS_OBJECT_NAME_NOT_FOUND: no value is set.
pub(crate) extern "win64" fn ldr_diagnostics_value(_name: u64, _value: u64) -> NtStatus {
    status::OBJECT_NAME_NOT_FOUND
}

#[cfg(test)]
#[path = "bind_tests.rs"]
mod tests;
