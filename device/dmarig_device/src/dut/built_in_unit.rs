//! [`BuiltInUnit`]: the remapping unit that the device file gives the DUT, and its registers in a BAR.

use std::ops::Range;

use device_file::Iommu;
use dmarig_abi::RequesterId;
use iommu::vtd::{UnitConfig, window_bytes};

use super::remapping::Remapping;
use super::{Dut, iommu_records};

/// What the device file says of the unit.
#[derive(Clone, Debug)]
pub(super) struct BuiltInUnit {
    config: UnitConfig,
    requester: RequesterId,
    /// BAR and bytes of it where the registers lie.
    window: Option<(u8, Range<u64>)>,
}

impl BuiltInUnit {
    /// # Panics
    /// Never for a checked description.
    pub(super) fn new(section: &Iommu) -> Self {
        let config = section.unit_config();
        let start = section.register_offset;
        Self {
            config,
            requester: section
                .requester()
                .expect("a checked file names a function"),
            window: section
                .register_bar
                .map(|bar| (bar, start..start + window_bytes(&config))),
        }
    }

    pub(super) const fn config(&self) -> UnitConfig {
        self.config
    }

    /// The unit after power-on: off.
    pub(super) fn after_power_on(&self) -> Remapping {
        Remapping::try_new(self.config, self.requester)
            .expect("a checked file has a unit that can be")
    }
}

impl Dut {
    /// Brings the unit of the device file to its state after power-on, and takes any other away.
    pub(super) fn renew_built_in_unit(&mut self) {
        let unit = self.built_in_unit.as_ref();
        self.memory
            .set_remapping(unit.map(BuiltInUnit::after_power_on));
    }

    /// Which byte of the unit's registers an access to a BAR of the endpoint begins at, if it does.
    pub(super) fn unit_register(&self, bar: u8, offset: u64) -> Option<u64> {
        let (in_bar, bytes) = self.built_in_unit.as_ref()?.window.as_ref()?;
        (*in_bar == bar && bytes.contains(&offset)).then(|| offset - bytes.start)
    }

    /// Reads registers of the unit.
    pub(super) fn read_unit_registers(&mut self, at: u64, data: &mut [u8]) {
        data.fill(0);
        if let Some(unit) = self.memory.remapping_mut() {
            unit.registers_mut().read(at, data);
        }
    }

    /// Writes registers of the unit.
    pub(super) fn write_unit_registers(&mut self, at: u64, data: &[u8]) {
        let Some(unit) = self.memory.remapping_mut() else {
            return;
        };
        let requester = unit.requester();
        for effect in unit.registers_mut().write(at, data) {
            self.ledger
                .note(|| iommu_records::effect(effect, requester));
        }
    }
}
