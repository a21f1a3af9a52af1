//! Parameters of every method, each tied to its name and result by [`Method`].

use dmarig_abi::{GuestPhysAddr, Iova, RequesterId};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::FunctionName;
use crate::encoding::{bytes, guest_phys, hex64, iova, iova_option, requester_id};
use crate::iommu::{IommuOrder, IommuSettings};
use crate::response;

/// A method of the control socket: its parameters are the implementing type.
pub trait Method: Serialize + DeserializeOwned {
    /// The name in the `method` member.
    const NAME: &'static str;
    /// What a success returns.
    type Result: Serialize + DeserializeOwned;
}

/// Declares parameter types; `Name => "method" -> Result` ties each to its method.
macro_rules! methods {
    ($( $(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $kind:ty),* $(,)? }
        => $method:literal -> $result:ty; )*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub struct $name { $($(#[$field_doc])* pub $field: $kind),* }

            impl Method for $name {
                const NAME: &'static str = $method;
                type Result = $result;
            }
        )*

        /// The names of all methods, as `hello` and the error for an unknown method list them.
        pub const METHOD_NAMES: &[&str] = &[$($method),*];
    };
}

methods! {
    /// Asks who answers.
    Hello {} => "hello" -> response::Hello;

    /// Asks for connections and counters.
    Status {} => "status" -> response::Status;

    /// Asks whether a driver reads the mailbox.
    MailboxState {} => "mailbox.state" -> response::MailboxState;

    /// Waits until a driver reads the mailbox.
    MailboxWaitAttached {
        /// Longest wait.
        timeout_ms: u32,
    } => "mailbox.wait_attached" -> response::MailboxState;

    /// Gives the guest a program and waits for its response. One call at a time.
    MailboxCall {
        /// The whole program with its header, at most 28 KiB.
        #[serde(with = "bytes")]
        program: Vec<u8>,
        /// Longest wait for the response.
        timeout_ms: u32,
    } => "mailbox.call" -> response::MailboxResponse;

    /// Lists mappings as runs, contiguous in IOVA and in their file.
    MappingsList {
        /// Whose mappings.
        function: FunctionName,
        /// Lists from the first run that ends above this address.
        #[serde(with = "iova")]
        start: Iova,
        /// At most so many runs; the device gives at most 400.
        limit: u32,
    } => "mappings.list" -> response::Mappings;

    /// Counts mappings.
    MappingsSummary {
        /// Whose mappings.
        function: FunctionName,
    } => "mappings.summary" -> response::MappingsSummary;

    /// Waits until the mapping epoch is above the given one.
    MappingsWait {
        /// Whose mappings.
        function: FunctionName,
        /// The epoch already seen.
        #[serde(with = "hex64")]
        epoch: u64,
        /// Longest wait.
        timeout_ms: u32,
    } => "mappings.wait" -> response::Epoch;

    /// Lets the device do one DMA request that no driver asked for.
    DmaSubmit {
        /// Which function is the requester.
        function: FunctionName,
        /// What to do.
        op: DmaOp,
        /// How the bytes travel.
        path: DmaPath,
        /// Where to read (verify, CRC, copy) or write (pattern, fill).
        #[serde(with = "iova")]
        iova: Iova,
        /// Copy only: where to write.
        #[serde(default, with = "iova_option", skip_serializing_if = "Option::is_none")]
        destination: Option<Iova>,
        /// Length in bytes.
        #[serde(with = "hex64")]
        length: u64,
        /// Pattern seed; for fill its low byte.
        #[serde(default, with = "hex64")]
        seed: u64,
    } => "dma.submit" -> response::DmaOutcome;

    /// Tells the ledger of a buffer, byte-exact.
    BufferDeclare {
        /// Who may access it.
        function: FunctionName,
        /// At most 64 printable ASCII characters, for reports.
        name: String,
        /// First byte.
        #[serde(with = "iova")]
        iova: Iova,
        /// Length in bytes, 1 or more.
        #[serde(with = "hex64")]
        length: u64,
        /// Who writes it.
        direction: BufferDirection,
    } => "buffer.declare" -> response::BufferId;

    /// Tells the ledger that a buffer is free; later accesses are violations.
    BufferUndeclare {
        /// Whose.
        #[serde(default)]
        function: FunctionName,
        /// What `buffer.declare` returned.
        id: u32,
    } => "buffer.undeclare" -> response::Empty;

    /// Lists the declared buffers, by ID.
    BufferList {
        /// Whose.
        #[serde(default)]
        function: FunctionName,
        /// Lists from this ID.
        #[serde(default)]
        from: u32,
    } => "buffer.list" -> response::Buffers;

    /// Reads accesses and violations, oldest first.
    LedgerRead {
        /// Whose.
        #[serde(default)]
        function: FunctionName,
        /// First sequence number wanted; 0 for all that is kept.
        from: u64,
        /// At most so many records and violations together; the device gives at most 80.
        limit: u32,
    } => "ledger.read" -> crate::ledger::LedgerPage;

    /// Forgets accesses and violations of every device under test; sequence numbers go on, declared buffers stay.
    LedgerClear {} => "ledger.clear" -> response::Empty;

    /// Asks how far the canonical trace has come.
    TraceSummary {
        /// Whose trace.
        function: FunctionName,
    } => "trace.summary" -> response::TraceSummary;

    /// Lets the device misbehave, so that an oracle can be seen to turn red.
    SabotageSet {
        /// Whose.
        #[serde(default)]
        function: FunctionName,
        /// Which way.
        name: Sabotage,
        /// So many times; null for always.
        #[serde(default)]
        times: Option<u32>,
    } => "sabotage.set" -> response::Empty;

    /// Ends every sabotage of every device under test.
    SabotageClear {} => "sabotage.clear" -> response::Empty;

    /// Lists the sabotages set, and how often each has struck.
    SabotageList {
        /// Whose.
        #[serde(default)]
        function: FunctionName,
    } => "sabotage.list" -> response::Sabotages;

    /// Puts a remapping unit of the DUT's own in front of the platform's mappings.
    IommuEnable {
        /// Whose requests it sees.
        function: FunctionName,
        /// Under which number its tables have the function.
        #[serde(with = "requester_id")]
        requester: RequesterId,
        /// Where the root table lies: an address in what the platform maps for the function.
        #[serde(with = "guest_phys")]
        root: GuestPhysAddr,
        /// What the unit can do; left out, as the device file says, or else as the default has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        settings: Option<IommuSettings>,
    } => "iommu.enable" -> response::Empty;

    /// Takes the remapping unit away.
    IommuDisable {
        /// Whose.
        function: FunctionName,
    } => "iommu.disable" -> response::Empty;

    /// Orders an invalidation.
    IommuInvalidate {
        /// Whose unit.
        function: FunctionName,
        /// What to forget.
        order: IommuOrder,
    } => "iommu.invalidate" -> response::IommuPending;

    /// Carries out every invalidation ordered so far, as a wait descriptor does.
    IommuWait {
        /// Whose unit.
        function: FunctionName,
    } => "iommu.wait" -> response::IommuPending;

    /// Takes the fault records, oldest first, and clears the overflow flag.
    IommuFaults {
        /// Whose unit.
        function: FunctionName,
    } => "iommu.faults" -> response::IommuFaults;

    /// Begins the rules of a rule file in place of those before.
    FaultsLoad {
        /// Which device under test.
        function: FunctionName,
        /// The text of the rule file; what it says of the driver's calls is left to others.
        rules: String,
    } => "faults.load" -> response::Empty;

    /// Ends all rules; a link that one of them took down comes up.
    FaultsClear {
        /// Which device under test.
        function: FunctionName,
    } => "faults.clear" -> response::Empty;

    /// Tells what each rule has done.
    FaultsStatus {
        /// Which device under test.
        function: FunctionName,
        /// The first rule wanted, by its position.
        #[serde(default)]
        from: u32,
    } => "faults.status" -> response::FaultRules;

    /// Begins to count the points that the driver's work passes, or ends that.
    FaultsRecord {
        /// Which device under test.
        function: FunctionName,
        /// Whether to count from now on, from 0.
        on: bool,
    } => "faults.record" -> response::Empty;

    /// Tells the points passed since the counting began.
    FaultsPoints {
        /// Which device under test.
        function: FunctionName,
    } => "faults.points" -> response::FaultPoints;
    /// Asks what the driver has touched of the registers.
    RegistersCoverage {
        /// Whose registers.
        function: FunctionName,
        /// Number of the first register; the accesses without behavior come with 0.
        from: u32,
    } => "registers.coverage" -> crate::registers::RegisterCoverage;

    /// Resets a function as a bus reset would.
    FunctionReset {
        /// Which one.
        function: FunctionName,
    } => "function.reset" -> response::Empty;

    /// Brings the link of a device under test down or up. Down: every read gives ones, writes are
    /// dropped, no DMA, no interrupt, as when it is pulled out. Up again resets it.
    LinkSet {
        /// Whose link.
        function: FunctionName,
        /// What it becomes.
        link: LinkState,
    } => "link.set" -> response::Empty;

    /// Hangs up on QEMU, which reads ones of the function from then on. It must have left the machine
    /// (`device_del`) before the next reset: QEMU aborts otherwise.
    FunctionDisconnect {
        /// Which one.
        function: FunctionName,
    } => "function.disconnect" -> response::Empty;

    /// Stops the device process; it ends with exit code 0 after this answer.
    Stop {} => "stop" -> response::Empty;
}

/// What one DMA request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DmaOp {
    /// Writes the pattern of `seed`.
    WritePattern,
    /// Reads and compares with the pattern of `seed`.
    VerifyPattern,
    /// Reads and computes CRC-32C.
    Crc,
    /// Writes the low byte of `seed`.
    Fill,
    /// Reads from `iova`, writes to `destination`.
    Copy,
}

/// How the bytes of a request travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DmaPath {
    /// By the mapping; a miss or a permission violation is repeated as a message.
    Default,
    /// By message, through the platform's IOMMU.
    Message,
    /// Ask the mapping table only: touch nothing, send nothing.
    Probe,
}

/// What the link of a function does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// It carries everything.
    Up,
    /// It carries nothing.
    Down,
}

/// Who writes a declared buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BufferDirection {
    /// The device only reads.
    ToDevice,
    /// The device only writes.
    FromDevice,
    /// Both.
    Bidirectional,
}

/// A way of misbehaving on demand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sabotage {
    /// One bit of the payload that the device writes is flipped.
    DeviceFlipBit,
    /// A payload write is left out, and reported as done.
    DeviceSkipWrite,
    /// One byte more than asked is written.
    DeviceWritePastEnd,
    /// The request is reported as complete before its writes are done.
    DeviceCompleteEarly,
    /// The request's end is visible, and the interrupt that it asked for is never raised.
    DeviceLoseInterrupt,
    /// An unmapped address is still used with its old translation.
    DeviceStaleMapping,
    /// A fence of all channels passes at once.
    DevicePassFence,
    /// A chain of descriptors ends with its first one.
    DeviceIgnoreChain,
    /// The producer index of a completion ring is told one entry behind.
    DeviceStaleIndex,
    /// A descriptor that changes while it is the device's is not found.
    DeviceOverlookChange,
}

impl Sabotage {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 10] = [
        Self::DeviceFlipBit,
        Self::DeviceSkipWrite,
        Self::DeviceWritePastEnd,
        Self::DeviceCompleteEarly,
        Self::DeviceLoseInterrupt,
        Self::DeviceStaleMapping,
        Self::DevicePassFence,
        Self::DeviceIgnoreChain,
        Self::DeviceStaleIndex,
        Self::DeviceOverlookChange,
    ];
}
