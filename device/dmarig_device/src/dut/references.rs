//! What the endpoint may access without a further doorbell, in the ledger's words.

use endpoint::Endpoint;

use crate::ledger::{IovaRange, LiveReference};

/// Every live reference of the device's own channels: rings that are enabled, and the ranges of requests
/// under way, as they were latched.
pub(super) fn live(endpoint: &dyn Endpoint) -> Vec<LiveReference> {
    let channels = endpoint.channel_count();
    let references = endpoint.live_references().into_iter();
    references
        .filter(|reference| reference.channel.number() < channels)
        .map(|reference| LiveReference {
            channel: reference.channel.number().into(),
            register: reference.register,
            range: IovaRange::new(reference.start, reference.len_bytes),
        })
        .collect()
}
