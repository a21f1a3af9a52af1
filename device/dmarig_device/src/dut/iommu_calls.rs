//! What the control socket does with the DUT's own remapping unit.

use control_api::iommu::{IommuFault, IommuInvalidation, IommuOrder, IommuSettings};
use control_api::request::IommuEnable;
use control_api::response::{IommuFaults, IommuPending};
use iommu::Access;
use iommu::vtd::{
    ConfigError, FaultRecord, Invalidation, InvalidationError, InvalidationMode, RemappingUnit,
    UnitConfig,
};
use thiserror::Error;

use super::Dut;
use super::control_change::ControlChange;
use super::remapping::Remapping;

/// Why a call did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum IommuCallError {
    /// There is no unit.
    #[error("the function has no remapping unit of its own; turn it on with iommu.enable")]
    NoUnit,
    /// No unit can have that setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The order cannot be taken.
    #[error(transparent)]
    Invalidation(#[from] InvalidationError),
}

impl Dut {
    /// Puts a remapping unit in front of the platform's mappings.
    pub(crate) fn enable_iommu(&mut self, ask: &IommuEnable) -> Result<(), IommuCallError> {
        let unit = RemappingUnit::try_new(config(&ask.settings), ask.root)?;
        self.note_change(|| ControlChange::EnableIommu(ask.clone()));
        let remapping = Remapping::new(unit, ask.requester);
        self.memory.set_remapping(Some(remapping));
        Ok(())
    }

    /// Takes the unit away.
    pub(crate) fn disable_iommu(&mut self) {
        self.note_change(|| ControlChange::DisableIommu);
        self.memory.set_remapping(None);
    }

    /// Orders an invalidation.
    pub(crate) fn invalidate_iommu(
        &mut self,
        order: IommuOrder,
    ) -> Result<IommuPending, IommuCallError> {
        let unit = self.iommu()?;
        unit.invalidate(invalidation(order))?;
        let pending = pending(unit);
        self.note_change(|| ControlChange::InvalidateIommu(order));
        Ok(pending)
    }

    /// Carries out every invalidation ordered so far.
    pub(crate) fn wait_iommu(&mut self) -> Result<IommuPending, IommuCallError> {
        let unit = self.iommu()?;
        unit.wait();
        let pending = pending(unit);
        self.note_change(|| ControlChange::WaitIommu);
        Ok(pending)
    }

    /// Takes the fault records.
    pub(crate) fn take_iommu_faults(&mut self) -> Result<IommuFaults, IommuCallError> {
        let unit = self.iommu()?;
        let overflow = unit.has_overflowed();
        let faults = unit.take_faults().iter().map(fault).collect();
        let (counters, caches) = (unit.fault_counters(), unit.cache_counters());
        self.note_change(|| ControlChange::TakeIommuFaults);
        Ok(IommuFaults {
            faults,
            overflow,
            recorded: counters.recorded,
            compressed: counters.compressed,
            lost: counters.lost,
            suppressed: counters.suppressed,
            iotlb_hits: caches.iotlb_hits,
            iotlb_misses: caches.iotlb_misses,
        })
    }

    fn iommu(&mut self) -> Result<&mut RemappingUnit, IommuCallError> {
        let remapping = self.memory.remapping_mut();
        remapping
            .map(Remapping::unit_mut)
            .ok_or(IommuCallError::NoUnit)
    }
}

fn config(settings: &IommuSettings) -> UnitConfig {
    UnitConfig {
        host_address_bits: settings.host_address_bits,
        guest_address_bits: settings.guest_address_bits,
        has_4_levels: settings.guest_address_bits > 39,
        context_entries: settings.context_entries,
        iotlb_entries: settings.iotlb_entries,
        invalidation: match settings.invalidation {
            IommuInvalidation::Immediate => InvalidationMode::Immediate,
            IommuInvalidation::Deferred { ticks } => InvalidationMode::Deferred { ticks },
        },
        fault_records: settings.fault_records,
        compresses_faults: settings.compress_faults,
        ..UnitConfig::default()
    }
}

const fn invalidation(order: IommuOrder) -> Invalidation {
    match order {
        IommuOrder::ContextGlobal => Invalidation::ContextGlobal,
        IommuOrder::ContextDomain { domain } => Invalidation::ContextDomain { domain },
        IommuOrder::ContextDevice {
            requester,
            masked_bits,
        } => Invalidation::ContextDevice {
            requester,
            masked_bits,
        },
        IommuOrder::IotlbGlobal => Invalidation::IotlbGlobal,
        IommuOrder::IotlbDomain { domain } => Invalidation::IotlbDomain { domain },
        IommuOrder::IotlbPages {
            domain,
            iova,
            address_mask,
        } => Invalidation::IotlbPages {
            domain,
            iova,
            address_mask,
        },
    }
}

fn pending(unit: &RemappingUnit) -> IommuPending {
    IommuPending {
        pending: unit.n_pending(),
    }
}

fn fault(record: &FaultRecord) -> IommuFault {
    IommuFault {
        requester: record.requester,
        iova: record.iova,
        write: record.access == Access::Write,
        reason: record.reason.code().into(),
        text: record.reason.to_string(),
        domain: record.domain,
    }
}
