//! The devices that PnP knows: one record per PCI function with a physical device object.

use alloc::string::String;
use alloc::vec::Vec;

use crate::arch::guarded::Guarded;
use crate::ke::irql::Irql;
use crate::pci::{Function, RequesterId};
use crate::registry::ENUM;

/// Where a device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// AddDevice has run, resources are not given.
    Added,
    /// START has succeeded.
    Started,
    /// QUERY_STOP has succeeded.
    StopPending,
    /// STOP has run.
    Stopped,
    /// QUERY_REMOVE has succeeded.
    RemovePending,
    /// SURPRISE_REMOVAL has run.
    SurpriseRemoved,
    /// REMOVE has run, or AddDevice has failed.
    Removed,
}

/// The interrupts of a started device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vectors {
    /// Messages, one CPU vector each, which tells its IRQL.
    Messages {
        /// Vectors.
        vectors: Vec<u8>,
        /// What the device writes to.
        address: u64,
    },
    /// The line interrupt.
    Line {
        /// CPU vector.
        vector: u8,
        /// Its IRQL.
        irql: Irql,
    },
}

/// One device.
#[derive(Clone, Debug)]
pub struct Device {
    /// `control`, `dut0`, `dut1`, ...
    pub name: String,
    /// Its PCI function.
    pub function: Function,
    /// Address of its physical device object.
    pub pdo: u64,
    /// Where it stands.
    pub state: State,
    /// Its interrupts, while started.
    pub vectors: Option<Vectors>,
    /// Where it stood before the query that is pending.
    pub before_query: State,
    /// The PnP requests that have come down to its physical device object.
    pub reached: Reached,
}

/// A set of minor functions of IRP_MJ_PNP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached(u32);

impl Reached {
    /// Adds one; those beyond 31 are of no interest.
    pub fn note(&mut self, minor: u8) {
        self.0 |= 1u32.checked_shl(minor.into()).unwrap_or(0);
    }

    /// Takes one out.
    pub fn forget(&mut self, minor: u8) {
        self.0 &= !1u32.checked_shl(minor.into()).unwrap_or(0);
    }

    /// Whether it is there.
    #[must_use]
    pub fn has(self, minor: u8) -> bool {
        self.0 & 1u32.checked_shl(minor.into()).unwrap_or(0) != 0
    }
}

/// What IoGetDeviceProperty finds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Property {
    /// The value.
    Data(Vec<u8>),
    /// The device has no such property.
    Absent,
    /// PnP does not know the device.
    NoDevice,
}

static DEVICES: Guarded<Vec<Device>> = Guarded::new(Vec::new());

/// Adds a device.
pub(crate) fn add(device: Device) {
    DEVICES.with(|devices| devices.push(device));
}

/// Takes a device out, whose physical device object is about to go.
pub(crate) fn forget(pdo: u64) {
    DEVICES.with(|devices| devices.retain(|device| device.pdo != pdo));
}

/// All devices, in bus order; those that came later behind them.
#[must_use]
pub(crate) fn all() -> Vec<Device> {
    DEVICES.with(|devices| devices.clone())
}

/// A device by its name.
#[must_use]
pub(crate) fn by_name(name: &str) -> Option<Device> {
    find(|device| device.name == name)
}

/// A device by its physical device object.
#[must_use]
pub(crate) fn by_pdo(pdo: u64) -> Option<Device> {
    find(|device| device.pdo == pdo)
}

/// A device by its PCI function.
#[must_use]
pub(crate) fn by_requester(id: RequesterId) -> Option<Device> {
    find(|device| device.function.id == id)
}

/// Changes the record of a device.
pub(crate) fn update(pdo: u64, change: impl FnOnce(&mut Device)) {
    DEVICES.with(|devices| {
        if let Some(device) = devices.iter_mut().find(|device| device.pdo == pdo) {
            change(device);
        }
    });
}

/// The interrupts of a device, by its physical device object.
#[must_use]
pub(crate) fn vectors_of(pdo: u64) -> Option<Vectors> {
    by_pdo(pdo)?.vectors
}

/// The PCI function of a device, by its physical device object.
#[must_use]
pub(crate) fn requester_of(pdo: u64) -> Option<RequesterId> {
    by_pdo(pdo).map(|device| device.function.id)
}

/// The instance path of a device, `PCI\VEN_..\bb.dd.f`.
#[must_use]
pub(crate) fn instance_of(pdo: u64) -> Option<String> {
    by_pdo(pdo).map(|device| instance(&device))
}

/// Path of a device's hardware key.
#[must_use]
pub(crate) fn hardware_key(pdo: u64) -> Option<String> {
    by_pdo(pdo).map(|device| alloc::format!(r"{ENUM}\{}", instance(&device)))
}

/// The value of a DEVICE_REGISTRY_PROPERTY.
#[must_use]
pub(crate) fn property(pdo: u64, property: u32) -> Property {
    match by_pdo(pdo) {
        None => Property::NoDevice,
        Some(device) => value_of(&device, property).map_or(Property::Absent, Property::Data),
    }
}

fn find(mut matches: impl FnMut(&Device) -> bool) -> Option<Device> {
    DEVICES.with(|devices| devices.iter().find(|device| matches(device)).cloned())
}

fn value_of(device: &Device, property: u32) -> Option<Vec<u8>> {
    let id = device.function.id;
    match property {
        // DeviceDescription, FriendlyName
        0 | 9 => Some(wide(&alloc::format!("dmarig {}", device.name))),
        1 => Some(wide_list(&hardware_ids(&device.function))),
        2 => Some(wide_list(&compatible_ids(&device.function))),
        // LocationInformation
        10 => Some(wide(&alloc::format!("PCI {id}"))),
        // PhysicalDeviceObjectName
        11 => Some(wide(&alloc::format!(r"\Device\NTPNP_PCI_{}", device.name))),
        // LegacyBusType PCIBus, BusNumber, Address
        13 => Some(5u32.to_le_bytes().to_vec()),
        14 => Some(u32::from(id.bus()).to_le_bytes().to_vec()),
        15 => Some(wide("PCI")),
        16 => {
            let address = (u32::from(id.device()) << 16) | u32::from(id.function());
            Some(address.to_le_bytes().to_vec())
        }
        _ => None,
    }
}

fn instance(device: &Device) -> String {
    let [first, ..] = hardware_ids(&device.function);
    alloc::format!(r"{first}\{}", device.function.id)
}

/// The IDs of a PCI function, from the most to the least specific.
pub(crate) fn hardware_ids(function: &Function) -> [String; 4] {
    let base = alloc::format!(
        r"PCI\VEN_{:04X}&DEV_{:04X}",
        function.vendor_id,
        function.device_id
    );
    let subsystem = alloc::format!(
        "{base}&SUBSYS_{:04X}{:04X}",
        function.subsystem_id,
        function.subsystem_vendor_id
    );
    [
        alloc::format!("{subsystem}&REV_{:02X}", function.revision),
        subsystem,
        alloc::format!("{base}&REV_{:02X}", function.revision),
        base,
    ]
}

/// The compatible IDs of a PCI function.
pub(crate) fn compatible_ids(function: &Function) -> [String; 2] {
    [
        alloc::format!(
            r"PCI\VEN_{:04X}&CC_{:06X}",
            function.vendor_id,
            function.class
        ),
        alloc::format!(r"PCI\CC_{:06X}", function.class),
    ]
}

/// UTF-16 text with its zero.
pub(crate) fn wide(text: &str) -> Vec<u8> {
    text.encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect()
}

/// REG_MULTI_SZ.
pub(crate) fn wide_list(texts: &[String]) -> Vec<u8> {
    let mut list: Vec<u8> = texts.iter().flat_map(|text| wide(text)).collect();
    list.extend([0, 0]);
    list
}
