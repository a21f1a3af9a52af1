//! [`ControlChange`]: a call of the control socket that changes the device, as the event log keeps it.

use control_api::iommu::IommuOrder;
use control_api::request::{IommuEnable, Sabotage};
use control_api::response::Buffer;
use dmarig_abi::Iova;
use endpoint::Request;
use serde::{Deserialize, Serialize};

use super::Dut;
use crate::pci_front::Link;

/// One call, with its parameters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum ControlChange {
    /// `dma.submit`.
    Submit(Submitted),
    /// `buffer.declare`.
    Declare(Buffer),
    /// `buffer.undeclare`.
    Undeclare(u32),
    /// `ledger.clear`.
    ClearLedger,
    /// `sabotage.set`.
    SetSabotage(Sabotage, Option<u32>),
    /// `sabotage.clear`.
    ClearSabotages,
    /// `faults.load`.
    LoadFaults(String),
    /// `faults.clear`.
    ClearFaults,
    /// `faults.record`.
    CountPoints(bool),
    /// `link.set`.
    SetLink(Link),
    /// `iommu.enable`.
    EnableIommu(IommuEnable),
    /// `iommu.disable`.
    DisableIommu,
    /// `iommu.invalidate`.
    InvalidateIommu(IommuOrder),
    /// `iommu.wait`.
    WaitIommu,
    /// `iommu.faults`, which takes the records.
    TakeIommuFaults,
}

/// A [`Request`] as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Submitted {
    opcode: u16,
    flags: u16,
    tag: u64,
    source: u64,
    destination: u64,
    length_bytes: u64,
    seed: u64,
}

impl From<Request> for Submitted {
    fn from(request: Request) -> Self {
        // Taken apart by name, so that a new field is not forgotten here.
        let Request {
            opcode,
            flags,
            tag,
            source,
            destination,
            length_bytes,
            seed,
            // A descriptor's alone.
            source_elements: _,
            destination_elements: _,
            next: _,
        } = request;
        Self {
            opcode,
            flags,
            tag,
            source: source.raw(),
            destination: destination.raw(),
            length_bytes,
            seed,
        }
    }
}

impl From<Submitted> for Request {
    fn from(submitted: Submitted) -> Self {
        Self {
            opcode: submitted.opcode,
            flags: submitted.flags,
            tag: submitted.tag,
            source: Iova::new(submitted.source),
            destination: Iova::new(submitted.destination),
            length_bytes: submitted.length_bytes,
            seed: submitted.seed,
            ..Self::default()
        }
    }
}

impl ControlChange {
    /// Does it again. What was refused then is refused now.
    pub(super) fn apply(self, dut: &mut Dut) {
        match self {
            Self::Submit(request) => {
                dut.submit_host(request.into()).ok();
            }
            Self::Declare(buffer) => {
                dut.declare_buffer(buffer).ok();
            }
            Self::Undeclare(id) => {
                dut.undeclare_buffer(id);
            }
            Self::ClearLedger => dut.clear_ledger(),
            Self::SetSabotage(name, times) => dut.set_sabotage(name, times),
            Self::ClearSabotages => dut.clear_sabotages(),
            Self::LoadFaults(text) => {
                dut.load_faults(&text).ok();
            }
            Self::ClearFaults => dut.clear_faults(),
            Self::CountPoints(is_on) => dut.count_points(is_on),
            Self::SetLink(link) => dut.set_link(link),
            Self::EnableIommu(ask) => {
                dut.enable_iommu(&ask).ok();
            }
            Self::DisableIommu => dut.disable_iommu(),
            Self::InvalidateIommu(order) => {
                dut.invalidate_iommu(order).ok();
            }
            Self::WaitIommu => {
                dut.wait_iommu().ok();
            }
            Self::TakeIommuFaults => {
                dut.take_iommu_faults().ok();
            }
        }
    }
}
