//! PCI Express capability of an endpoint. Section 7.5.3.

use super::CapabilityList;
use crate::registers::{Behavior, Registers};

const ID: u8 = 0x10;
const LEN: usize = 0x3c;
/// Capabilities register: version 2, endpoint.
const CAPABILITIES: u16 = 0x0002;
/// Device capabilities: payload to 4 KiB, extended tags, role-based errors, function-level reset.
const DEVICE_CAPABILITIES: u32 = MAX_SIZE_CODE as u32 | 1 << 5 | 1 << 15 | 1 << 28;
/// Greatest code of payload and read request size: 128 << 5 = 4 KiB.
const MAX_SIZE_CODE: u16 = 5;

/// Offset of device control.
const DEVICE_CONTROL: usize = 0x08;
/// The four error reporting enable bits.
const ERROR_REPORTING: u16 = 0x000f;
/// Relaxed ordering and no snoop.
const ORDERING: u16 = 1 << 4 | 1 << 11;
/// Extended tags.
const EXTENDED_TAGS: u16 = 1 << 8;
const MAX_PAYLOAD_SHIFT: u16 = 5;
const MAX_READ_REQUEST_SHIFT: u16 = 12;
const SIZE_MASK: u16 = 0x7;
/// Function-level reset; reads as 0.
const INITIATE_FLR: u16 = 1 << 15;
/// Initial device control: read requests of 512 bytes, and error reporting on. The
/// specification has it off, but QEMU copies these bits once, when the machine is built, and
/// swallows injected errors if they were off then.
const DEVICE_CONTROL_INITIAL: u16 = ERROR_REPORTING | ORDERING | 2 << MAX_READ_REQUEST_SHIFT;
const DEVICE_CONTROL_WRITABLE: u16 = ERROR_REPORTING
    | ORDERING
    | EXTENDED_TAGS
    | SIZE_MASK << MAX_PAYLOAD_SHIFT
    | SIZE_MASK << MAX_READ_REQUEST_SHIFT;

/// Offset of device status.
const DEVICE_STATUS: usize = 0x0a;
/// Detected errors: correctable, non-fatal, fatal, unsupported request.
const DETECTED: u16 = 0x000f;
/// Requests of ours are under way.
const TRANSACTIONS_PENDING: u16 = 1 << 5;

/// Link capabilities and status: 2.5 GT/s, one lane.
const LINK_CAPABILITIES: u32 = 0x11;
const LINK_STATUS: u16 = 0x0011;
/// Link control that software may set: read completion boundary, common clock, extended sync.
const LINK_CONTROL_WRITABLE: u32 = 1 << 3 | 1 << 6 | 1 << 7;
/// Device capabilities 2: completion timeouts can be disabled.
const DEVICE_CAPABILITIES_2: u32 = 1 << 4;
/// Link capabilities 2: 2.5 GT/s.
const LINK_CAPABILITIES_2: u32 = 1 << 1;
/// Link control 2: target speed 2.5 GT/s.
const LINK_CONTROL_2: u16 = 1;

/// Sizes that software set for the function's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferLimits {
    /// Most bytes of a write request, 128 to 4096.
    pub max_payload_bytes: u32,
    /// Most bytes a read request asks for, 128 to 4096.
    pub max_read_request_bytes: u32,
}

/// Which kind of error device status records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DetectedError {
    Correctable,
    NonFatal,
    Fatal,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct PcieCapability {
    offset: usize,
}

impl PcieCapability {
    pub(crate) fn install(registers: &mut Registers, list: &mut CapabilityList) -> Self {
        let offset = list.add(registers, ID, LEN);
        let read_only = Behavior::READ_ONLY;
        registers.define_u16(offset + 0x02, CAPABILITIES, read_only);
        registers.define_u32(offset + 0x04, DEVICE_CAPABILITIES, read_only);
        let control = Behavior {
            writable: DEVICE_CONTROL_WRITABLE.into(),
            // The payload size belongs to the path, not the function (section 6.6.2).
            sticky: (SIZE_MASK << MAX_PAYLOAD_SHIFT).into(),
            ..read_only
        };
        registers.define_u16(offset + DEVICE_CONTROL, DEVICE_CONTROL_INITIAL, control);
        let status = Behavior {
            write_one_clears: DETECTED.into(),
            ..read_only
        };
        registers.define_u16(offset + DEVICE_STATUS, 0, status);
        registers.define_u32(offset + 0x0c, LINK_CAPABILITIES, read_only);
        let link_control = Behavior {
            sticky: LINK_CONTROL_WRITABLE,
            ..Behavior::writable(LINK_CONTROL_WRITABLE)
        };
        registers.define_u16(offset + 0x10, 0, link_control);
        registers.define_u16(offset + 0x12, LINK_STATUS, read_only);
        registers.define_u32(offset + 0x24, DEVICE_CAPABILITIES_2, read_only);
        registers.define_u16(offset + 0x28, 0, Behavior::writable(DEVICE_CAPABILITIES_2));
        registers.define_u32(offset + 0x2c, LINK_CAPABILITIES_2, read_only);
        registers.define_u16(offset + 0x30, LINK_CONTROL_2, read_only);
        Self { offset }
    }

    pub(crate) fn transfer_limits(&self, registers: &Registers) -> TransferLimits {
        let control = registers.get_u16(self.offset + DEVICE_CONTROL);
        // Codes above 4 KiB are reserved; software that writes one gets the most there is.
        let bytes = |shift: u16| 128_u32 << ((control >> shift) & SIZE_MASK).min(MAX_SIZE_CODE);
        TransferLimits {
            max_payload_bytes: bytes(MAX_PAYLOAD_SHIFT),
            max_read_request_bytes: bytes(MAX_READ_REQUEST_SHIFT),
        }
    }

    /// Tells whether a write of `data` at `offset` asks for a function-level reset. The bit is
    /// not kept, so it must be seen in the write itself.
    pub(crate) fn asks_for_reset(&self, offset: u64, data: &[u8]) -> bool {
        let [_, high_bit] = INITIATE_FLR.to_le_bytes();
        let position = u64::try_from(self.offset + DEVICE_CONTROL + 1).expect("below 0x100");
        position
            .checked_sub(offset)
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| data.get(index))
            .is_some_and(|byte| byte & high_bit != 0)
    }

    pub(crate) fn record(&self, registers: &mut Registers, error: DetectedError) {
        let bit = match error {
            DetectedError::Correctable => 1,
            DetectedError::NonFatal => 1 << 1,
            DetectedError::Fatal => 1 << 2,
        };
        let offset = self.offset + DEVICE_STATUS;
        registers.set_u16(offset, registers.get_u16(offset) | bit);
    }

    pub(crate) fn record_unsupported_request(&self, registers: &mut Registers) {
        let offset = self.offset + DEVICE_STATUS;
        registers.set_u16(offset, registers.get_u16(offset) | 1 << 3);
    }

    pub(crate) fn set_transactions_pending(&self, registers: &mut Registers, is_pending: bool) {
        let offset = self.offset + DEVICE_STATUS;
        let others = registers.get_u16(offset) & !TRANSACTIONS_PENDING;
        let bit = if is_pending { TRANSACTIONS_PENDING } else { 0 };
        registers.set_u16(offset, others | bit);
    }
}
