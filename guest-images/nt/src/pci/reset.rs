//! Function-level reset (PCI Express base specification, section 6.6.2): the function forgets what was
//! programmed into it, so whoever asks for the reset gives it back what the system had programmed.

use super::{
    PciError, RequesterId, capability, command, find_capability, program_messages, read_config,
    update_command, write_config,
};
use crate::ke::wait;

const COMMAND: u16 = 0x04;
const BAR_0: u16 = 0x10;
const N_BARS: u16 = 6;
/// In the PCI Express capability: device capabilities, control, status, control 2.
const DEVICE_CAPABILITIES: u16 = 0x04;
const DEVICE_CONTROL: u16 = 0x08;
const DEVICE_STATUS: u16 = 0x0A;
const DEVICE_CONTROL_2: u16 = 0x28;
const HAS_FLR: u32 = 1 << 28;
const INITIATE_FLR: u32 = 1 << 15;
const TRANSACTIONS_PENDING: u32 = 1 << 5;
/// One millisecond, in units of 100 ns.
const MILLISECOND: i64 = -10_000;
/// How long a function may take to end what it has asked for, and how long it has for the reset.
const PENDING_MS: u32 = 100;
const RESET_MS: i64 = 100;

/// Where the PCI Express capability of a function lies that can be reset by itself.
#[must_use]
pub fn resettable(id: RequesterId) -> Option<u16> {
    let express = find_capability(id, capability::PCI_EXPRESS)?;
    let can = read_config(id, express + DEVICE_CAPABILITIES, 4);
    (can != u32::MAX && can & HAS_FLR != 0).then_some(express)
}

/// Resets one function; afterwards addresses, messages and bus mastering are as before. Waits; at
/// PASSIVE_LEVEL.
///
/// # Errors
/// [`PciError::NoCapability`] if it has no function-level reset; what [`program_messages`] says.
pub fn reset_function(id: RequesterId) -> Result<(), PciError> {
    let express = resettable(id).ok_or(PciError::NoCapability)?;
    let saved = Saved::read(id, express);
    update_command(
        id,
        command::INTX_DISABLE,
        command::IO | command::MEMORY | command::BUS_MASTER,
    );
    for _ in 0..PENDING_MS {
        if read_config(id, express + DEVICE_STATUS, 2) & TRANSACTIONS_PENDING == 0 {
            break;
        }
        wait::delay(MILLISECOND);
    }
    let control = saved.device_control | INITIATE_FLR;
    write_config(id, express + DEVICE_CONTROL, 2, control);
    wait::delay(MILLISECOND * RESET_MS);
    saved.restore(id, express)
}

/// What the system has programmed.
struct Saved {
    command: u32,
    bars: [u32; N_BARS as usize],
    device_control: u32,
    device_control_2: u32,
}

impl Saved {
    fn read(id: RequesterId, express: u16) -> Self {
        Self {
            command: read_config(id, COMMAND, 2),
            bars: core::array::from_fn(|index| read_config(id, bar(index), 4)),
            device_control: read_config(id, express + DEVICE_CONTROL, 2),
            device_control_2: read_config(id, express + DEVICE_CONTROL_2, 2),
        }
    }

    /// Messages come after the BAR that their table lies in, bus mastering after everything.
    fn restore(&self, id: RequesterId, express: u16) -> Result<(), PciError> {
        for (index, value) in self.bars.iter().enumerate() {
            write_config(id, bar(index), 4, *value);
        }
        write_config(id, express + DEVICE_CONTROL, 2, self.device_control);
        write_config(id, express + DEVICE_CONTROL_2, 2, self.device_control_2);
        let without_master = self.command & !u32::from(command::BUS_MASTER);
        write_config(id, COMMAND, 2, without_master);
        match program_messages(id) {
            // It interrupts by its line.
            Ok(()) | Err(PciError::NoCapability) => {}
            Err(error) => return Err(error),
        }
        write_config(id, COMMAND, 2, self.command);
        Ok(())
    }
}

fn bar(index: usize) -> u16 {
    BAR_0 + u16::try_from(index).expect("there are six") * 4
}
