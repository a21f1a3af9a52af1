//! The type 0 header but for the BARs. Section 7.5.1.

use crate::function_config::{FunctionConfigError, IdentityConfig, InterruptPin};
use crate::registers::{Behavior, Registers};

pub(crate) const COMMAND: usize = 0x04;
pub(crate) const IO_ENABLE: u16 = 1 << 0;
pub(crate) const MEMORY_ENABLE: u16 = 1 << 1;
pub(crate) const BUS_MASTER: u16 = 1 << 2;
const PARITY_ERROR_RESPONSE: u16 = 1 << 6;
const SERR_ENABLE: u16 = 1 << 8;
pub(crate) const INTERRUPT_DISABLE: u16 = 1 << 10;
/// Writable bits of command; I/O enable comes with I/O BARs.
const COMMAND_WRITABLE: u16 =
    MEMORY_ENABLE | BUS_MASTER | PARITY_ERROR_RESPONSE | SERR_ENABLE | INTERRUPT_DISABLE;

const STATUS: usize = 0x06;
const INTERRUPT_STATUS: u16 = 1 << 3;
const CAPABILITIES_LIST: u16 = 1 << 4;
/// Master data parity, signaled and received aborts, system error, parity error.
const STATUS_ERRORS: u16 = 0xf900;

/// An error that the function met as a requester, told in its status register (section 7.5.1.1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReceivedError {
    /// A Completion with Unsupported Request status.
    MasterAbort,
    /// A Completion with Completer Abort status.
    TargetAbort,
    /// A poisoned TLP.
    Parity,
}

impl ReceivedError {
    const fn status(self, responds_to_parity: bool) -> u16 {
        match self {
            Self::MasterAbort => 1 << 13,
            Self::TargetAbort => 1 << 12,
            Self::Parity if responds_to_parity => 1 << 15 | 1 << 8,
            Self::Parity => 1 << 15,
        }
    }
}

/// Sets the bits of an error in status; software clears them.
pub(crate) fn record_received(registers: &mut Registers, error: ReceivedError) {
    let responds_to_parity = registers.get_u16(COMMAND) & PARITY_ERROR_RESPONSE != 0;
    let bits = registers.get_u16(STATUS) | error.status(responds_to_parity);
    registers.set_u16(STATUS, bits);
}

/// Defines the registers, command and status apart.
pub(crate) fn define(
    registers: &mut Registers,
    identity: &IdentityConfig,
    pin: InterruptPin,
) -> Result<(), FunctionConfigError> {
    let class = identity.class;
    if class > 0x00ff_ffff {
        return Err(FunctionConfigError::Class { class });
    }
    if identity.vendor_id == 0xffff {
        return Err(FunctionConfigError::Vendor);
    }
    let read_only = Behavior::READ_ONLY;
    registers.define_u16(0x00, identity.vendor_id, read_only);
    registers.define_u16(0x02, identity.device_id, read_only);
    registers.define_u32(0x08, class << 8 | u32::from(identity.revision), read_only);
    let cache_line_size = Behavior::writable(0xff);
    registers.define_u8(0x0c, 0, cache_line_size);
    registers.define_u16(0x2c, identity.subsystem_vendor_id, read_only);
    registers.define_u16(0x2e, identity.subsystem_id, read_only);
    let interrupt_line = Behavior::writable(0xff);
    registers.define_u8(0x3c, 0, interrupt_line);
    registers.define_u8(0x3d, pin.register(), read_only);
    Ok(())
}

/// Defines command and status. A function without I/O BARs has no I/O enable.
pub(crate) fn define_command(registers: &mut Registers, has_io: bool, has_capabilities: bool) {
    let io = if has_io { IO_ENABLE } else { 0 };
    let command = Behavior::writable((COMMAND_WRITABLE | io).into());
    registers.define_u16(COMMAND, 0, command);
    let status = Behavior {
        write_one_clears: STATUS_ERRORS.into(),
        ..Behavior::READ_ONLY
    };
    let capabilities = if has_capabilities {
        CAPABILITIES_LIST
    } else {
        0
    };
    registers.define_u16(STATUS, capabilities, status);
}

/// Shows in status whether the function wants its interrupt pin.
pub(crate) fn set_interrupt_status(registers: &mut Registers, is_asserted: bool) {
    let others = registers.get_u16(STATUS) & !INTERRUPT_STATUS;
    let bit = if is_asserted { INTERRUPT_STATUS } else { 0 };
    registers.set_u16(STATUS, others | bit);
}
