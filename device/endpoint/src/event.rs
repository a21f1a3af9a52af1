//! [`EndpointEvent`]: what an endpoint tells its owner, and [`RequestRecord`], the ledger's raw material.

use dmarig_abi::Iova;

use crate::bus::BusFaultKind;
use crate::channel_id::{ChannelId, MsixVector};
use crate::request::Request;

/// One thing that happened, in the order in which it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointEvent {
    /// Raise this vector now. Comes behind the record of the request that asked for it. Whether MSI-X
    /// is enabled, or INTx is to be used ([`crate::Endpoint::is_intx_asserted`]), is the owner's matter.
    Interrupt {
        /// The vector: number n belongs to channel n.
        vector: MsixVector,
    },
    /// A request has ended, or was refused.
    RequestDone(Box<RequestRecord>),
    /// The driver broke a rule of the endpoint.
    Finding(Box<Finding>),
    /// The driver stopped a channel: nothing that the device holds back of its accesses may be made
    /// any more. Comes before all that the channel does afterwards.
    Stopped {
        /// The channel.
        channel: ChannelId,
        /// How much of it.
        scope: StopScope,
    },
}

/// How much of a channel is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopScope {
    /// All of it.
    Channel,
    /// What its ring asked for.
    Ring,
}

/// A rule that the driver broke, as the endpoint saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which rule.
    pub kind: FindingKind,
    /// The channel concerned.
    pub channel: ChannelId,
    /// First byte concerned.
    pub iova: Iova,
    /// Length in bytes.
    pub len_bytes: u64,
    /// One sentence for people, with what was expected and what was seen.
    pub detail: String,
}

/// The rules that an endpoint can find broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindingKind {
    /// A descriptor changed while it was the device's.
    DescriptorChanged,
    /// A chain of descriptors leads in a circle, too far, or to where no descriptor can be.
    BadChain,
}

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The channel's registers (`CH_COMMAND`).
    Register,
    /// Descriptor `index` of the channel's ring.
    Ring {
        /// Position in the ring.
        index: u32,
    },
    /// The endpoint itself: it fetched descriptor `index`.
    DescriptorFetch {
        /// Position in the ring.
        index: u32,
    },
    /// The endpoint itself: it fetched a scatter-gather list of descriptor `index`.
    ListFetch {
        /// Position in the ring.
        index: u32,
    },
    /// The endpoint itself: it gave descriptor `index` back to the driver.
    DescriptorRelease {
        /// Position in the ring.
        index: u32,
    },
    /// The endpoint itself: it wrote the index behind the last completion entry.
    ProducerIndex {
        /// The index.
        index: u32,
    },
    /// The endpoint itself: it wrote completion entry `index`.
    CompletionEntry {
        /// Position in the ring.
        index: u32,
    },
    /// [`crate::Endpoint::submit_host`], which returned this number.
    Host {
        /// The number.
        id: u64,
    },
}

impl Origin {
    /// Whether the bytes are a ring's upkeep, not what a request is about.
    #[must_use]
    pub const fn is_upkeep(self) -> bool {
        self.is_publication()
            || matches!(self, Self::DescriptorFetch { .. } | Self::ListFetch { .. })
    }

    /// Whether the bytes tell the driver that a request has ended.
    #[must_use]
    pub const fn is_publication(self) -> bool {
        matches!(
            self,
            Self::CompletionEntry { .. }
                | Self::DescriptorRelease { .. }
                | Self::ProducerIndex { .. }
        )
    }
}

/// By which ways the bytes of a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessPath {
    /// No access was made.
    None,
    /// Mapped only.
    Mapped,
    /// Message only.
    Message,
    /// Some of each.
    Both,
    /// The table was asked, no byte moved.
    Probe,
}

/// A miss or violation of the mapping table after which the same access succeeded by message: table
/// and platform disagree, which is a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// First byte that fell back.
    pub iova: Iova,
    /// What the table said.
    pub kind: BusFaultKind,
}

/// Bytes that lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// First byte.
    pub start: Iova,
    /// Length in bytes.
    pub len_bytes: u64,
}

/// Where the bytes of a request lay that was done in pieces, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestRuns {
    /// What was read.
    pub source: Vec<Extent>,
    /// What was written.
    pub destination: Vec<Extent>,
}

/// Everything about one request that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    /// The channel that ran it.
    pub channel: ChannelId,
    /// Who asked.
    pub origin: Origin,
    /// What was asked.
    pub request: Request,
    /// First byte of the range read, if the operation reads.
    pub source: Option<Iova>,
    /// First byte of the range written, if the operation writes.
    pub destination: Option<Iova>,
    /// One of `DMA_STATUS_*`.
    pub status: u16,
    /// Bytes moved (probe: bytes permitted) before the request ended.
    pub done_bytes: u64,
    /// By which ways.
    pub path: AccessPath,
    /// CRC-32C of the bytes counted by `done_bytes`; what the engine meant to write where it writes.
    pub crc32c: u32,
    /// Offset of the first byte that differs from the pattern.
    pub mismatch_offset: Option<u64>,
    /// The expected byte at `mismatch_offset`, else 0.
    pub expected: u8,
    /// The byte seen there, else 0.
    pub seen: u8,
    /// The byte at which the request was refused.
    pub fault_iova: Option<Iova>,
    /// The first fall-back that succeeded.
    pub fallback: Option<Fallback>,
    /// For a request with a list, or one that the device moved elsewhere: what it accessed. Otherwise its
    /// bytes lie side by side from `source` and `destination` on.
    pub runs: Option<Box<RequestRuns>>,
    /// The mapping epoch when the request was issued (for a ring: when its descriptor had come).
    pub epoch_at_issue: u64,
    /// The mapping epoch when it ended.
    pub epoch_at_completion: u64,
}
