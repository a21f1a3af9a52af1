//! [`Point`]: the named places at which a fault can strike.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A place on the way of the data at which the device asks whether a rule strikes. Each tells one hit
/// an access, in the order in which the device makes them.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// A read of configuration space.
    ConfigRead,
    /// A write of configuration space.
    ConfigWrite,
    /// A read of a BAR.
    MmioRead,
    /// A write of a BAR that rings no doorbell.
    MmioWrite,
    /// A write of a BAR that rings a channel's doorbell.
    Doorbell,
    /// A translation of an IOVA, once for each TLP, before the access itself.
    Translate,
    /// A memory read TLP, whatever it is for.
    DmaRead,
    /// A memory write TLP, whatever it is for.
    DmaWrite,
    /// The fetch of a whole descriptor.
    DescriptorFetch,
    /// A driver's whole request, before its first byte moves.
    Payload,
    /// The writing of a whole completion entry.
    CompletionEntry,
    /// The raising of an MSI-X vector.
    Msix,
    /// The raising of an MSI message.
    Msi,
    /// The assertion of the interrupt pin.
    Intx,
    /// The link comes up at the end of a conventional reset.
    Link,
    /// A reset of the function: conventional, function-level, or by power state.
    Reset,
}

impl Point {
    /// Every point, in the order of the data.
    pub const ALL: [Self; 16] = [
        Self::ConfigRead,
        Self::ConfigWrite,
        Self::MmioRead,
        Self::MmioWrite,
        Self::Doorbell,
        Self::Translate,
        Self::DmaRead,
        Self::DmaWrite,
        Self::DescriptorFetch,
        Self::Payload,
        Self::CompletionEntry,
        Self::Msix,
        Self::Msi,
        Self::Intx,
        Self::Link,
        Self::Reset,
    ];

    /// The word for it in rule files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConfigRead => "config-read",
            Self::ConfigWrite => "config-write",
            Self::MmioRead => "mmio-read",
            Self::MmioWrite => "mmio-write",
            Self::Doorbell => "doorbell",
            Self::Translate => "translate",
            Self::DmaRead => "dma-read",
            Self::DmaWrite => "dma-write",
            Self::DescriptorFetch => "descriptor-fetch",
            Self::Payload => "payload",
            Self::CompletionEntry => "completion-entry",
            Self::Msix => "msix",
            Self::Msi => "msi",
            Self::Intx => "intx",
            Self::Link => "link",
            Self::Reset => "reset",
        }
    }

    /// Whether a hit belongs to a channel; the others belong to the function.
    #[must_use]
    pub const fn has_channel(self) -> bool {
        matches!(
            self,
            Self::Doorbell
                | Self::Translate
                | Self::DmaRead
                | Self::DmaWrite
                | Self::DescriptorFetch
                | Self::Payload
                | Self::CompletionEntry
        )
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    pub(crate) const fn bit(self) -> u32 {
        1 << self.index()
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::Point;

    #[test]
    fn names_are_those_of_rule_files_and_the_order_is_that_of_the_list() {
        for (index, point) in Point::ALL.into_iter().enumerate() {
            assert_eq!(point.index(), index, "{point}");
            let json = serde_json::to_value(point).expect("a point is a string");
            assert_eq!(json, point.name());
        }
    }
}
