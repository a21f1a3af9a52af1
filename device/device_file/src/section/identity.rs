//! `[identity]`: numbers by which an operating system finds a driver.

use dmarig_abi::registers::{PCI_DEVICE_ID_DUT, PCI_VENDOR_ID};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key_path::KeyPath;
use crate::problem::Problems;

/// Largest class code: 24 bits.
const MAX_CLASS: u32 = 0x00ff_ffff;
/// Class of the built-in device: none that an operating system has a driver for.
const CLASS_UNASSIGNED: u32 = 0x00ff_0000;
/// What reads as "no device here".
const NO_VENDOR: u16 = 0xffff;

/// The IDs in configuration space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Identity {
    /// Vendor ID; not 0xffff.
    #[schemars(range(max = 0xfffe))]
    pub vendor_id: u16,
    /// Device ID.
    pub device_id: u16,
    /// Revision ID.
    pub revision: u8,
    /// Class code: base class, sub-class, programming interface, from the highest of 24 bits down.
    #[schemars(range(max = 0x00ff_ffff))]
    pub class: u32,
    /// Subsystem vendor ID.
    pub subsystem_vendor_id: u16,
    /// Subsystem ID.
    pub subsystem_id: u16,
}

impl Default for Identity {
    fn default() -> Self {
        Self {
            vendor_id: PCI_VENDOR_ID,
            device_id: PCI_DEVICE_ID_DUT,
            revision: 1,
            class: CLASS_UNASSIGNED,
            subsystem_vendor_id: PCI_VENDOR_ID,
            subsystem_id: PCI_DEVICE_ID_DUT,
        }
    }
}

impl Identity {
    pub(crate) fn check(&self, at: &KeyPath, problems: &mut Problems) {
        if self.vendor_id == NO_VENDOR {
            problems.note(
                &at.key("vendor_id"),
                "0xffff means that no device is there",
                "give another vendor ID; 0x1234 is unassigned",
            );
        }
        if self.class > MAX_CLASS {
            problems.note(
                &at.key("class"),
                format!("{:#x} does not fit into 24 bits", self.class),
                "base class, sub-class and programming interface, like 0x020000",
            );
        }
    }
}
