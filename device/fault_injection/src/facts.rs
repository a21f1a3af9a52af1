//! [`Facts`]: what is known of an access at a point, and what a rule can match.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::point::Point;

/// Whether the device reads or writes memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccessDirection {
    /// The device reads memory.
    Read,
    /// The device writes memory.
    Write,
}

/// The way that the device takes to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AccessPath {
    /// Through the mapped memory of the guest.
    Mapped,
    /// By a message to the platform.
    Message,
}

/// What the device moves bytes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// For a driver's request.
    Payload,
    /// For a descriptor.
    Descriptor,
    /// For a completion entry.
    CompletionEntry,
}

/// Who asked for the request that an access belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RequestOrigin {
    /// The guest's driver, by register or ring.
    #[default]
    Driver,
    /// The harness, over the control socket: the probes of the oracles.
    Host,
}

/// What is known of one access at one point. What does not apply is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The point.
    pub point: Point,
    /// Who asked for it.
    pub origin: RequestOrigin,
    /// The channel, where the point has one and the origin is the driver.
    pub channel: Option<u8>,
    /// First IOVA of the access.
    pub iova: Option<u64>,
    /// Length of the access in bytes; 0 where there are no bytes.
    pub len_bytes: u64,
    /// Offset in the region (configuration space, BAR) or in the request (TLPs).
    pub offset: Option<u64>,
    /// The BAR.
    pub bar: Option<u8>,
    /// The value read or written, little-endian, if it has at most 8 bytes.
    pub value: Option<u64>,
    /// The direction, where the point does not tell it.
    pub direction: Option<AccessDirection>,
    /// The way to memory.
    pub path: Option<AccessPath>,
    /// What the bytes are for.
    pub purpose: Option<Purpose>,
    /// The vector raised.
    pub vector: Option<u16>,
    /// The request's operation, one of the ABI's `DMA_OP_*`.
    pub opcode: Option<u16>,
    /// Number of the TLP in its access, from 0.
    pub tlp: Option<u32>,
}

impl Facts {
    /// The facts of a driver's access of which nothing more is known.
    #[must_use]
    pub const fn at(point: Point) -> Self {
        Self {
            point,
            origin: RequestOrigin::Driver,
            channel: None,
            iova: None,
            len_bytes: 0,
            offset: None,
            bar: None,
            value: None,
            direction: None,
            path: None,
            purpose: None,
            vector: None,
            opcode: None,
            tlp: None,
        }
    }

    /// The same on a channel.
    #[must_use]
    pub const fn on_channel(mut self, channel: u8) -> Self {
        self.channel = Some(channel);
        self
    }

    /// The same with a range of addresses.
    #[must_use]
    pub const fn with_range(mut self, iova: u64, len_bytes: u64) -> Self {
        self.iova = Some(iova);
        self.len_bytes = len_bytes;
        self
    }
}

/// The value of at most 8 little-endian bytes, as [`Facts::value`] has it.
#[must_use]
pub(crate) fn little_endian(bytes: &[u8]) -> Option<u64> {
    let mut value = [0; 8];
    value.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(u64::from_le_bytes(value))
}

impl Facts {
    /// The same with the value of `bytes`, and their length.
    #[must_use]
    pub fn with_value(mut self, bytes: &[u8]) -> Self {
        self.value = little_endian(bytes);
        self.len_bytes = bytes.len() as u64;
        self
    }
}
