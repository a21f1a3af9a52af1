//! WdfDevice... and WdfFdoQueryForInterface on a device that is there.

use super::device::{self, KIND};
use super::object::{self, Handle};
use super::pnp;
use super::violation::{at_most, check_level, not_null};
use crate::ke::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::ntoskrnl::objects::{IRP_MJ_PNP, UnicodeString};
use crate::ntoskrnl::shared::{counted_string, counted_text, read_bytes, shared, write_bytes};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::{io_names, kernel_memory, po, verifier};
use core::cell::Cell;

const TAG: u32 = u32::from_le_bytes(*b"WdfS");
/// IRP_MN_QUERY_INTERFACE
const QUERY_INTERFACE: u8 = 8;
/// WDF_DEVICE_FAILED_ACTION: AttemptRestart and NoRestart.
const FAILED_ACTIONS: core::ops::RangeInclusive<u32> = 1..=2;
/// Sizes of WDF_DEVICE_POWER_POLICY_IDLE_SETTINGS: 1.9, 1.11 and later.
const IDLE_SETTINGS_BYTES: [u32; 2] = [0x18, 0x24];
/// IdleCannotWakeFromS0 and IdleCanWakeFromS0.
const IDLE_CANNOT_WAKE: u32 = 1;
const IDLE_CAN_WAKE: u32 = 2;
/// DEVPKEY_Device_DmaRemappingPolicy {83da6326-97a6-4088-9453-a1923f573b29}, 18, as DEVPROPKEY.
const REMAPPING_POLICY: [u8; 20] = [
    0x26, 0x63, 0xDA, 0x83, 0xA6, 0x97, 0x88, 0x40, 0x94, 0x53, 0xA1, 0x92, 0x3F, 0x57, 0x3B, 0x29,
    18, 0, 0, 0,
];
/// The drivers of the stack have opted in.
const OPTED_IN: u32 = 2;
/// DEVPROP_TYPE_INT32
const TYPE_INT32: u32 = 6;

fn field(function: &str, device: u64, read: impl FnOnce(&mut device::Device) -> u64) -> u64 {
    let handle = object::check(function, device, &KIND);
    device::with(handle, read).unwrap_or(0)
}

/// `WdfWdmDeviceGetWdfDeviceHandle` (wdfdevice.h). IRQL <= DISPATCH_LEVEL. Null for a device object of another driver.
pub(super) extern "win64" fn of_wdm(_globals: u64, wdm: u64) -> u64 {
    let function = "WdfWdmDeviceGetWdfDeviceHandle";
    not_null(function, "DeviceObject", wdm);
    device::of_wdm(wdm).map_or(0, Handle::raw)
}

/// `WdfDeviceWdmGetDeviceObject` (wdfdevice.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn wdm_device(_globals: u64, device: u64) -> u64 {
    field("WdfDeviceWdmGetDeviceObject", device, |device| device.wdm)
}

/// `WdfDeviceWdmGetAttachedDevice` (wdfdevice.h). IRQL <= DISPATCH_LEVEL. The device object below.
pub(super) extern "win64" fn attached_device(_globals: u64, device: u64) -> u64 {
    field("WdfDeviceWdmGetAttachedDevice", device, |device| {
        device.lower
    })
}

/// `WdfDeviceWdmGetPhysicalDevice` (wdfdevice.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn physical_device(_globals: u64, device: u64) -> u64 {
    field("WdfDeviceWdmGetPhysicalDevice", device, |device| {
        device.init.pdo
    })
}

/// `WdfDeviceGetDriver` (wdfdevice.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn driver(_globals: u64, device: u64) -> u64 {
    field("WdfDeviceGetDriver", device, |device| {
        device.init.driver.raw()
    })
}

/// `WdfDeviceGetAlignmentRequirement` (wdfdevice.h): a mask. IRQL PASSIVE_LEVEL.
pub(super) extern "win64" fn alignment_requirement(_globals: u64, device: u64) -> u32 {
    let handle = object::check("WdfDeviceGetAlignmentRequirement", device, &KIND);
    device::wdm_object(handle).map_or(0, |wdm| wdm.alignment_requirement.get())
}

/// `WdfDeviceSetAlignmentRequirement` (wdfdevice.h): a mask. IRQL PASSIVE_LEVEL. Enablers that are there keep theirs
/// (KD-7).
pub(super) extern "win64" fn set_alignment_requirement(_globals: u64, device: u64, mask: u32) {
    let handle = object::check("WdfDeviceSetAlignmentRequirement", device, &KIND);
    if let Some(wdm) = device::wdm_object(handle) {
        wdm.alignment_requirement.set(mask);
    }
}

/// `WdfDeviceGetCharacteristics` (wdfdevice.h).
pub(super) extern "win64" fn characteristics(_globals: u64, device: u64) -> u32 {
    let handle = object::check("WdfDeviceGetCharacteristics", device, &KIND);
    device::wdm_object(handle).map_or(0, |wdm| wdm.characteristics.get())
}

/// `WdfDeviceSetCharacteristics` (wdfdevice.h).
pub(super) extern "win64" fn set_characteristics(_globals: u64, device: u64, value: u32) {
    let handle = object::check("WdfDeviceSetCharacteristics", device, &KIND);
    if let Some(wdm) = device::wdm_object(handle) {
        wdm.characteristics.set(value);
    }
}

/// `WdfDeviceSetStaticStopRemove` (wdfdevice.h). FALSE: QUERY_STOP and QUERY_REMOVE fail.
pub(super) extern "win64" fn set_static_stop_remove(_globals: u64, device: u64, is_stoppable: u8) {
    let handle = object::check("WdfDeviceSetStaticStopRemove", device, &KIND);
    device::with(handle, |device| device.is_stoppable = is_stoppable != 0);
}

/// `WdfDeviceSetPnpCapabilities`, `WdfDeviceSetPowerCapabilities` (wdfdevice.h). Nobody asks for them here.
pub(super) extern "win64" fn set_capabilities(_globals: u64, device: u64, capabilities: u64) {
    let function = "WdfDeviceSetPnpCapabilities";
    let _ = object::check(function, device, &KIND);
    not_null(function, "Capabilities", capabilities);
}

/// `WdfDeviceSetFailed` (wdfdevice.h). IRQL <= DISPATCH_LEVEL. The device waits for its removal; a finding says so.
pub(super) extern "win64" fn set_failed(_globals: u64, device: u64, action: u32) {
    let function = "WdfDeviceSetFailed";
    let handle = object::check(function, device, &KIND);
    at_most(function, DISPATCH_LEVEL);
    if !FAILED_ACTIONS.contains(&action) {
        object::misuse(
            "wdf-failed-action",
            format_args!("{function}: {action} is no WDF_DEVICE_FAILED_ACTION"),
        );
        return;
    }
    verifier::finding(
        "wdf-device-failed",
        format_args!("{function}: the driver calls {handle} failed (action {action})"),
    );
    let pdo = device::with(handle, |device| {
        device.failed_action = action;
        device.init.pdo
    });
    io_names::io_invalidate_device(pdo.unwrap_or(0));
}

/// `WdfDeviceCreateDeviceInterface` (wdfdevice.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_INVALID_DEVICE_REQUEST,
/// STATUS_INSUFFICIENT_RESOURCES. The interface is enabled while the device is started.
pub(super) extern "win64" fn create_interface(
    _globals: u64,
    device: u64,
    class: u64,
    reference: u64,
) -> NtStatus {
    let function = "WdfDeviceCreateDeviceInterface";
    let handle = object::check(function, device, &KIND);
    not_null(function, "InterfaceClassGUID", class);
    if let Err(status) = check_level(function, PASSIVE_LEVEL) {
        return status;
    }
    let string = kernel_memory::allocate(size_of::<UnicodeString>() as u64, TAG);
    let pdo = device::with(handle, |device| device.init.pdo);
    let (Some(string), Some(pdo)) = (string, pdo) else {
        return status::INSUFFICIENT_RESOURCES;
    };
    let status = io_names::io_register_device_interface(pdo, class, reference, string);
    if !status.is_success() {
        kernel_memory::free(string);
        return status;
    }
    let is_in_d0 = device::with(handle, |device| {
        device.interfaces.push((string, true));
        device.power_state == device::POWER_D0
    });
    if is_in_d0 == Some(true) {
        io_names::io_set_device_interface_state(string, 1);
    }
    status
}

/// `WdfDeviceSetDeviceInterfaceState` (wdfdevice.h). IRQL PASSIVE_LEVEL. Of the interface with this class and reference
/// string; before the device is started, it says what will be then.
pub(super) extern "win64" fn set_interface_state(
    _globals: u64,
    device: u64,
    class: u64,
    reference: u64,
    is_enabled: u8,
) {
    let function = "WdfDeviceSetDeviceInterfaceState";
    let handle = object::check(function, device, &KIND);
    not_null(function, "InterfaceClassGUID", class);
    at_most(function, PASSIVE_LEVEL);
    let Some(record) = device::record(handle) else {
        return;
    };
    let ending = io_names::interface_ending(class, reference);
    let found = record
        .interfaces
        .iter()
        .position(|(name, _)| counted_string(*name).to_lowercase().ends_with(&ending));
    let Some(found) = found else {
        object::misuse(
            "wdf-interface-unknown",
            format_args!("{function}: {handle} has no interface {ending}"),
        );
        return;
    };
    device::with(handle, |device| {
        device.interfaces[found].1 = is_enabled != 0
    });
    if record.power_state == device::POWER_D0 {
        io_names::io_set_device_interface_state(record.interfaces[found].0, is_enabled);
    }
}

/// `WdfDeviceCreateSymbolicLink` (wdfdevice.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_INVALID_DEVICE_REQUEST for an
/// empty name or a second link, STATUS_OBJECT_NAME_COLLISION, STATUS_INSUFFICIENT_RESOURCES.
pub(super) extern "win64" fn create_symbolic_link(
    _globals: u64,
    device: u64,
    name: u64,
) -> NtStatus {
    let function = "WdfDeviceCreateSymbolicLink";
    let handle = object::check(function, device, &KIND);
    not_null(function, "SymbolicLinkName", name);
    if let Err(status) = check_level(function, PASSIVE_LEVEL) {
        return status;
    }
    let text = counted_text(name);
    let has_link = device::with(handle, |device| device.symbolic_link != 0);
    if text.is_empty() || has_link != Some(false) {
        return status::INVALID_DEVICE_REQUEST;
    }
    let Some(link) = copy_string(&text) else {
        return status::INSUFFICIENT_RESOURCES;
    };
    // The target is the device's name, which a device without a name gets from the bus on Windows.
    let status = io_names::io_create_symbolic_link(link, 0);
    if status.is_success() {
        device::with(handle, |device| device.symbolic_link = link);
    } else {
        pnp::free_string(link);
    }
    status
}

/// A UNICODE_STRING with its text in memory of the framework.
fn copy_string(text: &[u16]) -> Option<u64> {
    let string = kernel_memory::allocate(size_of::<UnicodeString>() as u64, TAG)?;
    let bytes: alloc::vec::Vec<u8> = text.iter().flat_map(|unit| unit.to_le_bytes()).collect();
    let len = u16::try_from(bytes.len()).ok();
    let buffer = kernel_memory::allocate(bytes.len() as u64, TAG);
    let (Some(len), Some(buffer)) = (len, buffer) else {
        kernel_memory::free(string);
        return None;
    };
    write_bytes(buffer, &bytes);
    let target: &UnicodeString = shared(string);
    target.length.set(len);
    target.maximum_length.set(len);
    target.buffer.set(buffer);
    Some(string)
}

/// `WdfDeviceQueryProperty` (wdfdevice.h): as IoGetDeviceProperty. IRQL PASSIVE_LEVEL.
pub(super) extern "win64" fn query_property(
    _globals: u64,
    device: u64,
    property: u32,
    room: u32,
    buffer: u64,
    result_len: u64,
) -> NtStatus {
    let function = "WdfDeviceQueryProperty";
    let handle = object::check(function, device, &KIND);
    not_null(function, "ResultLength", result_len);
    let pdo = device::with(handle, |device| device.init.pdo).unwrap_or(0);
    io_names::io_get_device_property(pdo, property, room, buffer, result_len)
}

/// `WdfDeviceQueryPropertyEx` (wdfdevice.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_INFO_LENGTH_MISMATCH,
/// STATUS_BUFFER_TOO_SMALL, STATUS_OBJECT_NAME_NOT_FOUND: DEVPKEY_Device_DmaRemappingPolicy alone is known.
pub(super) extern "win64" fn query_property_ex(
    _globals: u64,
    device: u64,
    property: u64,
    room: u32,
    buffer: u64,
    required: u64,
    kind: u64,
) -> NtStatus {
    let function = "WdfDeviceQueryPropertyEx";
    let _ = object::check(function, device, &KIND);
    not_null(function, "DeviceProperty", property);
    not_null(function, "RequiredSize", required);
    not_null(function, "Type", kind);
    if shared::<Cell<u32>>(property).get() != 0x18 {
        return status::INFO_LENGTH_MISMATCH;
    }
    let key = crate::ntoskrnl::shared::read_u64(property.wrapping_add(8));
    if read_bytes(key, REMAPPING_POLICY.len()) != REMAPPING_POLICY {
        return status::OBJECT_NAME_NOT_FOUND;
    }
    shared::<Cell<u32>>(required).set(4);
    shared::<Cell<u32>>(kind).set(TYPE_INT32);
    if room < 4 {
        return status::BUFFER_TOO_SMALL;
    }
    write_bytes(buffer, &OPTED_IN.to_le_bytes());
    status::SUCCESS
}

/// `WdfFdoQueryForInterface` (wdffdo.h): IRP_MN_QUERY_INTERFACE to the stack. IRQL PASSIVE_LEVEL. What the bus driver
/// says, STATUS_INVALID_PARAMETER for a size of 0.
pub(super) extern "win64" fn query_for_interface(
    _globals: u64,
    device: u64,
    kind: u64,
    interface: u64,
    size: u16,
    version: u16,
    specific: u64,
) -> NtStatus {
    let function = "WdfFdoQueryForInterface";
    let handle = object::check(function, device, &KIND);
    not_null(function, "InterfaceType", kind);
    not_null(function, "Interface", interface);
    if let Err(status) = check_level(function, PASSIVE_LEVEL) {
        return status;
    }
    let Some(pdo) = device::with(handle, |device| device.init.pdo) else {
        return status::NO_SUCH_DEVICE;
    };
    if size == 0 {
        return status::INVALID_PARAMETER;
    }
    let size_and_version = u64::from(size) | u64::from(version) << 16;
    let parameters = [kind, size_and_version, interface, specific];
    po::send_and_wait(shared(pdo), IRP_MJ_PNP, QUERY_INTERFACE, parameters).0
}

/// `WdfDeviceStopIdleNoTrack`, `WdfDeviceStopIdleActual` (wdfdevice.h). STATUS_SUCCESS: a device is never idle here.
pub(super) extern "win64" fn stop_idle(_globals: u64, device: u64, _wait: u8) -> NtStatus {
    let _ = object::check("WdfDeviceStopIdle", device, &KIND);
    status::SUCCESS
}

/// `WdfDeviceResumeIdleNoTrack`, `WdfDeviceResumeIdleActual` (wdfdevice.h).
pub(super) extern "win64" fn resume_idle(_globals: u64, device: u64) {
    let _ = object::check("WdfDeviceResumeIdle", device, &KIND);
}

/// `WdfDeviceAssignS0IdleSettings` (wdfdevice.h): {Size, IdleCaps, ...}. IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS: a device
/// is never idle here. STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_PARAMETER for unknown capabilities,
/// STATUS_INVALID_DEVICE_REQUEST where the device does not own the power policy, STATUS_POWER_STATE_INVALID for a device
/// that is to wake itself, for none can.
pub(super) extern "win64" fn assign_idle_settings(
    _globals: u64,
    device: u64,
    settings: u64,
) -> NtStatus {
    let function = "WdfDeviceAssignS0IdleSettings";
    let handle = object::check(function, device, &KIND);
    not_null(function, "Settings", settings);
    if !IDLE_SETTINGS_BYTES.contains(&shared::<Cell<u32>>(settings).get()) {
        return status::INFO_LENGTH_MISMATCH;
    }
    if device::with(handle, |device| device.init.owns_power_policy) != Some(true) {
        return status::INVALID_DEVICE_REQUEST;
    }
    match shared::<Cell<u32>>(settings.wrapping_add(4)).get() {
        IDLE_CANNOT_WAKE => status::SUCCESS,
        IDLE_CAN_WAKE => status::POWER_STATE_INVALID,
        _ => status::INVALID_PARAMETER,
    }
}

/// `WdfDeviceAssignSxWakeSettings` (wdfdevice.h). STATUS_POWER_STATE_INVALID: no device wakes the system.
pub(super) extern "win64" fn assign_wake_settings(
    _globals: u64,
    device: u64,
    settings: u64,
) -> NtStatus {
    let function = "WdfDeviceAssignSxWakeSettings";
    let _ = object::check(function, device, &KIND);
    not_null(function, "Settings", settings);
    status::POWER_STATE_INVALID
}
