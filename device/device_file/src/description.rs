//! [`DeviceDescription`]: the whole file. A new section is a field here and a module of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key_path::KeyPath;
use crate::problem::Problems;
use crate::section::bar::{self, Bar};
use crate::section::capabilities::Capabilities;
use crate::section::dma::Dma;
use crate::section::identity::Identity;
use crate::section::interrupts::Interrupts;
use crate::section::pcie::Pcie;
use crate::section::power::Power;

/// A device under test. What is left out is as in the built-in device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceDescription {
    /// Numbers by which an operating system finds a driver.
    pub identity: Identity,
    /// BARs; none here means those of the built-in device.
    #[serde(rename = "bar", skip_serializing_if = "Vec::is_empty")]
    pub bars: Vec<Bar>,
    /// Interrupts.
    pub interrupts: Interrupts,
    /// Power management.
    pub power: Power,
    /// PCI Express.
    pub pcie: Pcie,
    /// What else stands in configuration space.
    pub capabilities: Capabilities,
    /// What the device can do on the bus.
    pub dma: Dma,
}

impl DeviceDescription {
    /// Notes everything that the types alone do not rule out.
    pub(crate) fn check(&self, problems: &mut Problems) {
        let root = KeyPath::root();
        self.identity.check(&root.key("identity"), problems);
        bar::check(&self.bars, &root.key("bar"), problems);
        self.interrupts.check(
            &root.key("interrupts"),
            &self.bar_definitions(),
            !self.bars.is_empty(),
            problems,
        );
        self.pcie.check(&root.key("pcie"), problems);
        self.capabilities.check(&root.key("capabilities"), problems);
        self.dma.check(&root.key("dma"), problems);
        if problems.is_empty() {
            self.check_function(problems);
        }
    }
}
