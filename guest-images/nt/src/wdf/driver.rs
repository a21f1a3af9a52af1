//! WDFDRIVER (indices 116 to 118, 120 to 123): the root of a client's objects.

use core::cell::Cell;

use super::attributes::{Attributes, ParentRule, Rules};
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::violation::{at_most, check_level, not_null};
use super::{device, globals, tree};
use crate::ke::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::ntoskrnl::driver as call;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::objects::{DriverExtension, DriverObject};
use crate::ntoskrnl::shared::{counted_text, read_u64, shared, write_bytes, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};

const TAG: u32 = u32::from_le_bytes(*b"WdfD");
/// Size of WDF_DRIVER_CONFIG; its form before DriverPoolTag has the same.
const CONFIG_BYTES: u32 = 0x20;
/// WdfDriverInitNonPnpDriver, NoDispatchOverride, Companion.
const NON_PNP: u32 = 1;
const NO_DISPATCH_OVERRIDE: u32 = 2;
const KNOWN_FLAGS: u32 = 7;
/// The framework's version, for WdfDriverIsVersionAvailable.
const VERSION: (u32, u32) = (1, 33);

pub(super) static KIND: Kind = Kind {
    is_deletable: false,
    is_passive: true,
    on_destroy: forget,
    ..Kind::new("WDFDRIVER")
};

/// What the framework keeps of a WDFDRIVER.
#[derive(Clone, Copy)]
pub(super) struct Driver {
    pub(super) globals: u64,
    pub(super) driver_object: u64,
    pub(super) device_add: u64,
    unload: u64,
    /// The registry path, wide and with its zero.
    pub(super) registry_path: u64,
}

static DRIVERS: Family<Driver> = Family::new();

/// WDF_DRIVER_CONFIG.
struct Config {
    device_add: u64,
    unload: u64,
    flags: u32,
}

impl Config {
    fn read(at: u64) -> Result<Self, NtStatus> {
        let word = |offset: u64| shared::<Cell<u32>>(at.wrapping_add(offset)).get();
        if word(0) != CONFIG_BYTES {
            return Err(status::INFO_LENGTH_MISMATCH);
        }
        let config = Self {
            device_add: read_u64(at.wrapping_add(0x08)),
            unload: read_u64(at.wrapping_add(0x10)),
            flags: word(0x18),
        };
        let is_non_pnp = config.flags & NON_PNP != 0 && config.flags & NO_DISPATCH_OVERRIDE == 0;
        if config.flags & !KNOWN_FLAGS != 0 || (is_non_pnp && config.device_add != 0) {
            return Err(status::INVALID_PARAMETER);
        }
        Ok(config)
    }

    /// Whether the framework takes over the driver object's unload routine.
    fn displaces_unload(&self) -> bool {
        self.flags & (NON_PNP | NO_DISPATCH_OVERRIDE) == 0 || self.unload != 0
    }
}

/// `WdfDriverCreate` (wdfdriver.h). IRQL PASSIVE_LEVEL. STATUS_SUCCESS, STATUS_INFO_LENGTH_MISMATCH,
/// STATUS_INVALID_PARAMETER for flags, STATUS_DRIVER_INTERNAL_ERROR for a second call,
/// STATUS_INSUFFICIENT_RESOURCES, or what [`Attributes::read`] says.
pub(super) extern "win64" fn create(
    globals: u64,
    driver_object: u64,
    registry_path: u64,
    attributes: u64,
    config: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfDriverCreate";
    not_null(function, "DriverObject", driver_object);
    not_null(function, "RegistryPath", registry_path);
    not_null(function, "DriverConfig", config);
    let created = Config::read(config).and_then(|config| {
        check_level(function, PASSIVE_LEVEL)?;
        make(globals, driver_object, registry_path, attributes, &config)
    });
    match created {
        Ok(handle) => {
            if out != 0 {
                write_u64(out, handle.raw());
            }
            status::SUCCESS
        }
        Err(status) => status,
    }
}

fn make(
    globals: u64,
    driver_object: u64,
    registry_path: u64,
    attributes: u64,
    config: &Config,
) -> Result<Handle, NtStatus> {
    let client = globals::client(globals).ok_or(status::INVALID_PARAMETER)?;
    if client.driver.is_some() {
        return Err(status::DRIVER_INTERNAL_ERROR);
    }
    let rules = Rules {
        parent: ParentRule::NotAllowed,
        execution_level: true,
        scope: true,
    };
    let attributes = Attributes::read(attributes, rules)?;
    let path = copy_text(&counted_text(registry_path)).ok_or(status::INSUFFICIENT_RESOURCES)?;
    let handle =
        object::create(&KIND, &attributes, None).inspect_err(|_| kernel_memory::free(path))?;
    DRIVERS.insert(
        handle,
        Driver {
            globals,
            driver_object,
            device_add: config.device_add,
            unload: config.unload,
            registry_path: path,
        },
    );
    globals::set_driver(globals, Some(handle));
    if config.flags & NO_DISPATCH_OVERRIDE == 0 {
        take_over(shared(driver_object), config.device_add != 0);
    }
    if config.displaces_unload() {
        let object: &DriverObject = shared(driver_object);
        object
            .driver_unload
            .set((unload as *const ()).expose_provenance() as u64);
        globals::displace_unload(globals);
    }
    Ok(handle)
}

/// The framework answers every IRP, and AddDevice where the driver wants devices.
fn take_over(object: &DriverObject, wants_devices: bool) {
    let address = |routine: *const ()| routine.expose_provenance() as u64;
    for slot in &object.major_function {
        slot.set(address(device::dispatch as *const ()));
    }
    if wants_devices {
        let extension: &DriverExtension = shared(object.driver_extension.get() as u64);
        extension
            .add_device
            .set(address(device::add_device as *const ()));
    }
}

/// Text with its zero in memory that a driver may read.
pub(super) fn copy_text(text: &[u16]) -> Option<u64> {
    let bytes: alloc::vec::Vec<u8> = text
        .iter()
        .chain(&[0])
        .flat_map(|unit| unit.to_le_bytes())
        .collect();
    let copy = kernel_memory::allocate(bytes.len() as u64, TAG)?;
    write_bytes(copy, &bytes);
    Some(copy)
}

/// DriverUnload of a framework driver: EvtDriverUnload, then everything below the WDFDRIVER goes, and it.
extern "win64" fn unload(driver_object: u64) {
    let driver = globals::of_driver_object(driver_object).and_then(globals::driver);
    let Some((handle, driver)) = driver.and_then(|handle| Some((handle, DRIVERS.get(handle)?)))
    else {
        return;
    };
    if driver.unload != 0 {
        call::event(driver.unload, "EvtDriverUnload", &[handle.raw()]);
    }
    tree::delete(handle);
    tree::wait_for_deferred();
}

fn forget(handle: Handle) {
    if let Some(driver) = DRIVERS.remove(handle) {
        globals::set_driver(driver.globals, None);
        kernel_memory::free(driver.registry_path);
    }
}

/// The record of a WDFDRIVER.
pub(super) fn record(handle: Handle) -> Option<Driver> {
    DRIVERS.get(handle)
}

/// `WdfDriverGetRegistryPath` (wdfdriver.h). IRQL PASSIVE_LEVEL. The path as a wide string.
pub(super) extern "win64" fn registry_path(_globals: u64, driver: u64) -> u64 {
    let function = "WdfDriverGetRegistryPath";
    let handle = object::check(function, driver, &KIND);
    match check_level(function, PASSIVE_LEVEL) {
        Ok(()) => record(handle).map_or(0, |driver| driver.registry_path),
        Err(_) => 0,
    }
}

/// `WdfDriverWdmGetDriverObject` (wdfdriver.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn wdm_driver_object(_globals: u64, driver: u64) -> u64 {
    let function = "WdfDriverWdmGetDriverObject";
    at_most(function, DISPATCH_LEVEL);
    record(object::check(function, driver, &KIND)).map_or(0, |driver| driver.driver_object)
}

/// `WdfWdmDriverGetWdfDriverHandle` (wdfdriver.h). IRQL <= DISPATCH_LEVEL. Null for a driver object that is no
/// client.
pub(super) extern "win64" fn of_wdm_driver(_globals: u64, driver_object: u64) -> u64 {
    let function = "WdfWdmDriverGetWdfDriverHandle";
    not_null(function, "DriverObject", driver_object);
    at_most(function, DISPATCH_LEVEL);
    let globals = globals::of_driver_object(driver_object);
    globals.and_then(globals::driver).map_or(0, Handle::raw)
}

/// `WdfDriverIsVersionAvailable` (wdfdriver.h): {Size, MajorVersion, MinorVersion}. IRQL PASSIVE_LEVEL. FALSE where
/// the framework is older, or the structure's size is not 12 bytes.
pub(super) extern "win64" fn is_version_available(_globals: u64, driver: u64, version: u64) -> u8 {
    let function = "WdfDriverIsVersionAvailable";
    let _ = object::check(function, driver, &KIND);
    not_null(function, "VersionAvailableParams", version);
    if check_level(function, PASSIVE_LEVEL).is_err() {
        return 0;
    }
    let word = |offset: u64| shared::<Cell<u32>>(version.wrapping_add(offset)).get();
    let is_available = word(0) == 12 && word(4) == VERSION.0 && word(8) <= VERSION.1;
    u8::from(is_available)
}

/// `WdfDriverRegisterTraceInfo` (wdfdriver.h). Tracing is dropped, as ETW is.
pub(super) extern "win64" fn register_trace_info(_driver_object: u64, _callback: u64, _block: u64) {
}

#[cfg(test)]
#[path = "driver_tests.rs"]
pub(super) mod tests;
