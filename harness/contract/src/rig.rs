//! [`Rig`]: everything a case may do to guest and device, and the data that come back.

use std::fmt;

use dmarig_abi::{Iova, RequesterId};

use crate::nt_status::NtStatus;
use crate::step::{Step, StepResult};

/// Whether DMA remapping translates for the device under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Remapping {
    /// The IOMMU translates.
    On,
    /// The same machine with translation left disabled: identity.
    Off,
}

impl Remapping {
    /// `on` or `off`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// One announced range: `iova..iova + size_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub iova: Iova,
    /// Length in bytes.
    pub size_bytes: u64,
    /// Whether the device may write (it may always read: the platform announces write-only as both).
    pub writable: bool,
    /// Guest physical address of the first byte, or `None` where no memory is behind it that the
    /// device could map.
    pub guest_phys: Option<u64>,
}

/// The mapping set of the device under test at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappingView {
    /// Counts every change.
    pub epoch: u64,
    /// Ranges in ascending order, without overlap.
    pub mappings: Vec<Mapping>,
}

/// A fault that the guest's IOMMU recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IommuFault {
    /// VT-d fault reason (VT-d specification, section 7.1).
    pub reason: u32,
    /// Who asked.
    pub requester: RequesterId,
    /// The page.
    pub page: Iova,
    /// Whether the refused access was a write.
    pub is_write: bool,
}

/// A request to the device that comes from the harness, not from the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceRequest {
    /// One of `DMA_OP_*`.
    pub opcode: u16,
    /// Bits of `DESCRIPTOR_FLAG_*` (message, probe).
    pub flags: u16,
    /// First address.
    pub iova: Iova,
    /// Length in bytes.
    pub length_bytes: u64,
    /// Pattern seed or fill byte.
    pub seed: u64,
}

/// How a [`DeviceRequest`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceResult {
    /// One of `DMA_STATUS_*`.
    pub status: u16,
    /// CRC-32C of the bytes.
    pub crc32c: u32,
    /// Offset of the first mismatch.
    pub mismatch_offset: Option<u64>,
    /// Bytes moved (probe: bytes permitted).
    pub done_bytes: u64,
    /// Whether at least one access went by message.
    pub by_message: bool,
}

/// A buffer as told to the ledger: byte-exact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BufferDeclaration {
    /// Name in reports.
    pub name: String,
    /// First address.
    pub iova: Iova,
    /// Length in bytes.
    pub length_bytes: u64,
    /// The device may read it.
    pub device_reads: bool,
    /// The device may write it.
    pub device_writes: bool,
}

/// A violation that the ledger kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its kind, as the control socket names it.
    pub kind: String,
    /// The whole story in words.
    pub detail: String,
    /// The logical address.
    pub iova: Option<Iova>,
}

/// A PnP request that the driver of the device under test got, and what it answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PnpRequest {
    /// Its name, such as `REMOVE_DEVICE`; also `AddDevice`.
    pub irp: String,
    /// How it ended.
    pub status: NtStatus,
}

impl fmt::Display for PnpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.irp, self.status)
    }
}

/// How the device under test is pulled out without a word to anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pull {
    /// The link goes down: reads of registers and of what the device keeps of its configuration give all ones.
    LinkDown,
    /// The device hangs up on the platform: every read gives all ones.
    HangUp,
}

/// The rig broke under a case: guest gone, device gone, time over. The rig's owner knows the details;
/// this is the text for the report.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct RigError(pub String);

/// What a case may do. One implementation drives the real rig, one a model.
pub trait Rig {
    /// Whether remapping is on in this boot.
    fn remapping(&self) -> Remapping;

    /// How many devices under test the driver has started, at least 1.
    fn duts(&self) -> u32 {
        1
    }

    /// Which device under test all that follows is about, by the driver's number: mappings, requests,
    /// ledger, faults, requester. At first it is 0. Programs name their devices themselves.
    ///
    /// # Errors
    /// There is none of that number.
    fn turn_to(&mut self, dut: u32) -> Result<(), RigError> {
        if dut < self.duts() {
            return Ok(());
        }
        Err(RigError(format!(
            "there is no device under test {dut}, but {} from 0 on",
            self.duts()
        )))
    }

    /// Runs one program in the driver's context (`CONTEXT_*`) and returns one result per step.
    ///
    /// # Errors
    /// The rig broke, or the driver rejected the program.
    fn run(&mut self, context: u16, steps: &[Step]) -> Result<Vec<StepResult>, RigError>;

    /// What the driver answered to the last program of an early context (AddDevice, START_DEVICE, ...),
    /// which was made of these steps.
    ///
    /// # Errors
    /// The rig broke, or no such program was run.
    fn stored(&mut self, context: u16, steps: &[Step]) -> Result<Vec<StepResult>, RigError>;

    /// Gives the guest's system an order that is not the driver's to carry out, such as
    /// `pnp stop dut0`; returns its NTSTATUS.
    ///
    /// # Errors
    /// The rig broke, or this guest takes no such order.
    fn command(&mut self, line: &str) -> Result<NtStatus, RigError>;

    /// The mapping set of the device under test.
    ///
    /// # Errors
    /// The rig broke.
    fn mappings(&mut self) -> Result<MappingView, RigError>;

    /// Lets the device do one request by itself.
    ///
    /// # Errors
    /// The rig broke.
    fn device(&mut self, request: DeviceRequest) -> Result<DeviceResult, RigError>;

    /// Tells the ledger of a buffer; returns its id.
    ///
    /// # Errors
    /// The rig broke.
    fn declare(&mut self, declaration: &BufferDeclaration) -> Result<u64, RigError>;

    /// Tells the ledger that the buffer is gone.
    ///
    /// # Errors
    /// The rig broke.
    fn undeclare(&mut self, id: u64) -> Result<(), RigError>;

    /// Violations that came since the last call.
    ///
    /// # Errors
    /// The rig broke.
    fn take_violations(&mut self) -> Result<Vec<Violation>, RigError>;

    /// IOMMU faults that the guest reported since the last call; waits a moment for the first one if
    /// `expect_one`.
    ///
    /// # Errors
    /// The rig broke.
    fn take_faults(&mut self, expect_one: bool) -> Result<Vec<IommuFault>, RigError>;

    /// Findings that the guest itself reported since the last call (canaries, wrong frees), in words.
    ///
    /// # Errors
    /// The rig broke.
    fn take_guest_findings(&mut self) -> Result<Vec<String>, RigError>;

    /// Lets go wrong in the device what the text of a rule file tells, until [`Rig::clear_faults`].
    ///
    /// # Errors
    /// The rig broke, the text is no rule file, or this rig injects no faults.
    fn load_faults(&mut self, rules: &str) -> Result<(), RigError> {
        let _ = rules;
        Err(RigError("this rig injects no faults".into()))
    }

    /// How often the rules that were loaded last have struck, taken together.
    ///
    /// # Errors
    /// The rig broke, or injects no faults.
    fn fault_strikes(&mut self) -> Result<u64, RigError> {
        Err(RigError("this rig injects no faults".into()))
    }

    /// Ends the rules; a link that one of them took down comes up.
    ///
    /// # Errors
    /// The rig broke, or injects no faults.
    fn clear_faults(&mut self) -> Result<(), RigError> {
        Err(RigError("this rig injects no faults".into()))
    }

    /// Whether the device under test is in the machine.
    fn is_plugged(&self) -> bool {
        true
    }

    /// Asks the guest to let go of the device under test, and waits until it is out of the machine, or the guest
    /// keeps it. Gives the PnP requests that the driver got.
    ///
    /// # Errors
    /// The rig broke, nothing came of it in time, or in this boot the device cannot come and go.
    fn unplug(&mut self) -> Result<Vec<PnpRequest>, RigError> {
        Err(no_hot_plug())
    }

    /// Pulls the device under test out.
    ///
    /// # Errors
    /// The rig broke, or in this boot the device cannot come and go.
    fn pull(&mut self, how: Pull) -> Result<(), RigError> {
        let _ = how;
        Err(no_hot_plug())
    }

    /// Waits until the guest has noticed that the device under test is gone, and has let go of it. Gives the PnP
    /// requests that the driver got.
    ///
    /// # Errors
    /// The rig broke, nothing came of it in time, or in this boot the device cannot come and go.
    fn await_pulled(&mut self) -> Result<Vec<PnpRequest>, RigError> {
        Err(no_hot_plug())
    }

    /// Puts the device under test, which is out, into the machine, and waits until it is started. Gives the PnP
    /// requests that the driver got.
    ///
    /// # Errors
    /// The rig broke, nothing came of it in time, or in this boot the device cannot come and go.
    fn plug(&mut self) -> Result<Vec<PnpRequest>, RigError> {
        Err(no_hot_plug())
    }

    /// The device under test's requester ID as the guest assigned it, if known.
    fn requester(&self) -> Option<RequesterId>;
}

fn no_hot_plug() -> RigError {
    RigError("in this boot the device cannot come and go".into())
}
