//! `[dma]`: what the device can do on the bus.

use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key_path::KeyPath;
use crate::problem::Problems;

/// What `channels` may be.
pub const CHANNELS: RangeInclusive<u8> = 1..=64;
/// Channels of the built-in device.
const CHANNELS_DEFAULT: u8 = 4;
/// What `address_width` may be.
pub const ADDRESS_WIDTHS: RangeInclusive<u8> = 24..=64;

/// Largest `alignment` in bytes.
pub const MAX_ALIGNMENT: u64 = 4096;
/// Smallest `boundary` in bytes, where there is one.
pub const MIN_BOUNDARY: u64 = 64;

/// What the device does with an address that it cannot drive: one of too many bits, or not aligned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnViolation {
    /// The request ends with a status, and nothing moves.
    #[default]
    Refuse,
    /// The bits that the device does not have are dropped; behind the last address it goes on at 0.
    Truncate,
}

/// What the device does with a range that crosses its boundary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BoundaryCrossing {
    /// Its packets end there; the range is as good as any.
    #[default]
    Split,
    /// The request ends with a status, and nothing moves.
    Refuse,
    /// It goes on at the begin of the block that it was in.
    Wrap,
}

/// What the device can do on the bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dma {
    /// Channels of the engine, each with registers, a ring and a bit in the interrupt registers.
    #[schemars(range(min = 1, max = 64))]
    pub channels: u8,
    /// Bits of an address that the device can put on the bus.
    #[schemars(range(min = 24, max = 64))]
    pub address_width: u8,
    /// What a payload address is to be a multiple of, in bytes: a power of two.
    #[schemars(range(min = 1, max = 4096))]
    pub alignment: u64,
    /// Boundary in bytes that the device's counters do not cross: a power of two of 64 or more, 0 for none.
    pub boundary: u64,
    /// What becomes of an address of too many bits, or not aligned.
    pub on_violation: OnViolation,
    /// What becomes of a range across the boundary.
    pub boundary_crossing: BoundaryCrossing,
}

impl Default for Dma {
    fn default() -> Self {
        Self {
            channels: CHANNELS_DEFAULT,
            address_width: *ADDRESS_WIDTHS.end(),
            alignment: 1,
            boundary: 0,
            on_violation: OnViolation::default(),
            boundary_crossing: BoundaryCrossing::default(),
        }
    }
}

impl Dma {
    pub(crate) fn check(&self, at: &KeyPath, problems: &mut Problems) {
        problems.range(&at.key("channels"), self.channels, CHANNELS);
        problems.range(&at.key("address_width"), self.address_width, ADDRESS_WIDTHS);
        if !self.alignment.is_power_of_two() || self.alignment > MAX_ALIGNMENT {
            problems.note(
                &at.key("alignment"),
                format!(
                    "is {}, but must be a power of two from 1 to {MAX_ALIGNMENT}",
                    self.alignment
                ),
                "1 is for a device that can use any address",
            );
        }
        let has_boundary = self.boundary.is_power_of_two() && self.boundary >= MIN_BOUNDARY;
        if self.boundary != 0 && !has_boundary {
            problems.note(
                &at.key("boundary"),
                format!(
                    "is {:#x}, but must be a power of two of {MIN_BOUNDARY} or more",
                    self.boundary
                ),
                "0 is for a device without a boundary, 0x10000 for one with 16-bit counters",
            );
        }
    }
}
