//! Power management. Section 7.5.2.

use super::{CapabilityError, CapabilityList};
use crate::registers::{Behavior, Registers};

const ID: u8 = 0x01;
const LEN: usize = 8;
/// Capabilities: version 3; no PME.
const CAPABILITIES: u16 = 0x0003;
/// D1 and D2 are there.
const D1_SUPPORT: u16 = 1 << 9;
const D2_SUPPORT: u16 = 1 << 10;
/// Offset of control and status.
const CONTROL: usize = 4;
/// State bits of control.
const STATE_MASK: u16 = 0x0003;
/// No_Soft_Reset: coming back from D3hot keeps the registers.
const NO_SOFT_RESET: u16 = 0x0008;

/// Power state of a function; a later one is deeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum PowerState {
    /// On.
    #[default]
    D0,
    /// A light sleep.
    D1,
    /// A deeper sleep.
    D2,
    /// Off, configuration space apart.
    D3Hot,
}

impl PowerState {
    /// The number in the state bits.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::D0 => 0,
            Self::D1 => 1,
            Self::D2 => 2,
            Self::D3Hot => 3,
        }
    }

    const fn from_bits(bits: u16) -> Self {
        match bits & STATE_MASK {
            0 => Self::D0,
            1 => Self::D1,
            2 => Self::D2,
            _ => Self::D3Hot,
        }
    }
}

/// What the function can do in power management.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerConfig {
    /// D1 is there.
    pub d1: bool,
    /// D2 is there.
    pub d2: bool,
    /// Coming back from D3hot keeps the registers.
    pub no_soft_reset: bool,
}

impl Default for PowerConfig {
    fn default() -> Self {
        Self {
            d1: false,
            d2: false,
            no_soft_reset: true,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct PowerCapability {
    offset: usize,
    config: PowerConfig,
}

impl PowerCapability {
    pub(crate) fn install(
        registers: &mut Registers,
        list: &mut CapabilityList,
        config: PowerConfig,
    ) -> Result<Self, CapabilityError> {
        let offset = list.add(registers, ID, LEN)?;
        let flag = |is_set, bit| if is_set { bit } else { 0 };
        let capabilities = CAPABILITIES | flag(config.d1, D1_SUPPORT) | flag(config.d2, D2_SUPPORT);
        registers.define_u16(offset + 2, capabilities, Behavior::READ_ONLY);
        let state = Behavior::writable(STATE_MASK.into());
        let initial = flag(config.no_soft_reset, NO_SOFT_RESET);
        registers.define_u16(offset + CONTROL, initial, state);
        Ok(Self { offset, config })
    }

    pub(crate) fn state(&self, registers: &Registers) -> PowerState {
        PowerState::from_bits(registers.get_u16(self.offset + CONTROL))
    }

    /// Takes back a write of a state that is not there: it is completed and dropped (section 7.5.2.2,
    /// PowerState). So is one that no transition leads to: the only ways up lead to D0.
    pub(crate) fn settle(&self, registers: &mut Registers, before: PowerState) {
        let asked = self.state(registers);
        let is_there = match asked {
            PowerState::D0 | PowerState::D3Hot => true,
            PowerState::D1 => self.config.d1,
            PowerState::D2 => self.config.d2,
        };
        if !is_there || (asked < before && asked != PowerState::D0) {
            let others = registers.get_u16(self.offset + CONTROL) & !STATE_MASK;
            let state = u16::from(before.number());
            registers.set_u16(self.offset + CONTROL, others | state);
        }
    }

    /// Tells whether the way from one state to the other loses the registers.
    pub(crate) fn loses_registers(&self, from: PowerState, to: PowerState) -> bool {
        from == PowerState::D3Hot && to == PowerState::D0 && !self.config.no_soft_reset
    }
}
