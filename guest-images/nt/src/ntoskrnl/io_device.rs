//! Device objects and their stacks.

use alloc::collections::BTreeMap;

use super::kernel_memory;
use super::objects::{DO_DEVICE_INITIALIZING, DO_EXCLUSIVE, DeviceObject, DriverObject};
use super::shared::{address_of, counted_string, optional, shared, write_u64};
use super::status::{self, NtStatus};
use super::verifier;
use crate::arch::guarded::Guarded;
use crate::ke::irql::{APC_LEVEL, PASSIVE_LEVEL};

const DEVICE_TAG: u32 = u32::from_le_bytes(*b"Devi");
/// Largest device extension; the size field of the object is 16 bits wide on Windows, too.
const MAX_EXTENSION_BYTES: u32 = 0xF000;
/// Most devices in a stack; IRPs count locations in a signed byte.
const MAX_STACK: usize = 60;

/// What the I/O manager keeps of a device object.
struct Record {
    name: alloc::string::String,
    /// The device it is attached to; 0 for none.
    lower: u64,
    references: u32,
    is_deleted: bool,
}

static DEVICES: Guarded<BTreeMap<u64, Record>> = Guarded::new(BTreeMap::new());

/// Device objects of drivers that are still there, for the leak report.
#[must_use]
pub(crate) fn live_count() -> usize {
    DEVICES.with(|devices| devices.len())
}

/// Creates a device object: the work of IoCreateDevice.
pub(crate) fn create(
    driver: &DriverObject,
    extension_bytes: u32,
    name: alloc::string::String,
    device_type: u32,
) -> Option<&'static DeviceObject> {
    if extension_bytes > MAX_EXTENSION_BYTES {
        return None;
    }
    let object_bytes = size_of::<DeviceObject>() as u64;
    let size = object_bytes + u64::from(extension_bytes.next_multiple_of(16));
    let address = kernel_memory::allocate(size, DEVICE_TAG)?;
    let device: &DeviceObject = shared(address);
    device.kind.set(3);
    device.size.set(u16::try_from(size).unwrap_or(u16::MAX));
    device.driver_object.set(driver);
    device.next_device.set(driver.device_object.get());
    device.flags.set(DO_DEVICE_INITIALIZING);
    device.device_type.set(device_type);
    device.stack_size.set(1);
    if extension_bytes > 0 {
        device.device_extension.set(address + object_bytes);
    }
    driver.device_object.set(device);
    let record = Record {
        name,
        lower: 0,
        references: 1,
        is_deleted: false,
    };
    DEVICES.with(|devices| devices.insert(address, record));
    Some(device)
}

/// Whether a device object has that name already.
#[must_use]
pub(crate) fn is_name_taken(name: &str) -> bool {
    let is_taken = |record: &Record| !name.is_empty() && record.name.eq_ignore_ascii_case(name);
    DEVICES.with(|devices| devices.values().any(is_taken))
}

/// Deletes a device object: the work of IoDeleteDevice.
pub(crate) fn delete(device: &DeviceObject) {
    let address = address_of(device);
    let is_known = DEVICES.with(|devices| match devices.get_mut(&address) {
        Some(record) if !record.is_deleted => {
            record.is_deleted = true;
            true
        }
        _ => false,
    });
    if !is_known {
        verifier::undocumented_violation(
            "device-deleted-twice",
            format_args!("IoDeleteDevice of {address:#x}, which is no live device object"),
        );
        return;
    }
    if !device.attached_device.get().is_null() {
        verifier::undocumented_violation(
            "device-deleted-while-attached",
            format_args!("IoDeleteDevice of {address:#x} with a device attached above"),
        );
    }
    if DEVICES.with(|devices| {
        devices
            .get(&address)
            .is_some_and(|record| record.lower != 0)
    }) {
        verifier::finding(
            "device-deleted-before-detach",
            format_args!("IoDeleteDevice of {address:#x} before IoDetachDevice"),
        );
    }
    unlink(device);
    dereference(address);
}

/// Takes a device object off its driver's list.
fn unlink(device: &DeviceObject) {
    let driver: &DriverObject = shared(device.driver_object.get() as u64);
    let mut link = &driver.device_object;
    while let Some(entry) = optional::<DeviceObject>(link.get() as u64) {
        if core::ptr::eq(entry, device) {
            link.set(device.next_device.get());
            return;
        }
        link = &entry.next_device;
    }
}

/// Takes a reference if `address` is a device object.
pub(super) fn reference(address: u64) -> bool {
    DEVICES.with(|devices| match devices.get_mut(&address) {
        Some(record) => {
            record.references += 1;
            true
        }
        None => false,
    })
}

/// Gives a reference back if `address` is a device object; the last one frees a deleted device.
pub(super) fn dereference(address: u64) -> bool {
    let outcome = DEVICES.with(|devices| {
        let record = devices.get_mut(&address)?;
        record.references = record.references.saturating_sub(1);
        let is_over = record.references == 0;
        if is_over {
            devices.remove(&address);
        }
        Some(is_over)
    });
    if outcome == Some(true) {
        kernel_memory::free(address);
    }
    outcome.is_some()
}

/// The highest device of a stack.
#[must_use]
pub(crate) fn stack_top(device: &DeviceObject) -> &DeviceObject {
    let mut top = device;
    for _ in 0..MAX_STACK {
        match optional::<DeviceObject>(top.attached_device.get() as u64) {
            Some(above) => top = above,
            None => break,
        }
    }
    top
}

/// Attaches `source` on top of the stack of `target`; gives the device it lies on.
pub(crate) fn attach<'call>(
    source: &DeviceObject,
    target: &'call DeviceObject,
) -> Option<&'call DeviceObject> {
    let top = stack_top(target);
    let is_deleted = DEVICES.with(|devices| {
        devices
            .get(&address_of(top))
            .is_some_and(|record| record.is_deleted)
    });
    let stack_size = top.stack_size.get().checked_add(1)?;
    if is_deleted || core::ptr::eq(top, source) {
        return None;
    }
    top.attached_device.set(source);
    source.stack_size.set(stack_size);
    source
        .alignment_requirement
        .set(top.alignment_requirement.get());
    source.sector_size.set(top.sector_size.get());
    DEVICES.with(|devices| {
        if let Some(record) = devices.get_mut(&address_of(source)) {
            record.lower = address_of(top);
        }
    });
    Some(top)
}

/// `IoCreateDevice` (wdm.h). IRQL <= APC_LEVEL. STATUS_SUCCESS, STATUS_INSUFFICIENT_RESOURCES,
/// STATUS_OBJECT_NAME_COLLISION.
pub(super) extern "win64" fn io_create_device(
    driver: u64,
    extension_bytes: u32,
    name: u64,
    device_type: u32,
    characteristics: u32,
    exclusive: u8,
    result: u64,
) -> NtStatus {
    verifier::at_most("IoCreateDevice", APC_LEVEL);
    let name = counted_string(name);
    if is_name_taken(&name) {
        return status::OBJECT_NAME_COLLISION;
    }
    let Some(device) = create(shared(driver), extension_bytes, name, device_type) else {
        return status::INSUFFICIENT_RESOURCES;
    };
    device.characteristics.set(characteristics);
    if exclusive != 0 {
        device.flags.set(device.flags.get() | DO_EXCLUSIVE);
    }
    write_u64(result, address_of(device));
    status::SUCCESS
}

/// `IoDeleteDevice` (wdm.h). IRQL <= APC_LEVEL.
pub(super) extern "win64" fn io_delete_device(device: u64) {
    verifier::at_most("IoDeleteDevice", APC_LEVEL);
    delete(shared(device));
}

/// `IoAttachDeviceToDeviceStack` (wdm.h). IRQL <= DISPATCH_LEVEL. The device attached to, or null.
pub(super) extern "win64" fn io_attach_device_to_device_stack(source: u64, target: u64) -> u64 {
    verifier::at_most_dispatch("IoAttachDeviceToDeviceStack");
    attach(shared(source), shared(target)).map_or(0, address_of)
}

/// `IoAttachDeviceToDeviceStackSafe` (ntddk.h). IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS or
/// STATUS_NO_SUCH_DEVICE.
pub(super) extern "win64" fn io_attach_device_to_device_stack_safe(
    source: u64,
    target: u64,
    result: u64,
) -> NtStatus {
    verifier::at_most_dispatch("IoAttachDeviceToDeviceStackSafe");
    match attach(shared(source), shared(target)) {
        Some(lower) => {
            write_u64(result, address_of(lower));
            status::SUCCESS
        }
        None => status::NO_SUCH_DEVICE,
    }
}

/// `IoDetachDevice` (wdm.h). IRQL PASSIVE_LEVEL. `target` is what the attach gave.
pub(crate) extern "win64" fn io_detach_device(target: u64) {
    verifier::at_most("IoDetachDevice", PASSIVE_LEVEL);
    let target: &DeviceObject = shared(target);
    let above = target.attached_device.replace(core::ptr::null()) as u64;
    if above == 0 {
        verifier::undocumented_violation(
            "device-detached-twice",
            format_args!(
                "IoDetachDevice of {:#x} with nothing attached",
                address_of(target)
            ),
        );
    }
    DEVICES.with(|devices| {
        if let Some(record) = devices.get_mut(&above) {
            record.lower = 0;
        }
    });
}

/// `IoGetAttachedDeviceReference` (wdm.h). IRQL <= DISPATCH_LEVEL. Top of the stack, with a reference.
pub(super) extern "win64" fn io_get_attached_device_reference(device: u64) -> u64 {
    verifier::at_most_dispatch("IoGetAttachedDeviceReference");
    let top = address_of(stack_top(shared(device)));
    reference(top);
    top
}
