//! Power management. Section 7.5.2.

use super::CapabilityList;
use crate::registers::{Behavior, Registers};

const ID: u8 = 0x01;
const LEN: usize = 8;
/// Capabilities: version 3; no D1, D2 and PME.
const CAPABILITIES: u16 = 0x0003;
/// Offset of control and status.
const CONTROL: usize = 4;
/// State bits of control.
const STATE_MASK: u16 = 0x0003;
/// No_Soft_Reset: coming back from D3hot keeps the registers.
const NO_SOFT_RESET: u16 = 0x0008;

/// Power state of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PowerState {
    /// On.
    #[default]
    D0,
    /// Off, configuration space apart.
    D3Hot,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct PowerCapability {
    offset: usize,
}

impl PowerCapability {
    pub(crate) fn install(registers: &mut Registers, list: &mut CapabilityList) -> Self {
        let offset = list.add(registers, ID, LEN);
        registers.define_u16(offset + 2, CAPABILITIES, Behavior::READ_ONLY);
        let state = Behavior::writable(STATE_MASK.into());
        registers.define_u16(offset + CONTROL, NO_SOFT_RESET, state);
        Self { offset }
    }

    pub(crate) fn state(&self, registers: &Registers) -> PowerState {
        match registers.get_u16(self.offset + CONTROL) & STATE_MASK {
            3 => PowerState::D3Hot,
            _ => PowerState::D0,
        }
    }

    /// Takes back a write of D1 or D2, which we do not have: such a write is completed and
    /// dropped (section 7.5.2.2, PowerState).
    pub(crate) fn settle(&self, registers: &mut Registers, before: PowerState) {
        let control = registers.get_u16(self.offset + CONTROL);
        if matches!(control & STATE_MASK, 1 | 2) {
            let state = match before {
                PowerState::D0 => 0,
                PowerState::D3Hot => 3,
            };
            registers.set_u16(self.offset + CONTROL, (control & !STATE_MASK) | state);
        }
    }
}
