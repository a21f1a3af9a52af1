//! Names and named bits of the registers, for the report of what a driver has touched.

use dmarig_abi::registers as abi;
use endpoint::{FieldInfo, RegisterInfo};

use super::{RegisterId, Row};

/// What a driver may do to a register.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Read,
    Write,
    Both,
}

/// A row of the tables in words; `base` is that of its channel.
pub(super) fn info(row: &Row, base: u64) -> RegisterInfo {
    let (offset, width_bytes, register) = *row;
    let (name, allowed) = describe(register);
    RegisterInfo {
        name: name.into(),
        bar: u8::try_from(abi::DUT_REGISTER_BAR).expect("the ABI's BAR numbers are below 6"),
        offset: base + offset,
        width_bytes,
        is_readable: allowed != Use::Write,
        is_writable: allowed != Use::Read,
        is_partial: true,
        fields: fields(register)
            .iter()
            .map(|&(name, mask)| FieldInfo {
                name: name.into(),
                mask: mask.into(),
            })
            .collect(),
    }
}

fn describe(register: RegisterId) -> (&'static str, Use) {
    match register {
        RegisterId::Id => ("ID", Use::Read),
        RegisterId::Version => ("VERSION", Use::Read),
        RegisterId::Capabilities => ("CAPABILITIES", Use::Read),
        RegisterId::Control => ("CONTROL", Use::Both),
        RegisterId::Scratch => ("SCRATCH", Use::Both),
        RegisterId::InterruptCause => ("INTERRUPT_CAUSE", Use::Both),
        RegisterId::InterruptEnable => ("INTERRUPT_ENABLE", Use::Both),
        RegisterId::InterruptCauseHigh => ("INTERRUPT_CAUSE_HIGH", Use::Both),
        RegisterId::InterruptEnableHigh => ("INTERRUPT_ENABLE_HIGH", Use::Both),
        RegisterId::MappingEpoch => ("MAPPING_EPOCH", Use::Read),
        RegisterId::Command => ("CH_COMMAND", Use::Write),
        RegisterId::Status => ("CH_STATUS", Use::Read),
        RegisterId::Source => ("CH_SOURCE", Use::Both),
        RegisterId::Destination => ("CH_DESTINATION", Use::Both),
        RegisterId::Length => ("CH_LENGTH", Use::Both),
        RegisterId::Seed => ("CH_SEED", Use::Both),
        RegisterId::Crc => ("CH_CRC", Use::Read),
        RegisterId::MismatchBytes => ("CH_MISMATCH_BYTES", Use::Read),
        RegisterId::MismatchOffset => ("CH_MISMATCH_OFFSET", Use::Read),
        RegisterId::DoneBytes => ("CH_DONE_BYTES", Use::Read),
        RegisterId::Epoch => ("CH_EPOCH", Use::Read),
        RegisterId::RingBase => ("CH_RING_BASE", Use::Both),
        RegisterId::CompletionBase => ("CH_COMPLETION_BASE", Use::Both),
        RegisterId::RingEntries => ("CH_RING_ENTRIES", Use::Both),
        RegisterId::RingControl => ("CH_RING_CONTROL", Use::Both),
        RegisterId::RingTail => ("CH_RING_TAIL", Use::Both),
        RegisterId::RingHead => ("CH_RING_HEAD", Use::Read),
        RegisterId::RingStatus => ("CH_RING_STATUS", Use::Read),
        RegisterId::IndexAddress => ("CH_INDEX_ADDRESS", Use::Both),
    }
}

fn fields(register: RegisterId) -> &'static [(&'static str, u32)] {
    match register {
        RegisterId::Capabilities => &[("CHANNELS", 0xff), ("ADDRESS_WIDTH", 0xff00)],
        RegisterId::Control => &[("RESET", abi::CONTROL_RESET)],
        RegisterId::Command => &[("OPCODE", 0xffff), ("FLAGS", 0xffff_0000)],
        RegisterId::Status => &[
            ("STATUS", 0xffff),
            ("BUSY", abi::CH_STATUS_BUSY),
            ("MESSAGE", abi::CH_STATUS_MESSAGE),
        ],
        RegisterId::RingControl => &[("ENABLE", abi::RING_ENABLE)],
        _ => &[],
    }
}
