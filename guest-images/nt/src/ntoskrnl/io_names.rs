//! Symbolic links, device interfaces, device properties and device registry keys.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

use super::objects_by_handle::{self, Object};
use super::rtl::give_unicode_string;
use super::shared::{counted_string, read_bytes, shared, write_bytes, write_u64};
use super::status::{self, NtStatus};
use super::verifier;
use crate::arch::guarded::Guarded;
use crate::ke::irql::PASSIVE_LEVEL;
use crate::pnp::device::{self, Property};
use crate::registry::REGISTRY;

/// Links by name, lower case.
static LINKS: Guarded<BTreeMap<String, String>> = Guarded::new(BTreeMap::new());
/// Interfaces by link name, and whether they are enabled.
static INTERFACES: Guarded<BTreeMap<String, bool>> = Guarded::new(BTreeMap::new());

/// Symbolic links and enabled interfaces that are still there, for the leak report.
#[must_use]
pub(crate) fn live_count() -> usize {
    let enabled = INTERFACES.with(|all| all.values().filter(|enabled| **enabled).count());
    LINKS.with(|links| links.len()) + enabled
}

/// `IoCreateSymbolicLink` (wdm.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_OBJECT_NAME_COLLISION.
pub(crate) extern "win64" fn io_create_symbolic_link(link: u64, target: u64) -> NtStatus {
    verifier::at_most("IoCreateSymbolicLink", PASSIVE_LEVEL);
    let (link, target) = (counted_string(link).to_lowercase(), counted_string(target));
    LINKS.with(|links| match links.contains_key(&link) {
        true => status::OBJECT_NAME_COLLISION,
        false => {
            links.insert(link, target);
            status::SUCCESS
        }
    })
}

/// `IoDeleteSymbolicLink` (wdm.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_OBJECT_NAME_NOT_FOUND.
pub(crate) extern "win64" fn io_delete_symbolic_link(link: u64) -> NtStatus {
    verifier::at_most("IoDeleteSymbolicLink", PASSIVE_LEVEL);
    let link = counted_string(link).to_lowercase();
    match LINKS.with(|links| links.remove(&link)) {
        Some(_) => status::SUCCESS,
        None => status::OBJECT_NAME_NOT_FOUND,
    }
}

/// `IoRegisterDeviceInterface` (wdm.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_INVALID_DEVICE_REQUEST for
/// a device that PnP does not know. The link's buffer is freed by RtlFreeUnicodeString.
pub(crate) extern "win64" fn io_register_device_interface(
    pdo: u64,
    class: u64,
    reference: u64,
    link: u64,
) -> NtStatus {
    verifier::at_most("IoRegisterDeviceInterface", PASSIVE_LEVEL);
    let Some(instance) = device::instance_of(pdo) else {
        return status::INVALID_DEVICE_REQUEST;
    };
    let name = alloc::format!(
        r"\??\{}#{}",
        instance.replace('\\', "#"),
        interface_ending(class, reference)
    );
    INTERFACES.with(|all| *all.entry(name.to_lowercase()).or_insert(false) |= false);
    give_unicode_string(link, &name)
}

/// What the names of all interfaces of a class and reference string end with.
#[must_use]
pub(crate) fn interface_ending(class: u64, reference: u64) -> String {
    let mut ending = guid_text(&read_bytes(class, 16));
    let reference = counted_string(reference);
    if !reference.is_empty() {
        ending.push('\\');
        ending.push_str(&reference);
    }
    ending
}

/// `IoSetDeviceInterfaceState` (wdm.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_OBJECT_NAME_NOT_FOUND.
pub(crate) extern "win64" fn io_set_device_interface_state(link: u64, enable: u8) -> NtStatus {
    verifier::at_most("IoSetDeviceInterfaceState", PASSIVE_LEVEL);
    let link = counted_string(link).to_lowercase();
    INTERFACES.with(|all| match all.get_mut(&link) {
        Some(state) => {
            *state = enable != 0;
            status::SUCCESS
        }
        None => status::OBJECT_NAME_NOT_FOUND,
    })
}

/// `IoGetDeviceProperty` (wdm.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_BUFFER_TOO_SMALL (the length is
/// written), STATUS_INVALID_DEVICE_REQUEST for a device that PnP does not know,
/// STATUS_OBJECT_NAME_NOT_FOUND for a property that it does not have.
pub(crate) extern "win64" fn io_get_device_property(
    pdo: u64,
    property: u32,
    room: u32,
    buffer: u64,
    result_len: u64,
) -> NtStatus {
    verifier::at_most("IoGetDeviceProperty", PASSIVE_LEVEL);
    let data = match device::property(pdo, property) {
        Property::Data(data) => data,
        Property::Absent => return status::OBJECT_NAME_NOT_FOUND,
        Property::NoDevice => return status::INVALID_DEVICE_REQUEST,
    };
    let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
    shared::<Cell<u32>>(result_len).set(len);
    if len > room {
        return status::BUFFER_TOO_SMALL;
    }
    write_bytes(buffer, &data);
    status::SUCCESS
}

/// `IoOpenDeviceRegistryKey` (wdm.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_INVALID_DEVICE_REQUEST.
/// PLUGPLAY_REGKEY_DEVICE (1) is the hardware key, PLUGPLAY_REGKEY_DRIVER (2) a key below it.
pub(super) extern "win64" fn io_open_device_registry_key(
    pdo: u64,
    kind: u32,
    _access: u32,
    handle: u64,
) -> NtStatus {
    verifier::at_most("IoOpenDeviceRegistryKey", PASSIVE_LEVEL);
    let Some(mut path) = device::hardware_key(pdo) else {
        return status::INVALID_DEVICE_REQUEST;
    };
    path.push_str(if kind & 3 == 2 {
        r"\Driver"
    } else {
        r"\Device Parameters"
    });
    match REGISTRY.with(|registry| registry.create(&path)) {
        Ok(key) => {
            write_u64(handle, objects_by_handle::open(Object::Key(key)));
            status::SUCCESS
        }
        Err(_) => status::OBJECT_NAME_INVALID,
    }
}

/// `IoInvalidateDeviceState`, `IoInvalidateDeviceRelations` (wdm.h): noted only.
pub(crate) extern "win64" fn io_invalidate_device(pdo: u64) {
    verifier::finding(
        "device-invalidated",
        format_args!("PDO {pdo:#x}; nt does not query again"),
    );
}

/// A GUID as `{XXXXXXXX-XXXX-XXXX-XXXX-XXXXXXXXXXXX}`.
fn guid_text(bytes: &[u8]) -> String {
    let hex = |range: Vec<u8>| -> String {
        range
            .iter()
            .map(|byte| alloc::format!("{byte:02x}"))
            .collect()
    };
    let swapped = |from: usize, to: usize| hex(bytes[from..to].iter().rev().copied().collect());
    alloc::format!(
        "{{{}-{}-{}-{}-{}}}",
        swapped(0, 4),
        swapped(4, 6),
        swapped(6, 8),
        hex(bytes[8..10].to_vec()),
        hex(bytes[10..16].to_vec())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guid_is_printed_in_its_mixed_order() {
        let bytes: Vec<u8> = (0..16).collect();
        assert_eq!(guid_text(&bytes), "{03020100-0504-0706-0809-0a0b0c0d0e0f}");
    }
}
