//! WDFDEVICE: the record of a device, its creation, and the dispatch of its IRPs.

use alloc::vec::Vec;

use super::attributes::{Attributes, ParentRule, Rules};
use super::device_init::{self, DeviceInit, IoType, PnpPower};
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::violation::{check_level, not_null};
use super::{io_package, lock, pnp, power, tree};
use crate::ke::irql::PASSIVE_LEVEL;
use crate::ntoskrnl::driver as call;
use crate::ntoskrnl::objects::{
    DO_BUFFERED_IO, DO_DEVICE_INITIALIZING, DO_DIRECT_IO, DO_EXCLUSIVE, DO_POWER_PAGABLE,
    DeviceObject, IRP_MJ_PNP, IRP_MJ_POWER, IoStackLocation, Irp,
};
use crate::ntoskrnl::shared::{address_of, read_u64, shared, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::{io_device, io_irp};

/// The kind of devices.
pub static KIND: Kind = Kind {
    is_deletable: false,
    is_passive: true,
    on_destroy: forget,
    ..Kind::new("WDFDEVICE")
};

/// WdfPowerDeviceD0
pub(super) const POWER_D0: u32 = 1;
/// WdfPowerDeviceD3
pub(super) const POWER_D3: u32 = 4;
/// WdfPowerDeviceD3Final: not started, stopped or removed.
pub(super) const POWER_D3_FINAL: u32 = 5;

/// What the framework keeps of a device.
#[derive(Clone)]
pub struct Device {
    /// What the driver said before it was created.
    pub init: DeviceInit,
    /// Its DEVICE_OBJECT.
    pub wdm: u64,
    /// The DEVICE_OBJECT that it is attached to.
    pub lower: u64,
    /// WDF_POWER_DEVICE_STATE.
    pub power_state: u32,
    /// How far the device has come.
    pub(super) progress: Progress,
    /// Resource lists of EvtDevicePrepareHardware, raw and translated.
    pub(super) resources: Option<[Handle; 2]>,
    /// UNICODE_STRINGs of its device interfaces, and whether each is to be enabled while the device is started.
    pub(super) interfaces: Vec<(u64, bool)>,
    /// UNICODE_STRING of its symbolic link; 0 for none.
    pub(super) symbolic_link: u64,
    /// WDF_DEVICE_FAILED_ACTION of WdfDeviceSetFailed; 0 for none.
    pub(super) failed_action: u32,
    /// Whether it agrees to QUERY_STOP and QUERY_REMOVE by itself (WdfDeviceSetStaticStopRemove).
    pub(super) is_stoppable: bool,
}

/// How far a device has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    /// EvtDevicePrepareHardware has run, EvtDeviceReleaseHardware not yet.
    pub(super) has_hardware: bool,
    /// EvtDeviceSelfManagedIoInit has run.
    pub(super) is_self_managed_init: bool,
    /// Self-managed I/O runs.
    pub(super) is_self_managed_running: bool,
    /// The first START has come.
    pub(super) was_started: bool,
    /// EvtDevicePrepareHardware is running.
    pub(super) is_in_prepare_hardware: bool,
    /// Cleaned up for removal.
    pub(super) is_cleaned_up: bool,
}

static DEVICES: Family<Device> = Family::new();

/// A copy of the record of a device.
#[must_use]
pub fn record(handle: Handle) -> Option<Device> {
    DEVICES.get(handle)
}

/// Runs `body` on the record of a device, interrupts off.
pub(super) fn with<R>(handle: Handle, body: impl FnOnce(&mut Device) -> R) -> Option<R> {
    DEVICES.with(handle, body)
}

/// The WDFDEVICE of a DEVICE_OBJECT.
#[must_use]
pub fn of_wdm(wdm: u64) -> Option<Handle> {
    DEVICES.find(|_, device| device.wdm == wdm).first().copied()
}

/// The WDFDEVICE on a physical device object.
#[must_use]
pub fn of_pdo(pdo: u64) -> Option<Handle> {
    DEVICES
        .find(|_, device| device.init.pdo == pdo)
        .first()
        .copied()
}

/// The DEVICE_OBJECT of a device.
#[must_use]
pub fn wdm_object<'call>(handle: Handle) -> Option<&'call DeviceObject> {
    with(handle, |device| device.wdm).map(shared)
}

/// Calls one of the PnP and power callbacks; a callback that is not there has succeeded.
pub(super) fn callback(handle: Handle, which: PnpPower, arguments: &[u64]) -> NtStatus {
    let routine = with(handle, |device| device.init.callbacks.get(which)).unwrap_or(0);
    if routine == 0 {
        return status::SUCCESS;
    }
    let mut all = alloc::vec![handle.raw()];
    all.extend(arguments);
    call::event_status(routine, which.name(), &all)
}

/// Calls one of the callbacks that give no status.
pub(super) fn notify(handle: Handle, which: PnpPower) {
    let _ = callback(handle, which, &[]);
}

/// `WdfDeviceCreate` (wdfdevice.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_INVALID_DEVICE_STATE where the init
/// structure has made a device already, STATUS_INVALID_SECURITY_DESCR for security without a name,
/// STATUS_OBJECT_NAME_COLLISION, STATUS_NO_SUCH_DEVICE, STATUS_INSUFFICIENT_RESOURCES, or what
/// [`Attributes::read`] says. On success the driver's pointer to the init structure becomes null.
pub(super) extern "win64" fn create(
    _globals: u64,
    init_pointer: u64,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfDeviceCreate";
    not_null(function, "DeviceInit", init_pointer);
    let number = read_u64(init_pointer);
    not_null(function, "*DeviceInit", number);
    not_null(function, "Device", out);
    write_u64(out, 0);
    if let Err(status) = check_level(function, PASSIVE_LEVEL) {
        return status;
    }
    let Some(init) = device_init::with(function, number, |init| init.clone()) else {
        return status::INVALID_PARAMETER;
    };
    match make(init, attributes) {
        Ok(handle) => {
            device_init::with(function, number, |init| init.created = Some(handle));
            write_u64(init_pointer, 0);
            write_u64(out, handle.raw());
            status::SUCCESS
        }
        Err(status) => status,
    }
}

fn make(init: DeviceInit, attributes: u64) -> Result<Handle, NtStatus> {
    let rules = Rules {
        parent: ParentRule::NotAllowed,
        execution_level: true,
        scope: true,
    };
    let attributes = Attributes::read(attributes, rules)?;
    if init.created.is_some() {
        return Err(status::INVALID_DEVICE_STATE);
    }
    if init.has_security && init.name.is_empty() {
        return Err(status::INVALID_SECURITY_DESCR);
    }
    let (wdm, lower) = make_wdm(&init)?;
    let handle = object::create(&KIND, &attributes, Some(init.driver))
        .inspect_err(|_| remove_wdm(wdm, lower))?;
    if !lock::attach(handle) {
        tree::discard(handle);
        remove_wdm(wdm, lower);
        return Err(status::INSUFFICIENT_RESOURCES);
    }
    DEVICES.insert(
        handle,
        Device {
            init,
            wdm: address_of(wdm),
            lower,
            power_state: POWER_D3_FINAL,
            progress: Progress::default(),
            resources: None,
            interfaces: Vec::new(),
            symbolic_link: 0,
            failed_action: 0,
            is_stoppable: true,
        },
    );
    Ok(handle)
}

/// Creates the DEVICE_OBJECT and attaches it to the stack; gives it and what lies below.
fn make_wdm(init: &DeviceInit) -> Result<(&'static DeviceObject, u64), NtStatus> {
    if io_device::is_name_taken(&init.name) {
        return Err(status::OBJECT_NAME_COLLISION);
    }
    let driver = super::driver::record(init.driver).ok_or(status::DELETE_PENDING)?;
    let driver_object = shared(driver.driver_object);
    let wdm = io_device::create(driver_object, 0, init.name.clone(), init.device_type)
        .ok_or(status::INSUFFICIENT_RESOURCES)?;
    wdm.characteristics.set(init.characteristics);
    let Some(lower) = io_device::attach(wdm, shared(init.pdo)) else {
        io_device::delete(wdm);
        return Err(status::NO_SUCH_DEVICE);
    };
    let io_type = match init.io_type {
        _ if init.is_filter => lower.flags.get() & (DO_BUFFERED_IO | DO_DIRECT_IO),
        IoType::Neither => 0,
        IoType::Buffered => DO_BUFFERED_IO,
        IoType::Direct => DO_DIRECT_IO,
    };
    let exclusive = if init.is_exclusive { DO_EXCLUSIVE } else { 0 };
    let pageable = if init.is_power_pageable {
        DO_POWER_PAGABLE
    } else {
        0
    };
    wdm.flags
        .set(wdm.flags.get() | io_type | exclusive | pageable);
    Ok((wdm, address_of(lower)))
}

/// Detaches a DEVICE_OBJECT from what lies below, and deletes it.
pub(super) fn remove_wdm(wdm: &DeviceObject, lower: u64) {
    io_device::io_detach_device(lower);
    io_device::delete(wdm);
}

/// AddDevice of a framework driver: EvtDriverDeviceAdd with an init structure for a function driver.
pub(super) extern "win64" fn add_device(driver_object: u64, pdo: u64) -> NtStatus {
    let globals = super::globals::of_driver_object(driver_object);
    let driver = globals.and_then(super::globals::driver);
    let (Some(globals), Some(driver)) = (globals, driver) else {
        return status::UNSUCCESSFUL;
    };
    let device_add = super::driver::record(driver).map_or(0, |driver| driver.device_add);
    let number = device_init::open(DeviceInit::for_fdo(globals, driver, pdo));
    let status = call::event_status(device_add, "EvtDriverDeviceAdd", &[driver.raw(), number]);
    let init = device_init::close(number);
    let created = init.as_ref().and_then(|init| init.created);
    match (created, init) {
        (Some(device), _) if status.is_success() => {
            finish_initializing(device);
            status
        }
        (Some(device), _) => {
            give_up(device);
            status
        }
        // A filter that does not want the device is no failure of the stack.
        (None, Some(init)) if init.is_filter => status::SUCCESS,
        (None, _) => status,
    }
}

fn finish_initializing(device: Handle) {
    if let Some(wdm) = wdm_object(device) {
        wdm.flags.set(wdm.flags.get() & !DO_DEVICE_INITIALIZING);
    }
}

/// Takes back a device whose EvtDriverDeviceAdd failed after it was created.
fn give_up(device: Handle) {
    let Some(record) = record(device) else {
        return;
    };
    pnp::release_names(device);
    tree::delete(device);
    remove_wdm(shared(record.wdm), record.lower);
}

fn forget(handle: Handle) {
    lock::detach(handle);
    DEVICES.remove(handle);
}

/// Every dispatch routine of a framework driver.
pub(super) extern "win64" fn dispatch(wdm: u64, irp: u64) -> NtStatus {
    let irp: &Irp = shared(irp);
    let stack: &IoStackLocation = shared(irp.current_stack_location.get() as u64);
    let Some(device) = of_wdm(wdm) else {
        return io_irp::complete_with(irp, status::NO_SUCH_DEVICE);
    };
    match stack.major_function.get() {
        IRP_MJ_PNP => pnp::dispatch(device, irp, stack),
        IRP_MJ_POWER => power::dispatch(device, irp, stack),
        _ => io_package::dispatch(device, irp, stack),
    }
}
