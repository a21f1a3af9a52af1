//! [`LiveReference`]: addresses that an endpoint holds and may access without a further doorbell.
//!
//! These are the latched values, not the registers, which the driver may have overwritten since. If
//! one points at memory that has been unmapped or freed, the driver was too early.

use std::borrow::Cow;

use dmarig_abi::Iova;

use crate::channel_id::ChannelId;

/// One range that the endpoint may still access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveReference {
    /// The channel that holds it.
    pub channel: ChannelId,
    /// The register that the address came from.
    pub register: Cow<'static, str>,
    /// First byte.
    pub start: Iova,
    /// Length in bytes, as the guest gave it: the range may wrap.
    pub len_bytes: u64,
}
