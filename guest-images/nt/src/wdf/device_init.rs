//! WDFDEVICE_INIT: what a driver says of a device before it creates it. Opaque to the driver; a number that only
//! this module understands.

use alloc::collections::BTreeMap;
use alloc::string::String;

use super::attributes::Attributes;
use super::object::Handle;
use crate::arch::guarded::Guarded;
use crate::ntoskrnl::shared::{read_into, read_u64, shared};
use crate::ntoskrnl::verifier;
use core::cell::Cell;

/// The first number; each further one lies a step above.
const FIRST: u64 = 0x5DE0_0000_0000;
const STEP: u64 = 0x10;
/// FILE_DEVICE_UNKNOWN
const DEVICE_TYPE_UNKNOWN: u32 = 0x22;
/// FILE_DEVICE_SECURE_OPEN
const SECURE_OPEN: u32 = 0x100;

/// The callbacks of WDF_PNPPOWER_EVENT_CALLBACKS; 0 for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PnpPowerCallbacks([u64; Self::COUNT]);

impl PnpPowerCallbacks {
    const COUNT: usize = 17;
    /// Size of the structure, and of the shortest form (KMDF 1.0).
    const BYTES: u32 = 0x90;
    const SHORTEST_BYTES: u32 = 0x80;

    /// Reads the structure; `None` for a size that no version had.
    pub(super) fn read(at: u64) -> Option<Self> {
        let size = shared::<Cell<u32>>(at).get();
        if !(Self::SHORTEST_BYTES..=Self::BYTES).contains(&size) || !size.is_multiple_of(8) {
            return None;
        }
        let count = (size as usize / 8 - 1).min(Self::COUNT);
        let mut callbacks = [0; Self::COUNT];
        for (slot, offset) in callbacks.iter_mut().zip((8..).step_by(8)).take(count) {
            *slot = read_u64(at.wrapping_add(offset));
        }
        Some(Self(callbacks))
    }

    /// The routine of a callback.
    #[must_use]
    pub fn get(&self, callback: PnpPower) -> u64 {
        self.0[callback as usize]
    }
}

/// The callbacks in the order of WDF_PNPPOWER_EVENT_CALLBACKS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the members")]
#[repr(usize)]
pub enum PnpPower {
    D0Entry,
    D0EntryPostInterruptsEnabled,
    D0Exit,
    D0ExitPreInterruptsDisabled,
    PrepareHardware,
    ReleaseHardware,
    SelfManagedIoCleanup,
    SelfManagedIoFlush,
    SelfManagedIoInit,
    SelfManagedIoSuspend,
    SelfManagedIoRestart,
    SurpriseRemoval,
    QueryRemove,
    QueryStop,
}

impl PnpPower {
    /// As in the documentation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::D0Entry => "EvtDeviceD0Entry",
            Self::D0EntryPostInterruptsEnabled => "EvtDeviceD0EntryPostInterruptsEnabled",
            Self::D0Exit => "EvtDeviceD0Exit",
            Self::D0ExitPreInterruptsDisabled => "EvtDeviceD0ExitPreInterruptsDisabled",
            Self::PrepareHardware => "EvtDevicePrepareHardware",
            Self::ReleaseHardware => "EvtDeviceReleaseHardware",
            Self::SelfManagedIoCleanup => "EvtDeviceSelfManagedIoCleanup",
            Self::SelfManagedIoFlush => "EvtDeviceSelfManagedIoFlush",
            Self::SelfManagedIoInit => "EvtDeviceSelfManagedIoInit",
            Self::SelfManagedIoSuspend => "EvtDeviceSelfManagedIoSuspend",
            Self::SelfManagedIoRestart => "EvtDeviceSelfManagedIoRestart",
            Self::SurpriseRemoval => "EvtDeviceSurpriseRemoval",
            Self::QueryRemove => "EvtDeviceQueryRemove",
            Self::QueryStop => "EvtDeviceQueryStop",
        }
    }
}

/// WDF_DEVICE_IO_TYPE: how the data of requests comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoType {
    /// By the caller's own addresses.
    Neither,
    /// Through a system buffer.
    Buffered,
    /// By an MDL.
    Direct,
}

impl IoType {
    /// By its number; `None` for one that is not known.
    #[must_use]
    pub fn from_raw(raw: u32) -> Option<Self> {
        Some(match raw {
            1 => Self::Neither,
            2 => Self::Buffered,
            // BufferedOrDirect leaves the choice to the framework.
            3 | 4 => Self::Direct,
            _ => return None,
        })
    }
}

/// WDF_FILEOBJECT_CONFIG, with the attributes of file objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileObjectConfig {
    /// EvtDeviceFileCreate.
    pub create: u64,
    /// EvtFileClose.
    pub close: u64,
    /// EvtFileCleanup.
    pub cleanup: u64,
    /// AutoForwardCleanupClose: 0 false, 1 true, 2 default.
    pub auto_forward: u32,
    /// WDF_FILEOBJECT_CLASS.
    pub class: u32,
    /// What file objects get.
    pub attributes: Attributes,
}

/// What a driver has said of a device.
#[derive(Clone, Debug)]
pub struct DeviceInit {
    /// The client.
    pub globals: u64,
    /// Its WDFDRIVER.
    pub driver: Handle,
    /// Physical device object.
    pub pdo: u64,
    /// Whether WdfFdoInitSetFilter was called.
    pub is_filter: bool,
    /// Whether the device owns the power policy of its stack.
    pub owns_power_policy: bool,
    /// Whether power requests may come at DISPATCH_LEVEL.
    pub is_power_pageable: bool,
    /// PnP and power callbacks.
    pub callbacks: PnpPowerCallbacks,
    /// Of read and write requests.
    pub io_type: IoType,
    /// One open at a time.
    pub is_exclusive: bool,
    /// FILE_DEVICE_ type.
    pub device_type: u32,
    /// FILE_ characteristics.
    pub characteristics: u32,
    /// Name of the device object; empty for none.
    pub name: String,
    /// Whether SDDL text or a device class was set.
    pub has_security: bool,
    /// File objects, if the driver wants them.
    pub file_objects: Option<FileObjectConfig>,
    /// What request objects get.
    pub request_attributes: Attributes,
    /// EvtIoInCallerContext.
    pub in_caller_context: u64,
    /// The device, once it is created.
    pub created: Option<Handle>,
}

impl DeviceInit {
    /// What holds where the driver says nothing: a function driver that owns the power policy.
    #[must_use]
    pub(super) fn for_fdo(globals: u64, driver: Handle, pdo: u64) -> Self {
        Self {
            globals,
            driver,
            pdo,
            is_filter: false,
            owns_power_policy: true,
            is_power_pageable: true,
            callbacks: PnpPowerCallbacks::default(),
            io_type: IoType::Buffered,
            is_exclusive: false,
            device_type: DEVICE_TYPE_UNKNOWN,
            characteristics: SECURE_OPEN,
            name: String::new(),
            has_security: false,
            file_objects: None,
            request_attributes: Attributes::NONE,
            in_caller_context: 0,
            created: None,
        }
    }
}

struct Inits {
    open: BTreeMap<u64, DeviceInit>,
    next: u64,
}

static INITS: Guarded<Inits> = Guarded::new(Inits {
    open: BTreeMap::new(),
    next: FIRST,
});

/// Opens an init structure and gives the driver's number for it.
pub(super) fn open(init: DeviceInit) -> u64 {
    INITS.with(|inits| {
        let number = inits.next;
        inits.next += STEP;
        inits.open.insert(number, init);
        number
    })
}

/// Closes one; gives what it was.
pub(super) fn close(number: u64) -> Option<DeviceInit> {
    INITS.with(|inits| inits.open.remove(&number))
}

/// Runs `body` on the init structure that a driver means. One that is closed or was never open breaks a rule
/// without a documented code.
pub(super) fn with<R>(
    function: &str,
    number: u64,
    body: impl FnOnce(&mut DeviceInit) -> R,
) -> Option<R> {
    let result = INITS.with(|inits| inits.open.get_mut(&number).map(body));
    if result.is_none() {
        verifier::undocumented_violation(
            "wdf-device-init-invalid",
            format_args!("{function}: {number:#x} is no WDFDEVICE_INIT that is open"),
        );
    }
    result
}

/// Reports a structure whose size no version of the framework had; the call has no effect.
pub(super) fn report_size(function: &str, at: u64) {
    let mut size = [0; 4];
    read_into(at, &mut size);
    verifier::undocumented_violation(
        "wdf-structure-size",
        format_args!(
            "{function}: structure of {:#x} bytes, which no version has; the call has no effect",
            u32::from_le_bytes(size)
        ),
    );
}

#[cfg(test)]
#[path = "device_init_tests.rs"]
mod tests;
