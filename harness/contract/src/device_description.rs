//! [`DeviceDescription`]: the DEVICE_DESCRIPTION that an adapter is opened with.

/// Size of DEVICE_DESCRIPTION version 3 in bytes.
const SIZE_BYTES: usize = 0x40;

/// The fields of DEVICE_DESCRIPTION that matter for a PCI bus master; all others are zero.
/// Page: `ns-wdm-_device_description`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceDescription {
    /// DEVICE_DESCRIPTION_VERSION, 0 to 3.
    pub version: u32,
    /// ScatterGather.
    pub scatter_gather: bool,
    /// Dma32BitAddresses (versions 0 to 2).
    pub dma_32_bit: bool,
    /// Dma64BitAddresses (versions 0 to 2).
    pub dma_64_bit: bool,
    /// MaximumLength in bytes.
    pub maximum_length_bytes: u32,
    /// DmaAddressWidth in bits (version 3).
    pub address_width_bits: u32,
}

impl DeviceDescription {
    /// A version 3 scatter/gather bus master of the given address width, for transfers up to 1 MiB.
    #[must_use]
    pub const fn version_3(address_width_bits: u32) -> Self {
        Self {
            version: 3,
            scatter_gather: true,
            dma_32_bit: false,
            dma_64_bit: false,
            maximum_length_bytes: 0x10_0000,
            address_width_bits,
        }
    }

    /// A description of an older version: a scatter/gather bus master that reaches 64 bits.
    #[must_use]
    pub const fn of_version(version: u32) -> Self {
        Self {
            version,
            dma_64_bit: true,
            address_width_bits: 0,
            ..Self::version_3(64)
        }
    }

    /// The structure as the driver passes it.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        const INTERFACE_TYPE_PCI_BUS: u32 = 5;
        let mut bytes = vec![0_u8; SIZE_BYTES];
        bytes[0x00..0x04].copy_from_slice(&self.version.to_le_bytes());
        bytes[0x04] = 1; // Master
        bytes[0x05] = u8::from(self.scatter_gather);
        bytes[0x08] = u8::from(self.dma_32_bit);
        bytes[0x0b] = u8::from(self.dma_64_bit);
        bytes[0x14..0x18].copy_from_slice(&INTERFACE_TYPE_PCI_BUS.to_le_bytes());
        bytes[0x20..0x24].copy_from_slice(&self.maximum_length_bytes.to_le_bytes());
        bytes[0x28..0x2c].copy_from_slice(&self.address_width_bits.to_le_bytes());
        bytes
    }
}
