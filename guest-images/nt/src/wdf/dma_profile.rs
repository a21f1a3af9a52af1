//! What a WDF_DMA_ENABLER_CONFIG asks of the HAL: profile, version and width (KD-1 to KD-4).

use core::cell::Cell;

use crate::ntoskrnl::shared::{read_u64, shared};
use crate::ntoskrnl::status::{self, NtStatus};

/// Size of WDF_DMA_ENABLER_CONFIG, and for clients up to 1.9.
const CONFIG_BYTES: u32 = 0x50;
const OLD_CONFIG_BYTES: u32 = 0x40;
/// Bytes of a DEVICE_DESCRIPTION.
pub(super) const DESCRIPTION_BYTES: usize = 0x40;
const PCI_BUS: u32 = 5;
/// Flags: no preallocated list, single transfers only.
const NO_LIST_PREALLOCATION: u32 = 1;
const REQUIRE_SINGLE_TRANSFER: u32 = 2;

/// WDF_DMA_ENABLER_CONFIG.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// WDF_DMA_PROFILE.
    pub profile: Profile,
    /// MaximumLength; the framework keeps its low 32 bits.
    pub maximum_length: u64,
    /// Fill, Flush, Disable, Enable, SelfManagedIoStart, SelfManagedIoStop; 0 for none.
    pub callbacks: [u64; 6],
    /// AddressWidthOverride; 0 for none.
    pub address_width: u32,
    /// WdmDmaVersionOverride; 0 for none.
    pub wdm_version: u32,
    /// Flags.
    pub flags: u32,
}

impl Config {
    /// Reads and judges the structure of a client of KMDF 1.`minor`.
    ///
    /// # Errors
    /// STATUS_INFO_LENGTH_MISMATCH, STATUS_INVALID_PARAMETER (KD-4).
    pub(super) fn read(at: u64, minor: u32) -> Result<Self, NtStatus> {
        let word = |offset: u64| shared::<Cell<u32>>(at.wrapping_add(offset)).get();
        let expected = if minor >= 11 {
            CONFIG_BYTES
        } else {
            OLD_CONFIG_BYTES
        };
        if word(0) != expected {
            return Err(status::INFO_LENGTH_MISMATCH);
        }
        let late = |offset| {
            if expected == CONFIG_BYTES {
                word(offset)
            } else {
                0
            }
        };
        let callbacks = [0x10, 0x18, 0x20, 0x28, 0x30, 0x38];
        let config = Self {
            profile: Profile::from_raw(word(4)).ok_or(status::INVALID_PARAMETER)?,
            maximum_length: read_u64(at.wrapping_add(8)),
            callbacks: callbacks.map(|offset| read_u64(at.wrapping_add(offset))),
            address_width: late(0x40),
            wdm_version: late(0x44),
            flags: late(0x48),
        };
        if config.maximum_length == 0 {
            return Err(status::INVALID_PARAMETER);
        }
        Ok(config)
    }

    /// The version and width of the adapter that a client of KMDF 1.`minor` gets.
    ///
    /// # Errors
    /// STATUS_INVALID_PARAMETER (KD-2 to KD-4).
    pub(super) fn adapter(&self, minor: u32) -> Result<AdapterRequest, NtStatus> {
        let is_system = self.profile.is_system();
        let mut version = if is_system { 3 } else { 2 };
        if self.address_width != 0 {
            if is_system || (!self.profile.is_64_bit() && self.address_width > 32) {
                return Err(status::INVALID_PARAMETER);
            }
            version = 3;
        }
        if self.wdm_version != 0 {
            if self.wdm_version < version {
                return Err(status::INVALID_PARAMETER);
            }
            version = self.wdm_version;
        }
        let is_single = self.flags & REQUIRE_SINGLE_TRANSFER != 0;
        if is_single && (minor < 19 || version != 3) {
            return Err(status::INVALID_PARAMETER);
        }
        let width = match (self.address_width, self.profile) {
            (0, profile) if profile.is_64_bit() => 64,
            (0, profile) if !profile.is_system() => 32,
            (0, _) => 24,
            (width, _) => width,
        };
        Ok(AdapterRequest {
            version,
            width,
            profile: self.profile,
            // The framework casts to ULONG.
            maximum_length: low_half(self.maximum_length),
            requires_single_transfer: is_single,
            preallocates_lists: self.flags & NO_LIST_PREALLOCATION == 0,
        })
    }
}

/// WDF_DMA_PROFILE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the enumeration")]
pub enum Profile {
    Packet,
    ScatterGather,
    Packet64,
    ScatterGather64,
    ScatterGatherDuplex,
    ScatterGather64Duplex,
    System,
    SystemDuplex,
}

impl Profile {
    fn from_raw(raw: u32) -> Option<Self> {
        Some(match raw {
            1 => Self::Packet,
            2 => Self::ScatterGather,
            3 => Self::Packet64,
            4 => Self::ScatterGather64,
            5 => Self::ScatterGatherDuplex,
            6 => Self::ScatterGather64Duplex,
            7 => Self::System,
            8 => Self::SystemDuplex,
            _ => return None,
        })
    }

    /// Whether it is one of the system DMA controller.
    #[must_use]
    pub fn is_system(self) -> bool {
        matches!(self, Self::System | Self::SystemDuplex)
    }

    /// Whether the device reaches 64 bits.
    #[must_use]
    pub fn is_64_bit(self) -> bool {
        matches!(
            self,
            Self::Packet64 | Self::ScatterGather64 | Self::ScatterGather64Duplex
        )
    }

    /// Whether reads and writes have an adapter each (KD-6).
    #[must_use]
    pub fn is_duplex(self) -> bool {
        matches!(
            self,
            Self::ScatterGatherDuplex | Self::ScatterGather64Duplex | Self::SystemDuplex
        )
    }

    /// Whether the device takes scatter/gather lists.
    #[must_use]
    pub fn is_scatter_gather(self) -> bool {
        !self.is_system() && !matches!(self, Self::Packet | Self::Packet64)
    }
}

/// What IoGetDmaAdapter is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdapterRequest {
    /// DEVICE_DESCRIPTION.Version.
    pub version: u32,
    /// Address bits; version 3 alone says so.
    pub width: u32,
    /// The profile.
    pub profile: Profile,
    /// MaximumLength.
    pub maximum_length: u32,
    /// WDF_DMA_ENABLER_CONFIG_REQUIRE_SINGLE_TRANSFER.
    pub requires_single_transfer: bool,
    /// Whether transactions have a scatter/gather list each from the beginning (KD-19).
    pub preallocates_lists: bool,
}

impl AdapterRequest {
    /// The DEVICE_DESCRIPTION of a bus master (KD-1).
    #[must_use]
    pub(super) fn description(&self) -> [u8; DESCRIPTION_BYTES] {
        let mut bytes = [0; DESCRIPTION_BYTES];
        let mut put = |offset: usize, value: u32| {
            bytes[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        };
        put(0x00, self.version);
        put(0x14, PCI_BUS);
        put(0x20, self.maximum_length);
        if self.version >= 3 {
            put(0x28, self.width);
        }
        // Master, ScatterGather, Dma32BitAddresses, Dma64BitAddresses.
        bytes[0x04] = 1;
        bytes[0x05] = u8::from(self.profile.is_scatter_gather());
        bytes[0x08] = 1;
        bytes[0x0B] = u8::from(self.profile.is_64_bit());
        bytes
    }
}

fn low_half(value: u64) -> u32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
#[path = "dma_profile_tests.rs"]
mod tests;
