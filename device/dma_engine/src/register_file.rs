//! [`pieces`]: cuts any access to the register BAR into pieces of single registers.
//!
//! The tables below are all there is to know about offsets and widths; what a register does is one
//! `match` on its [`RegisterId`] in [`crate::engine`] and [`crate::channel`].

mod names;

use std::ops::Range;

use dmarig_abi::registers as abi;
use endpoint::RegisterInfo;

use crate::channel_id::ChannelId;

/// A register, whichever channel it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RegisterId {
    Id,
    Version,
    Capabilities,
    Control,
    Scratch,
    InterruptCause,
    InterruptEnable,
    MappingEpoch,
    InterruptCauseHigh,
    InterruptEnableHigh,
    Command,
    Status,
    Source,
    Destination,
    Length,
    Seed,
    Crc,
    MismatchBytes,
    MismatchOffset,
    DoneBytes,
    Epoch,
    RingBase,
    CompletionBase,
    RingEntries,
    RingControl,
    RingTail,
    RingHead,
    RingStatus,
    IndexAddress,
}

type Row = (u64, u8, RegisterId);

/// Offset in the BAR, width in bytes, register.
const GLOBAL_REGISTERS: &[Row] = &[
    (abi::REG_ID, 4, RegisterId::Id),
    (abi::REG_VERSION, 4, RegisterId::Version),
    (abi::REG_CAPABILITIES, 4, RegisterId::Capabilities),
    (abi::REG_CONTROL, 4, RegisterId::Control),
    (abi::REG_SCRATCH, 4, RegisterId::Scratch),
    (abi::REG_INTERRUPT_CAUSE, 4, RegisterId::InterruptCause),
    (abi::REG_INTERRUPT_ENABLE, 4, RegisterId::InterruptEnable),
    (abi::REG_MAPPING_EPOCH, 8, RegisterId::MappingEpoch),
    (
        abi::REG_INTERRUPT_CAUSE_HIGH,
        4,
        RegisterId::InterruptCauseHigh,
    ),
    (
        abi::REG_INTERRUPT_ENABLE_HIGH,
        4,
        RegisterId::InterruptEnableHigh,
    ),
];

/// Offset in the channel's block, width in bytes, register.
const CHANNEL_REGISTERS: &[Row] = &[
    (abi::CH_COMMAND, 4, RegisterId::Command),
    (abi::CH_STATUS, 4, RegisterId::Status),
    (abi::CH_SOURCE, 8, RegisterId::Source),
    (abi::CH_DESTINATION, 8, RegisterId::Destination),
    (abi::CH_LENGTH, 8, RegisterId::Length),
    (abi::CH_SEED, 8, RegisterId::Seed),
    (abi::CH_CRC, 4, RegisterId::Crc),
    (abi::CH_MISMATCH_BYTES, 4, RegisterId::MismatchBytes),
    (abi::CH_MISMATCH_OFFSET, 8, RegisterId::MismatchOffset),
    (abi::CH_DONE_BYTES, 8, RegisterId::DoneBytes),
    (abi::CH_EPOCH, 8, RegisterId::Epoch),
    (abi::CH_RING_BASE, 8, RegisterId::RingBase),
    (abi::CH_COMPLETION_BASE, 8, RegisterId::CompletionBase),
    (abi::CH_RING_ENTRIES, 4, RegisterId::RingEntries),
    (abi::CH_RING_CONTROL, 4, RegisterId::RingControl),
    (abi::CH_RING_TAIL, 4, RegisterId::RingTail),
    (abi::CH_RING_HEAD, 4, RegisterId::RingHead),
    (abi::CH_RING_STATUS, 4, RegisterId::RingStatus),
    (abi::CH_INDEX_ADDRESS, 8, RegisterId::IndexAddress),
];

/// All registers of a device with so many channels; those that each channel has share a name.
pub(crate) fn register_map(channels: u8) -> Vec<RegisterInfo> {
    let global = GLOBAL_REGISTERS.iter().map(|row| names::info(row, 0));
    let of_channel = |number: u8| {
        let base = abi::CHANNEL_BASE + u64::from(number) * abi::CHANNEL_STRIDE;
        CHANNEL_REGISTERS
            .iter()
            .map(move |row| names::info(row, base))
    };
    global.chain((0..channels).flat_map(of_channel)).collect()
}

/// The part of an access that falls on one register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub register: RegisterId,
    /// `None` for the registers of the whole function.
    pub channel: Option<ChannelId>,
    /// First byte of the register that is accessed.
    pub start: usize,
    /// Where these bytes lie in the access.
    pub range: Range<usize>,
}

/// Bytes that the guest writes to one register.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RegisterWrite<'a> {
    pub start: usize,
    pub bytes: &'a [u8],
}

impl RegisterWrite<'_> {
    /// The register's value after the write, bytes not written being those of `current`.
    pub(crate) fn over(self, current: u64) -> u64 {
        let mut bytes = current.to_le_bytes();
        let room = bytes.iter_mut().skip(self.start);
        room.zip(self.bytes).for_each(|(to, from)| *to = *from);
        u64::from_le_bytes(bytes)
    }

    /// The same for a 32-bit register.
    pub(crate) fn over_u32(self, current: u32) -> u32 {
        let value = self.over(u64::from(current)).to_le_bytes();
        u32::from_le_bytes([value[0], value[1], value[2], value[3]])
    }

    /// Whether the write covers the register's first byte, as it must to ring a doorbell.
    pub(crate) fn covers_first_byte(self) -> bool {
        self.start == 0
    }
}

/// The registers that an access of `len` bytes at `offset` touches, in ascending order. Any offset
/// and length is fine; bytes that belong to no register appear in no piece.
pub(crate) fn pieces(offset: u64, len: usize, channels: u8) -> impl Iterator<Item = Piece> {
    let mut position = 0;
    std::iter::from_fn(move || {
        while position < len {
            let at = offset.checked_add(position as u64)?;
            if at >= abi::DUT_REGISTER_BAR_SIZE_BYTES {
                return None;
            }
            let Some((channel, (register_offset, width, register))) = find(at, channels) else {
                // No register begins between two multiples of four.
                position += 4 - usize::try_from(at % 4).unwrap_or(0);
                continue;
            };
            let start = usize::try_from(at - register_offset).unwrap_or(0);
            let end = len.min(position + usize::from(width) - start);
            let range = position..end;
            position = end;
            return Some(Piece {
                register,
                channel,
                start,
                range,
            });
        }
        None
    })
}

/// The channel whose doorbell a write of `len` bytes at `offset` rings.
pub(crate) fn doorbell(offset: u64, len: usize, channels: u8) -> Option<ChannelId> {
    pieces(offset, len, channels)
        .find(|piece| {
            let is_command = piece.register == RegisterId::Command && piece.start == 0;
            is_command || piece.register == RegisterId::RingTail
        })
        .and_then(|piece| piece.channel)
}

/// The register at a byte of the BAR; the row's offset is made absolute.
fn find(at: u64, channels: u8) -> Option<(Option<ChannelId>, Row)> {
    let (channel, base, rows) = match at.checked_sub(abi::CHANNEL_BASE) {
        None => (None, 0, GLOBAL_REGISTERS),
        Some(inside) => {
            let number = u8::try_from(inside / abi::CHANNEL_STRIDE).ok()?;
            if number >= channels {
                return None;
            }
            let base = abi::CHANNEL_BASE + u64::from(number) * abi::CHANNEL_STRIDE;
            (Some(ChannelId::new(number)), base, CHANNEL_REGISTERS)
        }
    };
    let row = rows.iter().find(|(offset, width, _)| {
        (base + offset..base + offset + u64::from(*width)).contains(&at)
    })?;
    Some((channel, (base + row.0, row.1, row.2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_over_two_registers_gives_two_pieces() {
        let found: Vec<_> = pieces(abi::CHANNEL_BASE + abi::CH_STATUS + 2, 6, 4).collect();

        assert_eq!(found.len(), 2);
        assert_eq!((found[0].register, found[0].start), (RegisterId::Status, 2));
        assert_eq!(found[0].range, 0..2);
        assert_eq!((found[1].register, found[1].start), (RegisterId::Source, 0));
        assert_eq!(found[1].range, 2..6);
    }

    #[test]
    fn access_beyond_the_last_channel_or_the_bar_gives_nothing() {
        let behind = abi::CHANNEL_BASE + 4 * abi::CHANNEL_STRIDE;
        assert_eq!(pieces(behind, 8, 4).count(), 0);
        assert_eq!(pieces(behind, 8, 64).count(), 2);
        assert_eq!(
            pieces(abi::DUT_REGISTER_BAR_SIZE_BYTES - 2, 8, 4).count(),
            0
        );
        assert_eq!(pieces(u64::MAX, 8, 4).count(), 0);
    }

    #[test]
    fn doorbells_are_command_and_ring_tail() {
        let at = |register| abi::CHANNEL_BASE + abi::CHANNEL_STRIDE + register;
        let channel = Some(ChannelId::new(1));
        assert_eq!(doorbell(at(abi::CH_COMMAND), 4, 4), channel);
        assert_eq!(doorbell(at(abi::CH_RING_TAIL), 4, 4), channel);
        assert_eq!(doorbell(at(abi::CH_COMMAND) + 2, 2, 4), None);
        assert_eq!(doorbell(at(abi::CH_RING_CONTROL), 4, 4), None);
        assert_eq!(doorbell(at(abi::CH_COMMAND), 4, 1), None);
    }

    #[test]
    fn tables_do_not_overlap_and_are_aligned() {
        for rows in [GLOBAL_REGISTERS, CHANNEL_REGISTERS] {
            for pair in rows.windows(2) {
                assert!(pair[0].0 + u64::from(pair[0].1) <= pair[1].0);
            }
            assert!(rows.iter().all(|row| row.0 % u64::from(row.1) == 0));
        }
    }
}
