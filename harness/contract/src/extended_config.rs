//! [`ExtendedConfig`]: one DMA_COMMON_BUFFER_EXTENDED_CONFIGURATION of CreateCommonBufferFromMdl.

/// Size of one configuration in bytes.
const SIZE_BYTES: usize = 0x28;

/// DMA_COMMON_BUFFER_EXTENDED_CONFIGURATION_ACCESS_TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HardwareAccess {
    /// The device may read only.
    ReadOnly,
    /// The device may write only.
    WriteOnly,
    /// The device may read and write.
    ReadWrite,
    /// A raw value, for what the documents do not name.
    Raw(u32),
}

/// One configuration; page `ns-wdm-dma_common_buffer_extended_configuration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExtendedConfig {
    /// LogicalAddressLimits: both ends inclusive.
    LogicalAddressLimits {
        /// Lowest start.
        minimum: u64,
        /// Highest last byte.
        maximum: u64,
    },
    /// SubSection of the MDL (chain).
    SubSection {
        /// Byte offset.
        offset: u64,
        /// Length in bytes.
        length: u32,
    },
    /// HardwareAccessPermissions.
    HardwareAccess(HardwareAccess),
    /// A configuration type that the documents do not name, with zeroed contents.
    UnknownType(u32),
}

impl ExtendedConfig {
    /// The structure as the driver passes it.
    #[must_use]
    pub fn to_bytes(self) -> [u8; SIZE_BYTES] {
        let mut bytes = [0_u8; SIZE_BYTES];
        let config_type: u32 = match self {
            Self::LogicalAddressLimits { minimum, maximum } => {
                bytes[0x08..0x10].copy_from_slice(&minimum.to_le_bytes());
                bytes[0x10..0x18].copy_from_slice(&maximum.to_le_bytes());
                0
            }
            Self::SubSection { offset, length } => {
                bytes[0x08..0x10].copy_from_slice(&offset.to_le_bytes());
                bytes[0x10..0x14].copy_from_slice(&length.to_le_bytes());
                1
            }
            Self::HardwareAccess(access) => {
                let raw: u32 = match access {
                    HardwareAccess::ReadOnly => 0,
                    HardwareAccess::WriteOnly => 1,
                    HardwareAccess::ReadWrite => 2,
                    HardwareAccess::Raw(raw) => raw,
                };
                bytes[0x08..0x0c].copy_from_slice(&raw.to_le_bytes());
                2
            }
            Self::UnknownType(raw) => raw,
        };
        bytes[0x00..0x04].copy_from_slice(&config_type.to_le_bytes());
        bytes
    }
}
