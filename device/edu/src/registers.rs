//! Offsets and bits of BAR 0, by the names of the document.

use board::{FieldInfo, RegisterInfo};

/// Identification, read-only.
pub(crate) const IDENTIFICATION: u64 = 0x00;
/// Liveness check: reads the inverse of what was written.
pub(crate) const LIVENESS: u64 = 0x04;
/// Factorial: replaces the number written by its factorial.
pub(crate) const FACTORIAL: u64 = 0x08;
/// Status of the factorial.
pub(crate) const STATUS: u64 = 0x20;
/// Interrupt status, read-only.
pub(crate) const INTERRUPT_STATUS: u64 = 0x24;
/// Interrupt raise, write-only.
pub(crate) const INTERRUPT_RAISE: u64 = 0x60;
/// Interrupt acknowledge, write-only.
pub(crate) const INTERRUPT_ACKNOWLEDGE: u64 = 0x64;
/// DMA source address; from here on accesses of 8 bytes are allowed as well.
pub(crate) const DMA_SOURCE: u64 = 0x80;
/// DMA destination address.
pub(crate) const DMA_DESTINATION: u64 = 0x88;
/// DMA transfer count in bytes.
pub(crate) const DMA_COUNT: u64 = 0x90;
/// DMA command.
pub(crate) const DMA_COMMAND: u64 = 0x98;

/// Major version 1, minor version 0, "edu".
pub(crate) const IDENTIFICATION_VALUE: u32 = 0x0100_00ed;

/// `STATUS`: the factorial is being computed.
pub(crate) const STATUS_COMPUTING: u32 = 0x01;
/// `STATUS`: an interrupt follows the factorial.
pub(crate) const STATUS_INTERRUPT: u32 = 0x80;

/// `DMA_COMMAND`: start, and reads 1 while the transfer is under way.
pub(crate) const COMMAND_RUN: u64 = 0x01;
/// `DMA_COMMAND`: from the buffer to memory; else from memory to the buffer.
pub(crate) const COMMAND_TO_MEMORY: u64 = 0x02;
/// `DMA_COMMAND`: an interrupt follows the transfer.
pub(crate) const COMMAND_INTERRUPT: u64 = 0x04;

/// `INTERRUPT_STATUS` after a factorial.
pub(crate) const CAUSE_FACTORIAL: u32 = 0x001;
/// `INTERRUPT_STATUS` after a transfer.
pub(crate) const CAUSE_DMA: u32 = 0x100;

/// Name, offset, width in bytes, whether it is read, whether it is written.
type Row = (&'static str, u64, u8, bool, bool);

/// All registers.
const REGISTERS: [Row; 11] = [
    ("IDENTIFICATION", IDENTIFICATION, 4, true, false),
    ("LIVENESS", LIVENESS, 4, true, true),
    ("FACTORIAL", FACTORIAL, 4, true, true),
    ("STATUS", STATUS, 4, true, true),
    ("INTERRUPT_STATUS", INTERRUPT_STATUS, 4, true, false),
    ("INTERRUPT_RAISE", INTERRUPT_RAISE, 4, false, true),
    (
        "INTERRUPT_ACKNOWLEDGE",
        INTERRUPT_ACKNOWLEDGE,
        4,
        false,
        true,
    ),
    ("DMA_SOURCE", DMA_SOURCE, 8, true, true),
    ("DMA_DESTINATION", DMA_DESTINATION, 8, true, true),
    ("DMA_COUNT", DMA_COUNT, 8, true, true),
    ("DMA_COMMAND", DMA_COMMAND, 8, true, true),
];

/// The registers, for the report of what a driver has touched.
pub(crate) fn register_map() -> Vec<RegisterInfo> {
    let info = |(name, offset, width_bytes, is_readable, is_writable): Row| RegisterInfo {
        name: name.into(),
        bar: 0,
        offset,
        width_bytes,
        is_readable,
        is_writable,
        is_partial: false,
        fields: fields(offset),
    };
    REGISTERS.into_iter().map(info).collect()
}

fn fields(offset: u64) -> Vec<FieldInfo> {
    let fields: &[(&'static str, u64)] = match offset {
        STATUS => &[
            ("COMPUTING", STATUS_COMPUTING as u64),
            ("INTERRUPT", STATUS_INTERRUPT as u64),
        ],
        DMA_COMMAND => &[
            ("RUN", COMMAND_RUN),
            ("TO_MEMORY", COMMAND_TO_MEMORY),
            ("INTERRUPT", COMMAND_INTERRUPT),
        ],
        _ => &[],
    };
    let info = |&(name, mask): &(&'static str, u64)| FieldInfo {
        name: name.into(),
        mask,
    };
    fields.iter().map(info).collect()
}
