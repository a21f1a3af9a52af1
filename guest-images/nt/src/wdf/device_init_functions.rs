//! WdfDeviceInit... and WdfFdoInit... (indices 54 to 74, 124, 126, 128, 129, 403, 430, 432). IRQL <= DISPATCH_LEVEL unless
//! said otherwise.

use core::cell::Cell;

use super::attributes::{Attributes, Rules};
use super::device_init::{self, FileObjectConfig, IoType, PnpPowerCallbacks, report_size, with};
use super::violation::{at_most, check_level, not_null};
use crate::ke::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::ntoskrnl::io_names;
use crate::ntoskrnl::shared::{counted_string, read_u64, shared};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;

/// Sizes of structures.
const POWER_POLICY_CALLBACKS_BYTES: u32 = 0x40;
const FILE_OBJECT_CONFIG_BYTES: u32 = 0x28;
const IO_TYPE_CONFIG_BYTES: u32 = 0x10;
const FDO_CALLBACKS_BYTES: u32 = 0x20;

fn word(at: u64, offset: u64) -> u32 {
    shared::<Cell<u32>>(at.wrapping_add(offset)).get()
}

/// `WdfDeviceInitFree`. For structures of WdfControlDeviceInitAllocate and WdfPdoInitAllocate, which are not there.
pub(super) extern "win64" fn free(_globals: u64, init: u64) {
    let function = "WdfDeviceInitFree";
    not_null(function, "DeviceInit", init);
    if with(function, init, |_| ()).is_some() {
        verifier::undocumented_violation(
            "wdf-device-init-invalid",
            format_args!("{function}: {init:#x} belongs to the framework"),
        );
    }
}

/// `WdfDeviceInitSetPnpPowerEventCallbacks`.
pub(super) extern "win64" fn set_pnp_power_callbacks(_globals: u64, init: u64, callbacks: u64) {
    let function = "WdfDeviceInitSetPnpPowerEventCallbacks";
    not_null(function, "DeviceInit", init);
    not_null(function, "PnpPowerEventCallbacks", callbacks);
    at_most(function, DISPATCH_LEVEL);
    match PnpPowerCallbacks::read(callbacks) {
        Some(callbacks) => {
            with(function, init, |init| init.callbacks = callbacks);
        }
        None => report_size(function, callbacks),
    }
}

/// `WdfDeviceInitSetPowerPolicyEventCallbacks`. Wake and idle are not there: the callbacks are never due.
pub(super) extern "win64" fn set_power_policy_callbacks(_globals: u64, init: u64, callbacks: u64) {
    let function = "WdfDeviceInitSetPowerPolicyEventCallbacks";
    not_null(function, "DeviceInit", init);
    not_null(function, "PowerPolicyEventCallbacks", callbacks);
    if word(callbacks, 0) != POWER_POLICY_CALLBACKS_BYTES {
        report_size(function, callbacks);
    }
    with(function, init, |_| ());
}

/// `WdfDeviceInitSetPowerPolicyOwnership`.
pub(super) extern "win64" fn set_power_policy_ownership(_globals: u64, init: u64, is_owner: u8) {
    let function = "WdfDeviceInitSetPowerPolicyOwnership";
    not_null(function, "DeviceInit", init);
    with(function, init, |init| {
        init.owns_power_policy = is_owner != 0
    });
}

/// `WdfDeviceInitSetIoType`.
pub(super) extern "win64" fn set_io_type(_globals: u64, init: u64, io_type: u32) {
    let function = "WdfDeviceInitSetIoType";
    not_null(function, "DeviceInit", init);
    if let Some(io_type) = IoType::from_raw(io_type) {
        with(function, init, |init| init.io_type = io_type);
    }
}

/// `WdfDeviceInitSetIoTypeEx`: WDF_IO_TYPE_CONFIG {Size, ReadWriteIoType, DeviceControlIoType,
/// DirectTransferThreshold}. What holds for IOCTLs is in their codes.
pub(super) extern "win64" fn set_io_type_ex(_globals: u64, init: u64, config: u64) {
    let function = "WdfDeviceInitSetIoTypeEx";
    not_null(function, "DeviceInit", init);
    not_null(function, "IoTypeConfig", config);
    if word(config, 0) != IO_TYPE_CONFIG_BYTES {
        report_size(function, config);
    } else if let Some(io_type) = IoType::from_raw(word(config, 4)) {
        with(function, init, |init| init.io_type = io_type);
    }
}

/// `WdfDeviceInitSetExclusive`.
pub(super) extern "win64" fn set_exclusive(_globals: u64, init: u64, is_exclusive: u8) {
    let function = "WdfDeviceInitSetExclusive";
    not_null(function, "DeviceInit", init);
    with(function, init, |init| init.is_exclusive = is_exclusive != 0);
}

/// `WdfDeviceInitSetPowerNotPageable`.
pub(super) extern "win64" fn set_power_not_pageable(_globals: u64, init: u64) {
    let function = "WdfDeviceInitSetPowerNotPageable";
    not_null(function, "DeviceInit", init);
    with(function, init, |init| init.is_power_pageable = false);
}

/// `WdfDeviceInitSetPowerPageable`.
pub(super) extern "win64" fn set_power_pageable(_globals: u64, init: u64) {
    let function = "WdfDeviceInitSetPowerPageable";
    not_null(function, "DeviceInit", init);
    with(function, init, |init| init.is_power_pageable = true);
}

/// `WdfDeviceInitSetPowerInrush`: one device at a time powers up here anyway.
pub(super) extern "win64" fn set_power_inrush(_globals: u64, init: u64) {
    let function = "WdfDeviceInitSetPowerInrush";
    not_null(function, "DeviceInit", init);
    with(function, init, |_| ());
}

/// `WdfDeviceInitSetReleaseHardwareOrderOnFailure`: there are no children whose removal could come first.
pub(super) extern "win64" fn set_release_hardware_order(_globals: u64, init: u64, _order: u32) {
    let function = "WdfDeviceInitSetReleaseHardwareOrderOnFailure";
    not_null(function, "DeviceInit", init);
    with(function, init, |_| ());
}

/// `WdfDeviceInitSetDeviceType`.
pub(super) extern "win64" fn set_device_type(_globals: u64, init: u64, device_type: u32) {
    let function = "WdfDeviceInitSetDeviceType";
    not_null(function, "DeviceInit", init);
    with(function, init, |init| init.device_type = device_type);
}

/// `WdfDeviceInitAssignName`. IRQL PASSIVE_LEVEL. STATUS_SUCCESS. A null pointer takes the name away.
pub(super) extern "win64" fn assign_name(_globals: u64, init: u64, name: u64) -> NtStatus {
    let function = "WdfDeviceInitAssignName";
    not_null(function, "DeviceInit", init);
    if let Err(status) = check_level(function, PASSIVE_LEVEL) {
        return status;
    }
    let name = counted_string(name);
    set(with(function, init, |init| init.name = name))
}

/// `WdfDeviceInitAssignSDDLString`. IRQL PASSIVE_LEVEL. STATUS_SUCCESS. There is no security to set.
pub(super) extern "win64" fn assign_sddl(_globals: u64, init: u64, sddl: u64) -> NtStatus {
    let function = "WdfDeviceInitAssignSDDLString";
    not_null(function, "DeviceInit", init);
    if let Err(status) = check_level(function, PASSIVE_LEVEL) {
        return status;
    }
    set(with(function, init, |init| init.has_security = sddl != 0))
}

/// `WdfDeviceInitSetDeviceClass`.
pub(super) extern "win64" fn set_device_class(_globals: u64, init: u64, class: u64) {
    let function = "WdfDeviceInitSetDeviceClass";
    not_null(function, "DeviceInit", init);
    not_null(function, "DeviceClassGuid", class);
    with(function, init, |init| init.has_security = true);
}

/// `WdfDeviceInitSetCharacteristics`.
pub(super) extern "win64" fn set_characteristics(
    _globals: u64,
    init: u64,
    characteristics: u32,
    or_in_values: u8,
) {
    let function = "WdfDeviceInitSetCharacteristics";
    not_null(function, "DeviceInit", init);
    with(function, init, |init| {
        let kept = if or_in_values == 0 {
            0
        } else {
            init.characteristics
        };
        init.characteristics = kept | characteristics;
    });
}

/// `WdfDeviceInitSetFileObjectConfig`.
pub(super) extern "win64" fn set_file_object_config(
    _globals: u64,
    init: u64,
    config: u64,
    attributes: u64,
) {
    let function = "WdfDeviceInitSetFileObjectConfig";
    not_null(function, "DeviceInit", init);
    not_null(function, "FileObjectConfig", config);
    if word(config, 0) != FILE_OBJECT_CONFIG_BYTES {
        report_size(function, config);
        return;
    }
    let rules = Rules {
        execution_level: true,
        scope: true,
        ..Rules::NO_PARENT
    };
    let Some(attributes) = read_attributes(function, attributes, rules) else {
        return;
    };
    let config = FileObjectConfig {
        create: read_u64(config.wrapping_add(0x08)),
        close: read_u64(config.wrapping_add(0x10)),
        cleanup: read_u64(config.wrapping_add(0x18)),
        auto_forward: word(config, 0x20),
        class: word(config, 0x24),
        attributes,
    };
    with(function, init, |init| init.file_objects = Some(config));
}

/// `WdfDeviceInitSetRequestAttributes`.
pub(super) extern "win64" fn set_request_attributes(_globals: u64, init: u64, attributes: u64) {
    let function = "WdfDeviceInitSetRequestAttributes";
    not_null(function, "DeviceInit", init);
    not_null(function, "RequestAttributes", attributes);
    if let Some(attributes) = read_attributes(function, attributes, Rules::NO_PARENT) {
        with(function, init, |init| init.request_attributes = attributes);
    }
}

/// Attributes of objects to come; broken ones are reported, for these functions give no status.
fn read_attributes(function: &str, at: u64, rules: Rules) -> Option<Attributes> {
    Attributes::read(at, rules)
        .inspect_err(|status| {
            verifier::undocumented_violation(
                "wdf-attributes-invalid",
                format_args!("{function}: {status}; the call has no effect"),
            );
        })
        .ok()
}

/// `WdfDeviceInitSetIoInCallerContextCallback`.
pub(super) extern "win64" fn set_in_caller_context(_globals: u64, init: u64, callback: u64) {
    let function = "WdfDeviceInitSetIoInCallerContextCallback";
    not_null(function, "DeviceInit", init);
    with(function, init, |init| init.in_caller_context = callback);
}

/// `WdfDeviceInitSetRemoveLockOptions`: the framework holds a device while requests are in it anyway.
pub(super) extern "win64" fn set_remove_lock_options(_globals: u64, init: u64, options: u64) {
    let function = "WdfDeviceInitSetRemoveLockOptions";
    not_null(function, "DeviceInit", init);
    not_null(function, "Options", options);
    with(function, init, |_| ());
}

/// `WdfFdoInitWdmGetPhysicalDevice` (wdffdo.h).
pub(super) extern "win64" fn physical_device(_globals: u64, init: u64) -> u64 {
    let function = "WdfFdoInitWdmGetPhysicalDevice";
    not_null(function, "DeviceInit", init);
    with(function, init, |init| init.pdo).unwrap_or(0)
}

/// `WdfFdoInitSetFilter` (wdffdo.h): the device owns no power policy, unless the driver says so later.
pub(super) extern "win64" fn set_filter(_globals: u64, init: u64) {
    let function = "WdfFdoInitSetFilter";
    not_null(function, "DeviceInit", init);
    with(function, init, |init| {
        init.is_filter = true;
        init.owns_power_policy = false;
    });
}

/// `WdfFdoInitSetEventCallbacks` (wdffdo.h). Filtering of resources is not there: a finding where a routine for it is
/// given.
pub(super) extern "win64" fn set_fdo_callbacks(_globals: u64, init: u64, callbacks: u64) {
    let function = "WdfFdoInitSetEventCallbacks";
    not_null(function, "DeviceInit", init);
    not_null(function, "FdoEventCallbacks", callbacks);
    if word(callbacks, 0) != FDO_CALLBACKS_BYTES {
        report_size(function, callbacks);
        return;
    }
    if [8, 0x10, 0x18]
        .into_iter()
        .any(|offset| read_u64(callbacks.wrapping_add(offset)) != 0)
    {
        verifier::finding(
            "not-implemented",
            format_args!("{function}: the resource callbacks are never called"),
        );
    }
    with(function, init, |_| ());
}

/// `WdfFdoInitQueryProperty` (wdffdo.h). As IoGetDeviceProperty. IRQL PASSIVE_LEVEL.
pub(super) extern "win64" fn query_property(
    _globals: u64,
    init: u64,
    property: u32,
    room: u32,
    buffer: u64,
    result_len: u64,
) -> NtStatus {
    let function = "WdfFdoInitQueryProperty";
    not_null(function, "DeviceInit", init);
    not_null(function, "ResultLength", result_len);
    match device_init::with(function, init, |init| init.pdo) {
        Some(pdo) => io_names::io_get_device_property(pdo, property, room, buffer, result_len),
        None => status::INVALID_PARAMETER,
    }
}

fn set(outcome: Option<()>) -> NtStatus {
    outcome.map_or(status::INVALID_PARAMETER, |()| status::SUCCESS)
}
