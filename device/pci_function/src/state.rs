//! [`State`]: the named states of configuration space; effects are differences between two of them.

use crate::bar::Bars;
use crate::capability::CapabilitySet;
use crate::capability::msi::MsiState;
use crate::capability::msix::MsixState;
use crate::capability::pcie::TransferLimits;
use crate::capability::power::PowerState;
use crate::effect::ConfigEffect;
use crate::header::{BUS_MASTER, COMMAND, INTERRUPT_DISABLE, IO_ENABLE, MEMORY_ENABLE};
use crate::registers::Registers;

/// What the registers say now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) command: u16,
    pub(crate) power: PowerState,
    pub(crate) msi: MsiState,
    pub(crate) msix: MsixState,
    pub(crate) limits: TransferLimits,
    pub(crate) bars: Vec<(u8, u64)>,
}

impl State {
    pub(crate) fn observe(
        registers: &Registers,
        bars: &Bars,
        capabilities: &CapabilitySet,
    ) -> Self {
        Self {
            command: registers.get_u16(COMMAND),
            power: capabilities.power_state(registers),
            msi: capabilities.msi_state(registers),
            msix: capabilities.msix_state(registers),
            limits: capabilities.transfer_limits(registers),
            bars: bars.addresses(registers),
        }
    }

    /// What has changed since `before`.
    pub(crate) fn differences(&self, before: &Self) -> Vec<ConfigEffect> {
        let after = self;
        let mut effects = Vec::new();
        let changed = before.command ^ after.command;
        for (bit, effect) in [
            (BUS_MASTER, ConfigEffect::BusMaster as fn(bool) -> _),
            (MEMORY_ENABLE, ConfigEffect::MemoryEnable),
            (IO_ENABLE, ConfigEffect::IoEnable),
            (INTERRUPT_DISABLE, ConfigEffect::InterruptDisable),
        ] {
            if changed & bit != 0 {
                effects.push(effect(after.command & bit != 0));
            }
        }
        if before.power != after.power {
            effects.push(ConfigEffect::PowerState(after.power));
        }
        if before.msi != after.msi {
            let MsiState { enabled, n_vectors } = after.msi;
            effects.push(ConfigEffect::Msi { enabled, n_vectors });
        }
        if before.msix != after.msix {
            let MsixState { enabled, masked } = after.msix;
            effects.push(ConfigEffect::Msix { enabled, masked });
        }
        if before.limits != after.limits {
            effects.push(ConfigEffect::TransferLimits(after.limits));
        }
        let moved = before.bars.iter().zip(&after.bars);
        effects.extend(
            moved
                .filter(|(old, new)| old != new)
                .map(|(_, (index, address))| ConfigEffect::BarWritten {
                    index: *index,
                    address: *address,
                }),
        );
        effects
    }
}
