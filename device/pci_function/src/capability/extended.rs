//! The list of extended capabilities, and those that are registers and nothing else: serial number,
//! ATS, PASID. Sections 7.6.3, 7.9.3, 10.5.1, 7.8.8.
//!
//! QEMU passes them through and attaches nothing to them: there is no translation request and no
//! process address space on the wire, so ATS and PASID show that they are there, and keep their bits.

use thiserror::Error;

use crate::registers::{Behavior, Registers};

/// First offset of extended configuration space.
const FIRST_OFFSET: usize = 0x100;
/// Where the offset of the next capability lies in a header.
const NEXT_SHIFT: u32 = 20;

const SERIAL_NUMBER_ID: u16 = 0x0003;
const ATS_ID: u16 = 0x000f;
const PASID_ID: u16 = 0x001b;

/// ATS control: smallest translation unit, and enable.
const ATS_CONTROL_WRITABLE: u32 = 0x001f | 1 << 15;
/// ATS capability: page aligned requests.
const ATS_PAGE_ALIGNED: u16 = 1 << 5;
/// PASID capability: execute permission and privileged mode; the same bits of control enable them.
const PASID_EXECUTE: u16 = 1 << 1;
const PASID_PRIVILEGED: u16 = 1 << 2;
const PASID_ENABLE: u16 = 1 << 0;
const PASID_WIDTH_SHIFT: u16 = 8;
/// Most bits of a process address space ID.
const MAX_PASID_WIDTH: u8 = 20;
/// Deepest queue of invalidation requests; its code is 0.
const MAX_INVALIDATE_DEPTH: u8 = 32;

/// Address translation services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtsConfig {
    /// Invalidation requests that the function takes before it holds the link up, 1 to 32.
    pub invalidate_queue_depth: u8,
    /// Untranslated addresses of requests are aligned to 4 KiB.
    pub page_aligned_requests: bool,
}

/// Process address space IDs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasidConfig {
    /// Bits of an ID, 1 to 20.
    pub width_bits: u8,
    /// Requests can ask for execute permission.
    pub execute: bool,
    /// Requests can be privileged.
    pub privileged: bool,
}

/// Why an extended capability cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ExtendedError {
    /// Only PCI Express has extended configuration space.
    #[error(
        "{capability} needs PCI Express\nhelp: leave {capability} out, or let the function have PCI \
         Express"
    )]
    NeedsPcie {
        /// The capability.
        capability: &'static str,
    },
    /// The depth has no code.
    #[error("ATS: invalidate queue of {depth} requests\nhelp: 1 to {MAX_INVALIDATE_DEPTH}")]
    InvalidateDepth {
        /// The depth.
        depth: u8,
    },
    /// The width is too great, or nothing.
    #[error("PASID: {width_bits} bits\nhelp: 1 to {MAX_PASID_WIDTH}")]
    PasidWidth {
        /// The width.
        width_bits: u8,
    },
}

impl AtsConfig {
    /// Tells whether ATS can be so.
    ///
    /// # Errors
    /// `InvalidateDepth`.
    pub fn check(&self) -> Result<(), ExtendedError> {
        let depth = self.invalidate_queue_depth;
        if (1..=MAX_INVALIDATE_DEPTH).contains(&depth) {
            Ok(())
        } else {
            Err(ExtendedError::InvalidateDepth { depth })
        }
    }
}

impl PasidConfig {
    /// Tells whether PASID can be so.
    ///
    /// # Errors
    /// `PasidWidth`.
    pub fn check(&self) -> Result<(), ExtendedError> {
        let width_bits = self.width_bits;
        if (1..=MAX_PASID_WIDTH).contains(&width_bits) {
            Ok(())
        } else {
            Err(ExtendedError::PasidWidth { width_bits })
        }
    }
}

/// Links extended capabilities, the first at 0x100.
#[derive(Debug)]
pub(super) struct ExtendedList {
    last: Option<(usize, u32)>,
    next_offset: usize,
}

impl ExtendedList {
    pub(super) const fn new() -> Self {
        Self {
            last: None,
            next_offset: FIRST_OFFSET,
        }
    }

    /// Adds a capability of `len` bytes and returns its offset. All there are fit.
    pub(super) fn add(
        &mut self,
        registers: &mut Registers,
        id: u16,
        version: u32,
        len: usize,
    ) -> usize {
        let offset = self.next_offset;
        if let Some((previous, header)) = self.last {
            let next = u32::try_from(offset).expect("below 0x1000") << NEXT_SHIFT;
            registers.define_u32(previous, header | next, Behavior::READ_ONLY);
        }
        let header = version << 16 | u32::from(id);
        registers.define_u32(offset, header, Behavior::READ_ONLY);
        self.last = Some((offset, header));
        self.next_offset = (offset + len).next_multiple_of(16);
        offset
    }
}

pub(super) fn install_serial_number(
    registers: &mut Registers,
    list: &mut ExtendedList,
    number: u64,
) {
    let offset = list.add(registers, SERIAL_NUMBER_ID, 1, 12);
    registers.define_bytes(offset + 4, &number.to_le_bytes());
}

pub(super) fn install_ats(registers: &mut Registers, list: &mut ExtendedList, config: AtsConfig) {
    let offset = list.add(registers, ATS_ID, 1, 8);
    let depth = u16::from(config.invalidate_queue_depth % MAX_INVALIDATE_DEPTH);
    let aligned = if config.page_aligned_requests {
        ATS_PAGE_ALIGNED
    } else {
        0
    };
    registers.define_u16(offset + 4, depth | aligned, Behavior::READ_ONLY);
    registers.define_u16(offset + 6, 0, Behavior::writable(ATS_CONTROL_WRITABLE));
}

pub(super) fn install_pasid(
    registers: &mut Registers,
    list: &mut ExtendedList,
    config: PasidConfig,
) {
    let offset = list.add(registers, PASID_ID, 1, 8);
    let flag = |is_set, bit| if is_set { bit } else { 0 };
    let modes = flag(config.execute, PASID_EXECUTE) | flag(config.privileged, PASID_PRIVILEGED);
    let width = u16::from(config.width_bits) << PASID_WIDTH_SHIFT;
    registers.define_u16(offset + 4, width | modes, Behavior::READ_ONLY);
    let control = Behavior::writable((PASID_ENABLE | modes).into());
    registers.define_u16(offset + 6, 0, control);
}
