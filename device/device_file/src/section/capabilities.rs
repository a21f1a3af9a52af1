//! `[capabilities]`: what else stands in configuration space.

use pci_function::{AtsConfig, PasidConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key_path::KeyPath;
use crate::problem::Problems;

/// Bytes of a serial number.
const SERIAL_NUMBER_BYTES: usize = 8;

/// Capabilities that say something and do nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Capabilities {
    /// Advanced error reporting. Left out: wherever there is PCI Express.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub aer: Option<bool>,
    /// Device serial number, eight bytes from the highest down, like "00-11-22-33-44-55-66-77".
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    /// Vendor-specific capabilities, each as the bytes behind its length byte.
    pub vendor_specific: Vec<Vec<u8>>,
    /// Address translation services.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ats: Option<Ats>,
    /// Process address space IDs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pasid: Option<Pasid>,
}

/// Address translation services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ats {
    /// Invalidation requests that the device takes at a time.
    #[schemars(range(min = 1, max = 32))]
    pub invalidate_queue_depth: u8,
    /// Untranslated addresses are aligned to 4 KiB.
    pub page_aligned_requests: bool,
}

/// Process address space IDs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pasid {
    /// Bits of an ID.
    #[schemars(range(min = 1, max = 20))]
    pub width: u8,
    /// Requests can ask for execute permission.
    pub execute: bool,
    /// Requests can be privileged.
    pub privileged: bool,
}

impl Default for Ats {
    fn default() -> Self {
        Self {
            invalidate_queue_depth: 32,
            page_aligned_requests: true,
        }
    }
}

impl Default for Pasid {
    fn default() -> Self {
        Self {
            width: 20,
            execute: false,
            privileged: false,
        }
    }
}

impl Capabilities {
    /// The serial number; `None` if there is none, or it cannot be read.
    #[must_use]
    pub fn serial_number(&self) -> Option<u64> {
        let text = self.serial_number.as_deref()?;
        let mut bytes = text.split('-').map(|byte| {
            let is_hex = byte.len() == 2 && byte.bytes().all(|digit| digit.is_ascii_hexdigit());
            is_hex.then(|| u64::from_str_radix(byte, 16).ok()).flatten()
        });
        let number = bytes
            .by_ref()
            .take(SERIAL_NUMBER_BYTES)
            .try_fold((0, 0), |(number, n), byte| {
                Some((number << 8 | byte?, n + 1))
            })
            .filter(|(_, n)| *n == SERIAL_NUMBER_BYTES)?;
        bytes.next().is_none().then_some(number.0)
    }

    /// ATS as configuration space wants it.
    #[must_use]
    pub fn ats(&self) -> Option<AtsConfig> {
        self.ats.as_ref().map(|ats| AtsConfig {
            invalidate_queue_depth: ats.invalidate_queue_depth,
            page_aligned_requests: ats.page_aligned_requests,
        })
    }

    /// PASID as configuration space wants it.
    #[must_use]
    pub fn pasid(&self) -> Option<PasidConfig> {
        self.pasid.as_ref().map(|pasid| PasidConfig {
            width_bits: pasid.width,
            execute: pasid.execute,
            privileged: pasid.privileged,
        })
    }

    pub(crate) fn check(&self, at: &KeyPath, problems: &mut Problems) {
        if self.serial_number.is_some() && self.serial_number().is_none() {
            problems.note(
                &at.key("serial_number"),
                "is no serial number",
                "eight bytes of two hexadecimal digits, like \"00-11-22-33-44-55-66-77\"",
            );
        }
        if let Some(Err(error)) = self.ats().map(|ats| ats.check()) {
            problems.error(&at.key("ats").key("invalidate_queue_depth"), &error);
        }
        if let Some(Err(error)) = self.pasid().map(|pasid| pasid.check()) {
            problems.error(&at.key("pasid").key("width"), &error);
        }
    }
}
