//! `[pcie]`: what the device has of PCI Express.

use pci_function::{LinkState, PcieConfig, PcieError, PcieSize, PortType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key_path::KeyPath;
use crate::problem::Problems;

/// PCI Express.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pcie {
    /// What kind of endpoint the device is.
    #[serde(rename = "type")]
    pub kind: PcieKind,
    /// Most bytes of a write request that the device can make: 128 to 4096, a power of two.
    #[schemars(range(min = 128, max = 4096))]
    pub max_payload: u32,
    /// Most bytes that the device asks for in one read, whatever the guest allows: as above.
    #[schemars(range(min = 128, max = 4096))]
    pub max_read_request: u32,
    /// The device can be reset by itself (function-level reset).
    pub flr: bool,
    /// Speed of its link at most, in GT/s.
    pub link_speed: LinkSpeed,
    /// Lanes of its link at most: 1, 2, 4, 8, 12, 16 or 32.
    pub link_width: u8,
}

/// Speed of a link, in GT/s.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LinkSpeed {
    /// 2.5 GT/s.
    #[serde(rename = "2.5")]
    Gt2_5,
    /// 5 GT/s.
    #[serde(rename = "5")]
    Gt5,
    /// 8 GT/s.
    #[serde(rename = "8")]
    Gt8,
    /// 16 GT/s.
    #[serde(rename = "16")]
    Gt16,
    /// 32 GT/s.
    #[serde(rename = "32")]
    Gt32,
}

impl From<LinkSpeed> for pci_function::LinkSpeed {
    fn from(speed: LinkSpeed) -> Self {
        match speed {
            LinkSpeed::Gt2_5 => Self::Gt2_5,
            LinkSpeed::Gt5 => Self::Gt5,
            LinkSpeed::Gt8 => Self::Gt8,
            LinkSpeed::Gt16 => Self::Gt16,
            LinkSpeed::Gt32 => Self::Gt32,
        }
    }
}

/// Kind of endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PcieKind {
    /// An endpoint.
    #[default]
    Endpoint,
    /// A legacy endpoint; may need I/O ports.
    LegacyEndpoint,
    /// No PCI Express: 256 bytes of configuration space, no extended capability.
    None,
}

impl Default for Pcie {
    fn default() -> Self {
        let config = PcieConfig::default();
        Self {
            kind: PcieKind::Endpoint,
            max_payload: config.max_payload_bytes,
            max_read_request: config.max_read_request_bytes,
            flr: config.function_level_reset,
            link_speed: LinkSpeed::Gt8,
            link_width: config.link.width,
        }
    }
}

impl Pcie {
    /// As configuration space wants it.
    #[must_use]
    pub fn config(&self) -> Option<PcieConfig> {
        let port_type = match self.kind {
            PcieKind::Endpoint => PortType::Endpoint,
            PcieKind::LegacyEndpoint => PortType::LegacyEndpoint,
            PcieKind::None => return None,
        };
        Some(PcieConfig {
            port_type,
            max_payload_bytes: self.max_payload,
            max_read_request_bytes: self.max_read_request,
            function_level_reset: self.flr,
            link: LinkState {
                speed: self.link_speed.into(),
                width: self.link_width,
            },
        })
    }

    pub(crate) fn check(&self, at: &KeyPath, problems: &mut Problems) {
        if let Some(Err(error)) = self.config().map(|config| config.check()) {
            let key = match error {
                PcieError::Size {
                    size: PcieSize::Payload,
                    ..
                } => "max_payload",
                PcieError::Size {
                    size: PcieSize::ReadRequest,
                    ..
                } => "max_read_request",
                PcieError::LinkWidth { .. } => "link_width",
            };
            problems.error(&at.key(key), &error);
        }
    }
}
