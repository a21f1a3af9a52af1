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
        matches!(
            self,
            Self::DescriptorFetch { .. } | Self::CompletionEntry { .. }
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
    /// The mapping epoch when the request was issued (for a ring: when its descriptor had come).
    pub epoch_at_issue: u64,
    /// The mapping epoch when it ended.
    pub epoch_at_completion: u64,
}
