//! What a channel may access without a further doorbell.
//!
//! These are the latched values, not the registers, which the driver may have overwritten since.

use endpoint::LiveReference;

use crate::channel::Channel;
use crate::ring::Ring;

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
        for (register, start, len_bytes) in self.ring.iter().flat_map(Ring::ranges) {
            note(register, start, len_bytes);
        }
        self.requests_under_way(&mut note);
    }
}
