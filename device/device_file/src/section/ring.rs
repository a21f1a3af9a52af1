//! `[[ring]]`: descriptors in memory, with an owner bit, a tail index, or both.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::{Effects, RegisterBits, TransferDirection};

/// A ring of descriptors that the device works off, one transfer for each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ring {
    /// Name, for reports.
    pub name: String,
    /// Channel that works it off; it may have no other ring or action.
    #[serde(default)]
    #[schemars(range(max = 63))]
    pub channel: u8,
    /// Which way the bytes of the buffers go.
    pub direction: TransferDirection,
    /// Register with the logical address of descriptor 0, or with its low half.
    pub base: String,
    /// Register with the high half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_high: Option<String>,
    /// Register with the size.
    pub size: String,
    /// What the size counts.
    #[serde(default)]
    pub size_unit: SizeUnit,
    /// Register that shows the index of the next descriptor to be worked off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// Register with the index behind the last descriptor that the driver has filled; its write starts
    /// work. Left out, the owner bit alone tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tail: Option<String>,
    /// Register whose write starts work, whatever is written; needed where there is no `tail`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doorbell: Option<String>,
    /// Bits that enable the ring; when they become set, work begins with descriptor 0. Always enabled if
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable: Option<RegisterBits>,
    /// How a descriptor is laid out.
    pub descriptor: DescriptorLayout,
    /// What happens when a descriptor is done and written back.
    #[serde(default)]
    pub done: Effects,
    /// The same if its transfer, its fetch or its write-back has failed; `done` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Effects>,
}

/// What a ring's size register counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SizeUnit {
    /// Descriptors.
    #[default]
    Entries,
    /// Bytes.
    Bytes,
}

/// A descriptor by the places of its fields. All fields are little-endian.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DescriptorLayout {
    /// Size in bytes, 8 to 256.
    #[schemars(range(min = 8, max = 256))]
    pub size: u16,
    /// The buffer's logical address.
    pub address: Place,
    /// The buffer's length in bytes.
    pub length: Place,
    /// The owner bit: set while the descriptor is the device's, cleared when it is written back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Flag>,
    /// Bits that are set when the descriptor is written back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<StatusPlace>,
    /// Bits that ask for the interrupt of `done`; each descriptor asks if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupt: Option<Flag>,
}

/// A number in a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Offset in bytes.
    pub offset: u16,
    /// Width in bits: 8, 16, 32 or 64.
    pub width: u8,
}

/// Bits in a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flag {
    /// Offset in bytes.
    pub offset: u16,
    /// Width in bits: 8, 16, 32 or 64.
    pub width: u8,
    /// The bits.
    pub mask: u64,
}

/// Where a descriptor's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StatusPlace {
    /// Offset in bytes.
    pub offset: u16,
    /// Width in bits: 8, 16, 32 or 64.
    pub width: u8,
    /// Bits that are set in any case.
    pub done: u64,
    /// Bits that are set as well if the transfer has failed.
    #[serde(default)]
    pub failed: u64,
}
