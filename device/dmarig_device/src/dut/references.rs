//! What the engine may access without a further doorbell, in the ledger's words.

use dma_engine::{Engine, ReferenceKind};

use crate::ledger::{IovaRange, LiveReference};

/// Every live reference of channels `0..channels`: rings that are enabled, and the ranges of requests
/// under way, as they were latched.
pub(super) fn live(engine: &Engine, channels: u8) -> Vec<LiveReference> {
    let references = engine.live_references().into_iter();
    references
        .filter(|reference| reference.channel.number() < channels)
        .map(|reference| LiveReference {
            channel: reference.channel.number().into(),
            register: match reference.kind {
                ReferenceKind::DescriptorRing => "CH_RING_BASE",
                ReferenceKind::CompletionRing => "CH_COMPLETION_BASE",
                ReferenceKind::Source => "CH_SOURCE",
                ReferenceKind::Destination => "CH_DESTINATION",
            },
            range: IovaRange::new(reference.start, reference.len_bytes),
        })
        .collect()
}
