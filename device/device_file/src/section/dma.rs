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
}

impl Default for Dma {
    fn default() -> Self {
        Self {
            channels: CHANNELS_DEFAULT,
            address_width: *ADDRESS_WIDTHS.end(),
        }
    }
}

impl Dma {
    pub(crate) fn check(&self, at: &KeyPath, problems: &mut Problems) {
        problems.range(&at.key("channels"), self.channels, CHANNELS);
        problems.range(&at.key("address_width"), self.address_width, ADDRESS_WIDTHS);
    }
}
