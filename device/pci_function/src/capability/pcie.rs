//! PCI Express capability of an endpoint. Section 7.5.3.

use std::time::Duration;

use thiserror::Error;

use super::link::LinkState;
use super::{CapabilityError, CapabilityList};
use crate::registers::{Behavior, Registers};

const ID: u8 = 0x10;
const LEN: usize = 0x3c;
/// Capabilities register: version 2.
const VERSION: u16 = 0x0002;
/// Where the capabilities register tells the port type.
const PORT_TYPE_SHIFT: u16 = 4;
/// Device capabilities: extended tags, role-based errors.
const DEVICE_CAPABILITIES: u32 = 1 << 5 | 1 << 15;
/// Device capabilities: function-level reset.
const FLR_CAPABLE: u32 = 1 << 28;
/// Least payload and read request size in bytes; each code doubles it.
const MIN_SIZE_BYTES: u32 = 128;
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

/// Offset of link status.
const LINK_STATUS: usize = 0x12;
/// Link control that software may set: read completion boundary, common clock, extended sync.
const LINK_CONTROL_WRITABLE: u32 = 1 << 3 | 1 << 6 | 1 << 7;
/// Device capabilities 2: completion timeouts of all ranges, and they can be disabled.
const DEVICE_CAPABILITIES_2: u32 = 0xf | TIMEOUT_DISABLE as u32;
/// Offset of device control 2.
const DEVICE_CONTROL_2: usize = 0x28;
/// Completion timeout value in device control 2.
const TIMEOUT_VALUE: u16 = 0xf;
/// Completion timeout disable in device control 2.
const TIMEOUT_DISABLE: u16 = 1 << 4;

/// How long the function waits for a Completion by default.
pub(crate) const COMPLETION_TIMEOUT_DEFAULT: Duration = Duration::from_millis(10);

/// Sizes that software set for the function's requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransferLimits {
    /// Most bytes of a write request, 128 to 4096.
    pub max_payload_bytes: u32,
    /// Most bytes a read request asks for, 128 to 4096.
    pub max_read_request_bytes: u32,
}

impl TransferLimits {
    /// What holds where there is no PCI Express: nothing below a page.
    pub(crate) const CONVENTIONAL: Self = Self {
        max_payload_bytes: MIN_SIZE_BYTES << MAX_SIZE_CODE,
        max_read_request_bytes: MIN_SIZE_BYTES << MAX_SIZE_CODE,
    };
}

/// What kind of endpoint a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortType {
    /// An endpoint; works without I/O space.
    Endpoint,
    /// A legacy endpoint; may need I/O space.
    LegacyEndpoint,
}

/// What the function has of PCI Express.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PcieConfig {
    /// Kind of endpoint.
    pub port_type: PortType,
    /// Most bytes of a write request that the function can make, 128 to 4096.
    pub max_payload_bytes: u32,
    /// Most bytes that the function asks for in one read, whatever software allows, 128 to 4096.
    pub max_read_request_bytes: u32,
    /// The function can be reset by itself.
    pub function_level_reset: bool,
    /// What the link can do at most, and does unless it is degraded.
    pub link: LinkState,
}

impl Default for PcieConfig {
    fn default() -> Self {
        Self {
            port_type: PortType::Endpoint,
            max_payload_bytes: MIN_SIZE_BYTES << MAX_SIZE_CODE,
            max_read_request_bytes: MIN_SIZE_BYTES << MAX_SIZE_CODE,
            function_level_reset: true,
            link: LinkState::default(),
        }
    }
}

/// Which size of [`PcieConfig`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PcieSize {
    /// Of write requests.
    Payload,
    /// Of read requests.
    ReadRequest,
}

/// Why PCI Express cannot be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PcieError {
    /// The size has no code.
    #[error(
        "PCI Express: {size:?} of at most {bytes} bytes\nhelp: 128, 256, 512, 1024, 2048 or 4096"
    )]
    Size {
        /// Which size.
        size: PcieSize,
        /// Its bytes.
        bytes: u32,
    },
    /// No link has so many lanes.
    #[error("PCI Express: a link of {width} lanes\nhelp: 1, 2, 4, 8, 12, 16 or 32")]
    LinkWidth {
        /// The lanes.
        width: u8,
    },
}

impl PcieConfig {
    /// Tells whether PCI Express can be so.
    ///
    /// # Errors
    /// [`PcieError`].
    pub fn check(&self) -> Result<(), PcieError> {
        let sizes = [
            (PcieSize::Payload, self.max_payload_bytes),
            (PcieSize::ReadRequest, self.max_read_request_bytes),
        ];
        let wrong = sizes.into_iter().find(|(_, bytes)| code(*bytes).is_none());
        if let Some((size, bytes)) = wrong {
            return Err(PcieError::Size { size, bytes });
        }
        let width = self.link.width;
        if !LinkState::WIDTHS.contains(&width) {
            return Err(PcieError::LinkWidth { width });
        }
        Ok(())
    }
}

/// The code of a payload or read request size.
fn code(bytes: u32) -> Option<u16> {
    (0..=MAX_SIZE_CODE).find(|code| MIN_SIZE_BYTES << code == bytes)
}

/// The time of a completion timeout value of device control 2 (section 7.5.3.16). The specification
/// gives ranges; this is one time inside each. Reserved values are as the default.
const fn timeout_of(value: u16) -> Duration {
    match value {
        0b0001 => Duration::from_micros(100),
        0b0101 => Duration::from_millis(50),
        0b0110 => Duration::from_millis(200),
        0b1001 => Duration::from_millis(500),
        0b1010 => Duration::from_secs(2),
        0b1101 => Duration::from_secs(8),
        0b1110 => Duration::from_secs(32),
        // 0b0010, and the default range of 50 us to 50 ms: the specification strongly recommends not
        // to be below 10 ms there.
        _ => COMPLETION_TIMEOUT_DEFAULT,
    }
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
    config: PcieConfig,
}

impl PcieCapability {
    /// Defines the registers of a checked configuration.
    pub(super) fn install(
        registers: &mut Registers,
        list: &mut CapabilityList,
        config: &PcieConfig,
    ) -> Result<Self, CapabilityError> {
        let offset = list.add(registers, ID, LEN)?;
        let read_only = Behavior::READ_ONLY;
        let port_type = match config.port_type {
            PortType::Endpoint => 0,
            PortType::LegacyEndpoint => 1,
        };
        let capabilities = VERSION | port_type << PORT_TYPE_SHIFT;
        registers.define_u16(offset + 0x02, capabilities, read_only);
        let payload_code = code(config.max_payload_bytes).unwrap_or(MAX_SIZE_CODE);
        let reset = if config.function_level_reset {
            FLR_CAPABLE
        } else {
            0
        };
        let capabilities = DEVICE_CAPABILITIES | u32::from(payload_code) | reset;
        registers.define_u32(offset + 0x04, capabilities, read_only);
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
        let link = config.link;
        registers.define_u32(offset + 0x0c, link.bits().into(), read_only);
        let link_control = Behavior {
            sticky: LINK_CONTROL_WRITABLE,
            ..Behavior::writable(LINK_CONTROL_WRITABLE)
        };
        registers.define_u16(offset + 0x10, 0, link_control);
        let link_status = Behavior {
            sticky: u16::MAX.into(),
            ..read_only
        };
        registers.define_u16(offset + LINK_STATUS, link.bits(), link_status);
        registers.define_u32(offset + 0x24, DEVICE_CAPABILITIES_2, read_only);
        let control_2 = Behavior::writable((TIMEOUT_VALUE | TIMEOUT_DISABLE).into());
        registers.define_u16(offset + DEVICE_CONTROL_2, 0, control_2);
        registers.define_u32(offset + 0x2c, link.speed.vector(), read_only);
        registers.define_u16(offset + 0x30, link.speed.code().into(), read_only);
        Ok(Self {
            offset,
            config: *config,
        })
    }

    pub(crate) fn transfer_limits(&self, registers: &Registers) -> TransferLimits {
        let control = registers.get_u16(self.offset + DEVICE_CONTROL);
        // Codes above 4 KiB are reserved; software that writes one gets the most there is.
        let bytes =
            |shift: u16| MIN_SIZE_BYTES << ((control >> shift) & SIZE_MASK).min(MAX_SIZE_CODE);
        let Self { config, .. } = self;
        TransferLimits {
            max_payload_bytes: bytes(MAX_PAYLOAD_SHIFT).min(config.max_payload_bytes),
            max_read_request_bytes: bytes(MAX_READ_REQUEST_SHIFT)
                .min(config.max_read_request_bytes),
        }
    }

    /// Shows a link that came up slower or narrower; it does not get better than it can be.
    pub(crate) fn degrade_link(&self, registers: &mut Registers, to: LinkState) {
        let link = self.config.link.at_most(to);
        registers.set_u16(self.offset + LINK_STATUS, link.bits());
    }

    pub(crate) fn completion_timeout(&self, registers: &Registers) -> Option<Duration> {
        let control = registers.get_u16(self.offset + DEVICE_CONTROL_2);
        (control & TIMEOUT_DISABLE == 0).then(|| timeout_of(control & TIMEOUT_VALUE))
    }

    /// Tells whether a write of `data` at `offset` asks for a function-level reset. The bit is
    /// not kept, so it must be seen in the write itself.
    pub(crate) fn asks_for_reset(&self, offset: u64, data: &[u8]) -> bool {
        if !self.config.function_level_reset {
            return false;
        }
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
