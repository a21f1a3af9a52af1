//! `[interrupts]`: how the device interrupts.

use dmarig_abi::registers::DUT_MSIX_VECTORS;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key_path::KeyPath;
use crate::problem::Problems;

/// How the device interrupts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Interrupts {
    /// MSI-X vectors; with 0 there is no MSI-X capability.
    #[schemars(range(max = 4))]
    pub msix_vectors: u16,
}

impl Default for Interrupts {
    fn default() -> Self {
        Self {
            msix_vectors: DUT_MSIX_VECTORS,
        }
    }
}

impl Interrupts {
    pub(crate) fn check(&self, at: &KeyPath, problems: &mut Problems) {
        let vectors = &at.key("msix_vectors");
        problems.range(vectors, self.msix_vectors, 0..=DUT_MSIX_VECTORS);
    }
}
