//! [`DeviceDescription`]: the whole file. A new section is a field here and a module of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key_path::KeyPath;
use crate::problem::Problems;
use crate::section::dma::Dma;
use crate::section::identity::Identity;
use crate::section::interrupts::Interrupts;

/// A device under test. What is left out is as in the built-in device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceDescription {
    /// Numbers by which an operating system finds a driver.
    pub identity: Identity,
    /// Interrupts.
    pub interrupts: Interrupts,
    /// What the device can do on the bus.
    pub dma: Dma,
}

impl DeviceDescription {
    /// Notes everything that the types alone do not rule out.
    pub(crate) fn check(&self, problems: &mut Problems) {
        let root = KeyPath::root();
        self.identity.check(&root.key("identity"), problems);
        self.interrupts.check(&root.key("interrupts"), problems);
        self.dma.check(&root.key("dma"), problems);
    }
}
