//! `[[action]]`: what a write to a register sets off.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a write to a register sets off: effects at once, then a delay, then DMA, then effects again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Action {
    /// The register.
    pub on_write: String,
    /// Which values written count; all if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<When>,
    /// What happens at once.
    #[serde(default)]
    pub start: Effects,
    /// Microseconds until the rest happens.
    #[serde(default)]
    pub after_us: u32,
    /// A transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dma: Option<ActionDma>,
    /// What happens when the delay is over and the transfer has ended.
    #[serde(default)]
    pub done: Effects,
    /// The same if the transfer has failed; `done` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Effects>,
}

/// Values written: those whose bits under `mask` are `value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// The bits looked at.
    pub mask: u64,
    /// What they must be.
    pub value: u64,
}

/// Changes of registers, then an interrupt.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Effects {
    /// Bits that become 0.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clear: Vec<RegisterBits>,
    /// Bits that become 1.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set: Vec<RegisterBits>,
    /// An interrupt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interrupt: Option<Raise>,
}

/// Bits of a register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterBits {
    /// The register.
    pub register: String,
    /// The bits.
    pub bits: u64,
}

/// An interrupt: cause bits, and the vector if it is enabled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Raise {
    /// MSI or MSI-X vector.
    #[serde(default)]
    pub vector: u16,
    /// Register whose bits tell the cause; they are set first. While one that is enabled stands, the
    /// interrupt pin is asserted.
    pub cause: String,
    /// The cause bits.
    pub bits: u64,
    /// Register in which the same bits enable the interrupt; always enabled if left out. Enabling a
    /// cause that stands raises the vector then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enable: Option<String>,
}

/// A transfer whose address and length stand in registers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionDma {
    /// Which way the bytes go.
    pub direction: TransferDirection,
    /// Register with the logical address, or with its low half.
    pub address: String,
    /// Register with the high half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address_high: Option<String>,
    /// Register with the length.
    pub length: String,
    /// Bytes that a length of 1 means.
    #[serde(default = "one")]
    pub length_unit: u32,
    /// Channel that does it; a channel does one transfer after the other.
    #[serde(default)]
    #[schemars(range(max = 63))]
    pub channel: u8,
    /// Register that gets the CRC-32C of what was moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc: Option<String>,
    /// Register that gets the count of bytes moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved: Option<String>,
}

/// Which way the bytes of a transfer go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TransferDirection {
    /// The device reads memory.
    ToDevice,
    /// The device writes memory: the pattern whose seed is the number of the channel's transfers before.
    FromDevice,
}

const fn one() -> u32 {
    1
}
