//! Sizing and writing of base address registers (PCI local bus specification 3.0, section 6.2.5.1).

use alloc::vec::Vec;

use super::config::{ConfigAccess, command, offset};
use super::{Bar, BarKind, RequesterId};
use crate::memory::GuestPhysAddr;

const IS_IO: u32 = 1;
const TYPE_MASK: u32 = 0x6;
const TYPE_64: u32 = 0x4;
const IS_PREFETCHABLE: u32 = 0x8;
const IO_FLAGS: u32 = 0x3;
const MEMORY_FLAGS: u32 = 0xF;

/// Sizes the first `count` BARs. Decoding goes off and stays off.
pub(super) fn size_bars(config: &mut dyn ConfigAccess, id: RequesterId, count: u8) -> Vec<Bar> {
    config.update_command(id, 0, command::IO | command::MEMORY);
    let mut bars = Vec::new();
    let mut index = 0;
    while index < count {
        let low = probe(config, id, index);
        let is_64 = low & (IS_IO | TYPE_MASK) == TYPE_64;
        // The upper half of a 64-bit BAR needs a register behind it.
        let high = if is_64 && index + 1 < count {
            Some(probe(config, id, index + 1))
        } else {
            None
        };
        if !is_64 || high.is_some() {
            bars.extend(decode(index, low, high));
        }
        index += if is_64 { 2 } else { 1 };
    }
    bars
}

/// Writes the addresses into the registers; a BAR without one gets zero. Decoding must be off.
pub(super) fn write_bars(config: &mut dyn ConfigAccess, id: RequesterId, bars: &[Bar]) {
    for bar in bars {
        let raw = bar.address.map_or(0, GuestPhysAddr::raw).to_le_bytes();
        let [a, b, c, d, e, f, g, h] = raw;
        config.write(id, register(bar.index), 4, u32::from_le_bytes([a, b, c, d]));
        if matches!(bar.kind, BarKind::Memory64 { .. }) {
            let high = u32::from_le_bytes([e, f, g, h]);
            config.write(id, register(bar.index + 1), 4, high);
        }
    }
}

/// Writes all ones, reads what stuck, and puts the old value back.
fn probe(config: &mut dyn ConfigAccess, id: RequesterId, index: u8) -> u32 {
    let at = register(index);
    let before = config.read_u32(id, at);
    config.write(id, at, 4, u32::MAX);
    let found = config.read_u32(id, at);
    config.write(id, at, 4, before);
    found
}

/// The length is the lowest address bit that can be set, which is right for odd masks, too.
fn decode(index: u8, low: u32, high: Option<u32>) -> Option<Bar> {
    let is_prefetchable = low & IS_PREFETCHABLE != 0;
    let (kind, mask) = match (low & IS_IO != 0, high) {
        (true, _) => (BarKind::Io, u64::from(low & !IO_FLAGS)),
        (false, None) => (
            BarKind::Memory32 { is_prefetchable },
            u64::from(low & !MEMORY_FLAGS),
        ),
        (false, Some(high)) => (
            BarKind::Memory64 { is_prefetchable },
            u64::from(high) << 32 | u64::from(low & !MEMORY_FLAGS),
        ),
    };
    if mask == 0 {
        return None;
    }
    Some(Bar {
        index,
        kind,
        address: None,
        len_bytes: 1 << mask.trailing_zeros(),
    })
}

fn register(index: u8) -> u16 {
    offset::BAR_0 + 4 * u16::from(index)
}
