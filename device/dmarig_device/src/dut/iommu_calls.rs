//! What the control socket does with the DUT's own remapping unit.

use control_api::iommu::{IommuInvalidation, IommuOrder, IommuSettings};
use control_api::request::IommuEnable;
use control_api::response::{IommuFaults, IommuPending};
use iommu::vtd::{
    ConfigError, Invalidation, InvalidationError, InvalidationMode, RemappingUnit, UnitConfig,
};
use recording::trace::{RemappingRecord, TraceRecord};
use thiserror::Error;

use super::Dut;
use super::built_in_unit::BuiltInUnit;
use super::control_change::ControlChange;
use super::iommu_records;
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
    /// Puts a remapping unit in front of the platform's mappings: with the settings asked for, else with
    /// those of the device file, else with the default.
    pub(crate) fn enable_iommu(&mut self, ask: &IommuEnable) -> Result<(), IommuCallError> {
        let built_in = self.built_in_unit.as_ref().map(BuiltInUnit::config);
        let asked = ask.settings.as_ref().map(config);
        let mut remapping =
            Remapping::try_new(asked.or(built_in).unwrap_or_default(), ask.requester)?;
        self.note_change(|| ControlChange::EnableIommu(ask.clone()));
        remapping.registers_mut().enable(ask.root);
        self.memory.set_remapping(Some(remapping));
        self.ledger
            .note(|| iommu_records::enabled(ask.root, ask.requester));
        Ok(())
    }

    /// Takes the unit away; that of the device file is as after power-on.
    pub(crate) fn disable_iommu(&mut self) {
        self.note_change(|| ControlChange::DisableIommu);
        self.renew_built_in_unit();
        self.ledger
            .note(|| TraceRecord::Remapping(RemappingRecord::Disabled));
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
        self.ledger
            .note(|| TraceRecord::Remapping(RemappingRecord::Ordered { order }));
        Ok(pending)
    }

    /// Carries out every invalidation ordered so far.
    pub(crate) fn wait_iommu(&mut self) -> Result<IommuPending, IommuCallError> {
        let unit = self.iommu()?;
        let orders = unit.wait();
        let pending = pending(unit);
        self.note_change(|| ControlChange::WaitIommu);
        self.ledger
            .note(|| TraceRecord::Remapping(RemappingRecord::Waited { orders }));
        Ok(pending)
    }

    /// Takes the fault records.
    pub(crate) fn take_iommu_faults(&mut self) -> Result<IommuFaults, IommuCallError> {
        let unit = self.iommu()?;
        let overflow = unit.has_overflowed();
        let faults = unit
            .take_faults()
            .iter()
            .map(iommu_records::to_api)
            .collect();
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
