//! [`LiveReference`]: addresses that the engine holds and may access without a further doorbell.
//!
//! These are the latched values, not the registers, which the driver may have overwritten since. If
//! one points at memory that has been unmapped or freed, the driver was too early.

use dmarig_abi::Iova;

use crate::channel::Channel;
use crate::channel_id::ChannelId;

/// What a live address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferenceKind {
    /// The descriptor ring of an enabled ring.
    DescriptorRing,
    /// The completion ring of an enabled ring.
    CompletionRing,
    /// The range that a request under way reads.
    Source,
    /// The range that a request under way writes.
    Destination,
}

/// One range that the engine may still access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveReference {
    /// The channel that holds it.
    pub channel: ChannelId,
    /// What it is for.
    pub kind: ReferenceKind,
    /// First byte.
    pub start: Iova,
    /// Length in bytes, as the guest gave it: the range may wrap.
    pub len_bytes: u64,
}

impl Channel {
    /// Hands every live reference of the channel to `found`.
    pub(crate) fn live_references(&self, found: &mut impl FnMut(LiveReference)) {
        let mut note = |kind, start, len_bytes| {
            found(LiveReference {
                channel: self.id(),
                kind,
                start,
                len_bytes,
            });
        };
        if let Some(ring) = &self.ring {
            let [descriptors, completions] = ring.ranges();
            note(ReferenceKind::DescriptorRing, descriptors.0, descriptors.1);
            note(ReferenceKind::CompletionRing, completions.0, completions.1);
        }
        for request in self.requests_under_way() {
            if let Some(source) = request.source {
                note(ReferenceKind::Source, source, request.len_bytes);
            }
            if let Some(destination) = request.destination {
                note(ReferenceKind::Destination, destination, request.len_bytes);
            }
        }
    }
}
