//! MSI: the capability in configuration space (PCI Express base specification, section 7.7.1).

use super::config::{ConfigAccess, capability, find_capability};
use super::msix::MESSAGE_ADDRESS;
use super::{PciError, RequesterId};

const CONTROL: u16 = 2;
const ADDRESS: u16 = 4;
const ADDRESS_UPPER: u16 = 8;
const IS_ENABLED: u16 = 1;
/// Log2 of how many messages the function can make, and of how many it may.
const CAPABLE_SHIFT: u32 = 1;
const ENABLED_SHIFT: u32 = 4;
const COUNT_MASK: u16 = 7;
/// 32 messages; the codes above are reserved.
const MAX_COUNT: u16 = 5;
const HAS_64_BIT_ADDRESS: u16 = 1 << 7;
const HAS_MASKS: u16 = 1 << 8;

/// The capability of one function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Msi {
    id: RequesterId,
    capability: u16,
    control: u16,
}

impl Msi {
    /// Reads the capability.
    pub fn find(config: &mut dyn ConfigAccess, id: RequesterId) -> Result<Self, PciError> {
        let capability =
            find_capability(config, id, capability::MSI).ok_or(PciError::NoCapability)?;
        let control = config.read_u16(id, capability + CONTROL);
        Ok(Self {
            id,
            capability,
            control,
        })
    }

    /// Messages that the function can make: 1, 2, 4, 8, 16 or 32.
    pub fn messages(&self) -> u8 {
        1 << (self.control >> CAPABLE_SHIFT & COUNT_MASK).min(MAX_COUNT)
    }

    /// Turns MSI on with these vectors, none of them masked. The function puts the number of the message into the low
    /// bits of the data, so they are as many as a power of two, in a row from a multiple of that on.
    pub fn enable(&self, config: &mut dyn ConfigAccess, vectors: &[u8]) {
        self.disable(config);
        let first = vectors.first().copied().unwrap_or_default();
        let mut put = |offset, len_bytes, value| {
            config.write(self.id, self.capability + offset, len_bytes, value);
        };
        put(ADDRESS, 4, MESSAGE_ADDRESS);
        let is_wide = self.control & HAS_64_BIT_ADDRESS != 0;
        if is_wide {
            put(ADDRESS_UPPER, 4, 0);
        }
        let data = if is_wide {
            ADDRESS_UPPER + 4
        } else {
            ADDRESS_UPPER
        };
        put(data, 2, first.into());
        if self.control & HAS_MASKS != 0 {
            put(data + 4, 4, 0);
        }
        let count = vectors.len().max(1).ilog2();
        put(CONTROL, 2, count << ENABLED_SHIFT | u32::from(IS_ENABLED));
    }

    /// Turns MSI off.
    pub fn disable(&self, config: &mut dyn ConfigAccess) {
        config.write(self.id, self.capability + CONTROL, 2, 0);
    }
}

#[cfg(test)]
#[path = "msi_tests.rs"]
mod tests;
