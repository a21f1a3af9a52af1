//! The contract: rules, cases, expectations, and the verdict with its evidence. No I/O: a case talks
//! to the rig through the [`Rig`] trait alone, which the harness implements over the mailbox and the
//! control socket, and tests over a model.
//!
//! A case states what it does as [`Step`]s, which the driver in the guest runs, and judges by three
//! views: what the driver saw, what the device's own DMA saw, and which mappings the IOMMU announced.
#![forbid(unsafe_code)]

mod awaiting;
mod bench;
mod case;
mod cases;
mod device_description;
pub mod explore;
mod extended_config;
mod finding;
mod framework;
mod nt_status;
mod oracle;
mod profile;
mod rig;
mod rule;
mod severity;
mod step;

pub use awaiting::awaiting;
pub use bench::Bench;
pub use case::{Case, CaseOutcome, CaseReport, Tag};
pub use cases::{SUITES, Suite, cases};
pub use device_description::DeviceDescription;
pub use extended_config::{ExtendedConfig, HardwareAccess};
pub use finding::{CaseEnd, Finding};
pub use framework::{
    CommonBufferConfig, DmaProfile, EnablerConfig, ObjectAttributes, Parent, QueueConfig,
    QueueDispatch,
};
pub use nt_status::NtStatus;
pub use profile::{
    Bounce, DEFAULT_PROFILE, DriverKind, EarlyProgram, GuestMemory, OWN_IOMMU_PLACE, Profile,
    SgCallback, Stop,
};
pub use rig::{
    BufferDeclaration, DeviceRequest, DeviceResult, IommuFault, Mapping, MappingView, PnpRequest,
    Pull, Remapping, Rig, RigError, Violation,
};
pub use rule::{Certainty, FAMILIES, Family, Rule, rule, rules};
pub use severity::Severity;
pub use step::{
    Action, Bytes, Completion, Creation, Deferred, FreedAs, QueueMode, Request, RequestForm,
    Routine, Step, StepResult, Transfer, TransferMode, VectorRequest,
};
