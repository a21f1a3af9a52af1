//! The device file's section `[dma]` in the engine's words.

use device_file::{BoundaryCrossing, Dma, OnViolation};
use dma_engine::{AddressRules, Breach, Crossing, EngineConfig};

pub(crate) const fn engine_config(dma: &Dma) -> EngineConfig {
    EngineConfig {
        channels: dma.channels,
        addresses: AddressRules {
            width_bits: dma.address_width,
            alignment_bytes: dma.alignment,
            boundary_bytes: dma.boundary,
            breach: match dma.on_violation {
                OnViolation::Refuse => Breach::Refuse,
                OnViolation::Truncate => Breach::Truncate,
            },
            crossing: match dma.boundary_crossing {
                BoundaryCrossing::Split => Crossing::Split,
                BoundaryCrossing::Refuse => Crossing::Refuse,
                BoundaryCrossing::Wrap => Crossing::Wrap,
            },
        },
    }
}
