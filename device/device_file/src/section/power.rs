//! `[power]`: power management.

use pci_function::PowerConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Power management.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Power {
    /// There is a power management capability, with D0 and D3hot.
    pub capability: bool,
    /// D1 is there.
    pub d1: bool,
    /// D2 is there.
    pub d2: bool,
    /// Coming back from D3hot keeps the registers; otherwise it resets the device.
    pub no_soft_reset: bool,
}

impl Default for Power {
    fn default() -> Self {
        let PowerConfig {
            d1,
            d2,
            no_soft_reset,
        } = PowerConfig::default();
        Self {
            capability: true,
            d1,
            d2,
            no_soft_reset,
        }
    }
}

impl Power {
    /// As configuration space wants it.
    #[must_use]
    pub fn config(&self) -> Option<PowerConfig> {
        self.capability.then_some(PowerConfig {
            d1: self.d1,
            d2: self.d2,
            no_soft_reset: self.no_soft_reset,
        })
    }
}
