//! [`Slot`]: a root port behind which a function may come and go (PCI Express base specification 5.0, sections
//! 6.7.1 and 7.5.3.9 to 7.5.3.11).

use super::RequesterId;
use super::config::{ConfigAccess, capability, find_capability, offset};

const FLAGS: u16 = 0x02;
const SLOT_CAPABILITIES: u16 = 0x14;
const SLOT_CONTROL: u16 = 0x18;
const SLOT_STATUS: u16 = 0x1A;

/// PCI Express capabilities register: a slot is behind the port.
const HAS_SLOT: u16 = 1 << 8;

const HAS_POWER_CONTROLLER: u32 = 1 << 1;
const IS_HOT_PLUG_CAPABLE: u32 = 1 << 6;
const REPORTS_NO_COMMAND_COMPLETED: u32 = 1 << 18;

const POWER_INDICATOR: u16 = 3 << 8;
const POWER_INDICATOR_ON: u16 = 1 << 8;
const POWER_INDICATOR_BLINKS: u16 = 2 << 8;
const POWER_INDICATOR_OFF: u16 = 3 << 8;
const POWER_OFF: u16 = 1 << 10;

const BUTTON_PRESSED: u16 = 1;
const PRESENCE_CHANGED: u16 = 1 << 3;
const COMMAND_COMPLETED: u16 = 1 << 4;
const IS_PRESENT: u16 = 1 << 6;
/// Attention button, power fault, latch, presence, command completed, link: cleared by a one.
const EVENTS: u16 = 0x11F;

/// Looks at a command that a slot is to complete; a port takes a second at most (section 7.5.3.10).
const COMPLETION_LOOKS: u32 = 100_000;

/// A hot-plug capable slot with a power controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The root port.
    pub port: RequesterId,
    /// The bus behind it, which has one device.
    pub bus: u8,
    /// Offset of the port's PCI Express capability.
    capability: u16,
    reports_completion: bool,
}

/// What a slot tells of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotStatus {
    /// Its attention button was pressed.
    pub is_button_pressed: bool,
    /// Something came or went.
    pub has_presence_changed: bool,
    /// Something is in it.
    pub is_present: bool,
    /// The bits of all events, also of those that nobody here looks at.
    events: u16,
}

/// What a slot's power controller and power indicator are told. Both at once: a port that gets the two one after the
/// other may see a state that is meant by nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlotPower {
    /// Power on, indicator on.
    On,
    /// Power stays on, indicator blinks: a transition is under way.
    Busy,
    /// Power off, indicator off: what is in the slot may be taken out.
    Off,
}

impl Slot {
    /// The slot of a port that was numbered.
    pub(super) fn find(config: &mut dyn ConfigAccess, port: RequesterId) -> Option<Self> {
        let capability = find_capability(config, port, capability::PCI_EXPRESS)?;
        if config.read_u16(port, capability + FLAGS) & HAS_SLOT == 0 {
            return None;
        }
        let able = config.read_u32(port, capability + SLOT_CAPABILITIES);
        let needed = IS_HOT_PLUG_CAPABLE | HAS_POWER_CONTROLLER;
        (able & needed == needed).then(|| Self {
            port,
            bus: config.read_u8(port, offset::SECONDARY_BUS),
            capability,
            reports_completion: able & REPORTS_NO_COMMAND_COMPLETED == 0,
        })
    }

    /// What it tells; its events stay.
    pub(super) fn read_status(&self, config: &mut dyn ConfigAccess) -> SlotStatus {
        let status = config.read_u16(self.port, self.capability + SLOT_STATUS);
        let has = |bit: u16| status & bit != 0;
        SlotStatus {
            is_button_pressed: has(BUTTON_PRESSED),
            has_presence_changed: has(PRESENCE_CHANGED),
            is_present: has(IS_PRESENT),
            events: status & EVENTS,
        }
    }

    /// Ends the events that were told. Only those: one that came since would be lost, and QEMU takes a one for an event
    /// that is not there as a mistake, and keeps them all.
    pub(super) fn clear_events(&self, config: &mut dyn ConfigAccess, told: SlotStatus) {
        if told.events != 0 {
            self.clear(config, told.events);
        }
    }

    /// Gives its power controller and power indicator a command, and waits until it is carried out.
    pub(super) fn set_power(&self, config: &mut dyn ConfigAccess, power: SlotPower) {
        let (indicator, controller) = match power {
            SlotPower::On => (POWER_INDICATOR_ON, 0),
            SlotPower::Busy => (POWER_INDICATOR_BLINKS, 0),
            SlotPower::Off => (POWER_INDICATOR_OFF, POWER_OFF),
        };
        let at = self.capability + SLOT_CONTROL;
        let kept = config.read_u16(self.port, at) & !(POWER_INDICATOR | POWER_OFF);
        self.clear_completed(config);
        config.write(self.port, at, 2, u32::from(kept | indicator | controller));
        let status = self.capability + SLOT_STATUS;
        for _ in 0..COMPLETION_LOOKS {
            let is_done = config.read_u16(self.port, status) & COMMAND_COMPLETED != 0;
            if is_done || !self.reports_completion {
                break;
            }
            core::hint::spin_loop();
        }
        self.clear_completed(config);
    }

    fn clear_completed(&self, config: &mut dyn ConfigAccess) {
        let status = config.read_u16(self.port, self.capability + SLOT_STATUS);
        if status & COMMAND_COMPLETED != 0 {
            self.clear(config, COMMAND_COMPLETED);
        }
    }

    fn clear(&self, config: &mut dyn ConfigAccess, events: u16) {
        config.write(
            self.port,
            self.capability + SLOT_STATUS,
            2,
            u32::from(events),
        );
    }
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
