//! What the bus driver does to a function when START, STOP, REMOVE and SET_POWER reach it.

use super::device::{Device, Vectors};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::pci::{self, RequesterId, capability, command};

const DECODING: u16 = command::BUS_MASTER | command::MEMORY | command::IO;

/// START: power, decoding, bus mastering, then the messages' table, which lies behind a BAR.
pub(super) fn turn_on(device: &Device) -> NtStatus {
    let id = device.function.id;
    set_power_state(id, 0);
    pci::update_command(id, DECODING, 0);
    match device.vectors {
        Some(Vectors::Messages { .. }) if pci::program_messages(id).is_err() => {
            status::INSUFFICIENT_RESOURCES
        }
        _ => status::SUCCESS,
    }
}

/// STOP and REMOVE: the function neither answers nor reaches memory any more.
pub(super) fn turn_off(id: RequesterId) {
    pci::update_command(id, 0, DECODING);
}

/// Writes the D-state (0 to 3) of a function that has power management.
pub(super) fn set_power_state(id: RequesterId, state: u32) {
    if let Some(capability) = pci::find_capability(id, capability::POWER_MANAGEMENT) {
        // PMCSR: the state in bits 1:0; PME_Status is cleared by a one, so it goes out as zero.
        let control = capability + 4;
        let kept = pci::read_config(id, control, 2) & !0x8003;
        pci::write_config(id, control, 2, kept | (state & 3));
    }
}
