//! Results of every method.

use std::collections::BTreeMap;

use dmarig_abi::{Iova, completion};
use serde::{Deserialize, Serialize};

use crate::FunctionName;
use crate::encoding::{bytes, hex64, hex64_option, iova, iova_option};
use crate::iommu::IommuFault;
use crate::request::{BufferDirection, Sabotage};

/// Nothing to tell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

/// Who answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// `dmarig-device`.
    pub name: String,
    /// Version of the package.
    pub version: String,
    /// Process ID.
    pub pid: u32,
    /// Version of mailbox, programs and operations.
    pub abi_version: u32,
}

/// Connections and counters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Each function by name.
    pub functions: BTreeMap<FunctionName, FunctionStatus>,
    /// Since the start of the process.
    pub counters: Counters,
    /// What the process has given up.
    pub sandbox: SandboxState,
}

/// What the device process has given up; the default is nothing (`--no-sandbox`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxState {
    /// Files, network, signals to others.
    pub landlock: LandlockState,
    /// Whether all system calls but those of a list end the process.
    pub seccomp: bool,
}

/// How far Landlock restricts the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LandlockState {
    /// Not at all: not asked for, or not in this kernel.
    #[default]
    Off,
    /// As far as an older kernel can.
    Partial,
    /// In all that was asked for.
    Full,
}

/// One function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionStatus {
    /// Whether QEMU is connected.
    pub connected: bool,
    /// Whether the command register allows DMA.
    pub bus_master: bool,
    /// 0 for D0, 3 for D3hot.
    pub power_state: u8,
    /// MSI-X vectors that have an eventfd now.
    pub bound_vectors: u32,
    /// Whether the link is up.
    pub link_up: bool,
}

/// Counts since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Connections of QEMU accepted, all functions.
    pub connections: u64,
    /// Connections refused because one is there already.
    pub refused_connections: u64,
    /// Connections ended because of a protocol violation.
    pub protocol_errors: u64,
    /// vfio-user requests answered with an error.
    pub rejected_messages: u64,
    /// DMA_READ and DMA_WRITE messages sent.
    pub message_dma: u64,
    /// DMA messages that were not answered in time.
    pub message_timeouts: u64,
    /// Replies that came for no open DMA message.
    pub late_replies: u64,
    /// Vectors raised.
    pub interrupts: u64,
    /// Vectors to be raised that had no eventfd.
    pub lost_interrupts: u64,
    /// Control clients disconnected because they did not read.
    pub slow_control_clients: u64,
}

/// Whether a driver reads the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxState {
    /// As the guest wrote it.
    pub guest_state: GuestState,
}

/// The guest's side of the mailbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GuestState {
    /// No driver has come yet.
    Absent,
    /// The driver reads requests.
    Attached,
    /// The driver has been stopped or removed.
    Detached,
    /// The guest wrote a value that has no meaning.
    Unknown,
}

/// The guest's answer to a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailboxResponse {
    /// The response window up to the length that the guest gave; not looked into.
    #[serde(with = "bytes")]
    pub response: Vec<u8>,
}

/// One page of mappings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mappings {
    /// The mapping epoch of this page; when it differs between pages, list again.
    #[serde(with = "hex64")]
    pub epoch: u64,
    /// In ascending order.
    pub mappings: Vec<MappingRun>,
    /// Pass it as the next `start`; null at the end.
    #[serde(with = "iova_option")]
    pub next: Option<Iova>,
}

/// Neighboring mappings that are contiguous in IOVA and in their file, with the same permissions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingRun {
    /// First byte.
    #[serde(with = "iova")]
    pub iova: Iova,
    /// Size in bytes.
    #[serde(with = "hex64")]
    pub size: u64,
    /// What the device may do.
    pub permissions: Permissions,
    /// What lies there.
    pub backing: Backing,
}

/// What a mapping permits. Write-only cannot be told: the platform announces it as read-write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Permissions {
    /// Read.
    #[serde(rename = "r")]
    Read,
    /// Write.
    #[serde(rename = "w")]
    Write,
    /// Read and write.
    #[serde(rename = "rw")]
    ReadWrite,
    /// Neither.
    #[serde(rename = "none")]
    None,
}

/// What lies behind a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Backing {
    /// Guest memory that the device has mapped.
    Memory {
        /// Offset in the memory file.
        #[serde(with = "hex64")]
        file_offset: u64,
    },
    /// No usable file: each access goes by message.
    Message,
}

/// Counts of mappings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingsSummary {
    /// The mapping epoch.
    #[serde(with = "hex64")]
    pub epoch: u64,
    /// Runs, as `mappings.list` would give them.
    pub mappings: u64,
    /// Bytes mapped.
    #[serde(with = "hex64")]
    pub bytes: u64,
    /// Whether memory was unmapped since QEMU connected, the sign that the guest turned
    /// translation on.
    pub first_unmap_seen: bool,
}

/// A mapping epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// Counts every change of the function's mappings.
    #[serde(with = "hex64")]
    pub epoch: u64,
}

/// How a DMA request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DmaOutcome {
    /// The status code by name.
    pub status: DmaStatus,
    /// CRC-32C of the bytes read (verify, CRC, copy) or written (pattern, fill).
    pub crc32c: u32,
    /// Bytes moved before the end.
    #[serde(with = "hex64")]
    pub done_bytes: u64,
    /// Offset of the first differing byte.
    #[serde(with = "hex64_option")]
    pub mismatch_offset: Option<u64>,
    /// The byte expected there.
    pub expected: u8,
    /// The byte seen there.
    pub seen: u8,
    /// The first byte that was refused, where one was.
    #[serde(with = "iova_option")]
    pub fault_iova: Option<Iova>,
    /// Whether at least one access went by message.
    pub by_message: bool,
    /// What was remarkable on the way.
    pub path_findings: Vec<PathFinding>,
    /// Mapping epoch when it was issued.
    #[serde(with = "hex64")]
    pub epoch_issue: u64,
    /// Mapping epoch when it ended.
    #[serde(with = "hex64")]
    pub epoch_complete: u64,
}

/// Something remarkable on the way of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathFinding {
    /// What it was.
    pub kind: PathFindingKind,
    /// The first byte concerned.
    #[serde(with = "iova")]
    pub iova: Iova,
}

/// Kinds of [`PathFinding`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathFindingKind {
    /// The table knows no permitting mapping, yet the platform let the message through.
    FallbackSucceeded,
}

/// How far a canonical trace has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceSummary {
    /// Records since the start of the process; none if the process was not told to record.
    pub records: Option<u64>,
    /// The ledger hash: SHA-256 of all of them, in hexadecimal.
    pub hash: Option<String>,
    /// Whether the event log has come to its bound, or could not be written.
    pub log_is_cut: bool,
}

/// A declared buffer's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BufferId {
    /// For `buffer.undeclare`.
    pub id: u32,
}

/// Declared buffers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buffers {
    /// In the order of their IDs.
    pub buffers: Vec<Buffer>,
    /// Pass it as the next `from`; null at the end.
    pub next: Option<u32>,
}

/// A declared buffer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Buffer {
    /// Its number.
    pub id: u32,
    /// Who may access it.
    pub function: FunctionName,
    /// For reports.
    pub name: String,
    /// First byte.
    #[serde(with = "iova")]
    pub iova: Iova,
    /// Length in bytes.
    #[serde(with = "hex64")]
    pub length: u64,
    /// Who writes it.
    pub direction: BufferDirection,
}

/// One page of the rules of fault injection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRules {
    /// In the order of the rule file.
    pub rules: Vec<FaultRule>,
    /// Where the next page begins; null if this is the last.
    pub next: Option<u32>,
}

/// What a rule has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRule {
    /// Its name.
    pub name: String,
    /// The point at which it looks.
    pub event: String,
    /// What it does.
    pub effect: String,
    /// Whether a run is good in which it never struck.
    pub optional: bool,
    /// Accesses that it meant, on all channels.
    pub hits: u64,
    /// Those that it struck.
    pub fired: u64,
    /// The same by channel; channels that it never saw are left out.
    pub channels: Vec<FaultHits>,
}

/// What a rule has done on one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultHits {
    /// The channel; null for what belongs to none, and for the control socket's own requests.
    pub channel: Option<u32>,
    /// Accesses that the rule meant.
    pub hits: u64,
    /// Those that it struck.
    pub fired: u64,
    /// The number of the last one struck, from 1; 0 if none was.
    pub last_fired_hit: u64,
}

/// The points of fault injection that were passed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultPoints {
    /// In the order of the data; null if nobody counts.
    pub points: Option<Vec<FaultPoint>>,
}

/// How often a point was passed on a channel: its hits are 1 to `hits`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultPoint {
    /// The point, as rule files call it.
    pub point: String,
    /// The channel; null for what belongs to none.
    pub channel: Option<u32>,
    /// How often.
    pub hits: u64,
}

/// Sabotages set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sabotages {
    /// By name.
    pub sabotages: Vec<SabotageState>,
}

/// One sabotage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SabotageState {
    /// Which one.
    pub name: Sabotage,
    /// How often it will strike yet; null for always.
    pub times_left: Option<u32>,
    /// How often it has struck.
    pub struck: u64,
}

/// Invalidations that have not taken effect yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IommuPending {
    /// How many.
    pub pending: usize,
}

/// What the DUT's own remapping unit has recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IommuFaults {
    /// The records, oldest first; they are gone now.
    pub faults: Vec<IommuFault>,
    /// Whether a fault was lost because the registers were full. Cleared now.
    pub overflow: bool,
    /// Faults recorded since the unit was turned on.
    pub recorded: u64,
    /// Faults dropped because their requester had a record pending.
    pub compressed: u64,
    /// Faults lost because the registers were full.
    pub lost: u64,
    /// Faults that a context entry's FPD bit kept from being recorded.
    pub suppressed: u64,
    /// Translations that the IOTLB had.
    pub iotlb_hits: u64,
    /// Translations that were walked to in memory.
    pub iotlb_misses: u64,
}

/// Declares [`DmaStatus`] beside the codes of the ABI, so that neither list can lag behind.
macro_rules! dma_status {
    ($( $(#[$doc:meta])* $name:ident = $code:path; )*) => {
        /// `DMA_STATUS_*` by name.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum DmaStatus { $( $(#[$doc])* $name ),* }

        impl DmaStatus {
            /// The name of a code, or `None` if the ABI has no such code.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Self> {
                match code { $( $code => Some(Self::$name), )* _ => None }
            }

            /// The ABI's code.
            #[must_use]
            pub const fn code(self) -> u16 {
                match self { $( Self::$name => $code ),* }
            }
        }
    };
}

dma_status! {
    /// No request has ended yet.
    None = completion::DMA_STATUS_NONE;
    /// All bytes moved, and compared equal.
    Success = completion::DMA_STATUS_SUCCESS;
    /// At least one byte differs from the pattern.
    Mismatch = completion::DMA_STATUS_MISMATCH;
    /// No mapping covers the IOVA.
    Unmapped = completion::DMA_STATUS_UNMAPPED;
    /// The mapping does not permit this access.
    Permission = completion::DMA_STATUS_PERMISSION;
    /// Bus mastering is off.
    BusMasterOff = completion::DMA_STATUS_BUS_MASTER_OFF;
    /// The function is not in D0.
    PowerState = completion::DMA_STATUS_POWER_STATE;
    /// The length is zero.
    Length = completion::DMA_STATUS_LENGTH;
    /// The range passes 2^64 - 1 or the address width.
    Address = completion::DMA_STATUS_ADDRESS;
    /// The operation or a flag is not known.
    Opcode = completion::DMA_STATUS_OPCODE;
    /// Reset or disconnected while under way.
    Aborted = completion::DMA_STATUS_ABORTED;
    /// A DMA message was not answered in time.
    Timeout = completion::DMA_STATUS_TIMEOUT;
    /// The platform refused what the table permits.
    Refused = completion::DMA_STATUS_REFUSED;
    /// A ring register is wrong.
    Ring = completion::DMA_STATUS_RING;
    /// The channel is busy.
    Busy = completion::DMA_STATUS_BUSY;
    /// Answered with Unsupported Request.
    UnsupportedRequest = completion::DMA_STATUS_UNSUPPORTED_REQUEST;
    /// Answered with Completer Abort.
    CompleterAbort = completion::DMA_STATUS_COMPLETER_ABORT;
    /// Answered with poisoned data.
    Poisoned = completion::DMA_STATUS_POISONED;
    /// A scatter-gather list is wrong, or holds too little.
    List = completion::DMA_STATUS_LIST;
    /// A chain of descriptors cannot be followed.
    Chain = completion::DMA_STATUS_CHAIN;
    /// An address is not aligned as the device wants it.
    Alignment = completion::DMA_STATUS_ALIGNMENT;
    /// A range crosses the device's boundary.
    Boundary = completion::DMA_STATUS_BOUNDARY;
}
