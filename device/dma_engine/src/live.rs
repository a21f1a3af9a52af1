//! What a channel may access without a further doorbell.
//!
//! These are the latched values, not the registers, which the driver may have overwritten since.

use endpoint::LiveReference;

use crate::channel::Channel;

impl Channel {
    /// Hands every live reference of the channel to `found`.
    pub(crate) fn live_references(&self, found: &mut impl FnMut(LiveReference)) {
        let mut note = |register: &'static str, start, len_bytes| {
            found(LiveReference {
                channel: self.id(),
                register: register.into(),
                start,
                len_bytes,
            });
        };
        if let Some(ring) = &self.ring {
            let [descriptors, completions] = ring.ranges();
            note("CH_RING_BASE", descriptors.0, descriptors.1);
            note("CH_COMPLETION_BASE", completions.0, completions.1);
        }
        for request in self.requests_under_way() {
            if let Some(source) = request.source {
                note("CH_SOURCE", source, request.len_bytes);
            }
            if let Some(destination) = request.destination {
                note("CH_DESTINATION", destination, request.len_bytes);
            }
        }
    }
}
