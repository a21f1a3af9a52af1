//! What the device's ledger keeps: a ring of accesses, and every violation up to a bound.

use dmarig_abi::Iova;
use serde::{Deserialize, Serialize};

use crate::FunctionName;
use crate::encoding::{hex64, iova};
use crate::response::DmaStatus;

/// One request as the ledger saw it: a piece of payload that was read or written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRecord {
    /// Place in the order of everything the ledger saw.
    pub seq: u64,
    /// The requester.
    pub function: FunctionName,
    /// The engine's channel; null for a request of the control socket.
    pub channel: Option<u32>,
    /// First byte.
    #[serde(with = "iova")]
    pub iova: Iova,
    /// Length in bytes, as the request asked.
    #[serde(with = "hex64")]
    pub length: u64,
    /// Bytes moved before the request ended: less than `length` where it failed.
    #[serde(with = "hex64")]
    pub moved: u64,
    /// Seen from memory: the device reads or writes.
    pub direction: AccessDirection,
    /// How the bytes travelled.
    pub path: AccessPath,
    /// How it ended.
    pub status: DmaStatus,
    /// CRC-32C of the payload, where the engine computed one.
    pub crc32c: Option<u32>,
    /// Mapping epoch when it was issued.
    #[serde(with = "hex64")]
    pub epoch_issue: u64,
    /// Mapping epoch when it ended.
    #[serde(with = "hex64")]
    pub epoch_complete: u64,
    /// Name of the declared buffer that holds all of it, if one does.
    pub declared: Option<String>,
}

/// Whether the device read or wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessDirection {
    /// The device read guest memory.
    Read,
    /// The device wrote guest memory.
    Write,
}

/// How the bytes of an access travelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessPath {
    /// No byte moved.
    None,
    /// Through the mapped memory.
    Mapped,
    /// At least partly by message.
    Message,
    /// Nothing moved: the mapping table alone was asked.
    Probe,
}

/// Something that must not happen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Place in the order of everything the ledger saw.
    pub seq: u64,
    /// What happened.
    pub kind: ViolationKind,
    /// The requester.
    pub function: FunctionName,
    /// The engine's channel; null for a request of the control socket.
    pub channel: Option<u32>,
    /// First byte concerned.
    #[serde(with = "iova")]
    pub iova: Iova,
    /// Length in bytes.
    #[serde(with = "hex64")]
    pub length: u64,
    /// Mapping epoch at that moment.
    #[serde(with = "hex64")]
    pub epoch: u64,
    /// Name of the declared buffer concerned, if one is.
    pub declared: Option<String>,
    /// One sentence for people.
    pub detail: String,
}

/// Kinds of [`Violation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ViolationKind {
    /// An access not wholly inside one declared buffer; judged only while any buffer is declared.
    OutsideDeclared,
    /// The device wrote a to-device buffer, or read a from-device one.
    WrongDirection,
    /// An access to a buffer that was undeclared.
    AfterFree,
    /// A mapping was removed under a request that was under way.
    InFlightAcrossUnmap,
    /// The table knows no such mapping, yet the platform let the message through.
    FallbackSucceeded,
    /// A descriptor changed while it was the device's.
    DescriptorChanged,
    /// A chain of descriptors leads in a circle, too far, or to where no descriptor can be.
    BadChain,
    /// At unmap or reset a live register still points into what goes away.
    Dangling,
}

/// One page of the ledger, in the order of `seq`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerPage {
    /// Accesses still in the ring.
    pub records: Vec<AccessRecord>,
    /// Violations.
    pub violations: Vec<Violation>,
    /// Pass it as the next `from`.
    pub next: u64,
    /// Whether more lies there already.
    pub more: bool,
    /// Accesses that fell out of the ring since the last clear.
    pub dropped_records: u64,
    /// Violations beyond the bound since the last clear.
    pub dropped_violations: u64,
}
