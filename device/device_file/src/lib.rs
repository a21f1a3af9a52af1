//! The device file: what a device under test is, in TOML.
//!
//! [`DeviceDescription`] is the checked file as plain data, one module for each section; every key may
//! be left out, and the default is the built-in device. [`read`] and [`parse`] make it. A section only
//! says what is wrong with which key ([`Problems`]); where that key stands in the text is found
//! afterwards, so the data carries no positions. `schema/device.json` is the JSON schema of the types,
//! docs/device-file.md the manual. No socket, no device is known here.

#![forbid(unsafe_code)]

mod description;
mod error;
mod function;
mod key_path;
mod problem;
mod read;
mod section;

pub use description::DeviceDescription;
pub use error::{DeviceFileError, Located};
pub use key_path::KeyPath;
pub use problem::{Problem, Problems};
pub use read::{MAX_FILE_BYTES, parse, read};
pub use section::action::{
    Action, ActionDma, Effects, Raise, RegisterBits, TransferDirection, When,
};
pub use section::bar::{Bar, Space};
pub use section::capabilities::{Ats, Capabilities, Pasid};
pub use section::dma::{
    ADDRESS_WIDTHS, BoundaryCrossing, CHANNELS, Dma, MAX_ALIGNMENT, MIN_BOUNDARY, OnViolation,
};
pub use section::identity::Identity;
pub use section::interrupts::{Interrupts, Pin};
pub use section::iommu::{Iommu, IommuInvalidation, LargePage};
pub use section::pcie::{LinkSpeed, Pcie, PcieKind};
pub use section::power::Power;
pub use section::register::{Counts, Field, Register, RegisterAccess};
pub use section::ring::{DescriptorLayout, Flag, Place, Ring, SizeUnit, StatusPlace};
