//! [`Operation`]: what a transfer does with bytes, independent of how they travel.

use dmarig_abi::completion::{COMPLETION_SIZE_BYTES, DMA_STATUS_OPCODE};
use dmarig_abi::descriptor::{
    DESCRIPTOR_SIZE_BYTES, DMA_OP_COPY, DMA_OP_CRC, DMA_OP_FENCE, DMA_OP_FILL, DMA_OP_INTERRUPT,
    DMA_OP_NOP, DMA_OP_VERIFY_PATTERN, DMA_OP_WRITE_PATTERN, FENCE_ALL_CHANNELS, FENCE_CHANNEL,
};
use dmarig_abi::pattern::fill_pattern;

use crate::request::Request;

/// One operation with its parameters.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    Nop,
    /// Nothing moves, but not before all other channels are far enough.
    FenceAll,
    /// `position`: where in the pattern the request's first byte lies.
    WritePattern {
        seed: u64,
        position: u64,
    },
    VerifyPattern {
        seed: u64,
        position: u64,
    },
    Crc,
    Copy,
    Fill {
        byte: u8,
    },
    /// A board's: reads bytes to look at.
    ReadBytes {
        bytes: Vec<u8>,
    },
    /// A board's: writes bytes of its own.
    WriteBytes {
        bytes: Vec<u8>,
    },
    /// The engine's own: reads a descriptor.
    FetchDescriptor {
        bytes: [u8; DESCRIPTOR_SIZE_BYTES],
    },
    /// The engine's own: writes a completion entry.
    StoreCompletion {
        bytes: [u8; COMPLETION_SIZE_BYTES],
    },
}

/// The first byte that differs from the pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    pub offset: u64,
    pub expected: u8,
    pub seen: u8,
}

impl Operation {
    /// Decodes a request's operation code; an unknown one is `DMA_STATUS_OPCODE`.
    pub(crate) fn decode(request: &Request) -> Result<Self, u16> {
        Ok(match request.opcode {
            DMA_OP_NOP | DMA_OP_INTERRUPT => Self::Nop,
            DMA_OP_FENCE if request.seed == FENCE_CHANNEL => Self::Nop,
            DMA_OP_FENCE if request.seed == FENCE_ALL_CHANNELS => Self::FenceAll,
            DMA_OP_WRITE_PATTERN => Self::WritePattern {
                seed: request.seed,
                position: 0,
            },
            DMA_OP_VERIFY_PATTERN => Self::VerifyPattern {
                seed: request.seed,
                position: 0,
            },
            DMA_OP_CRC => Self::Crc,
            DMA_OP_COPY => Self::Copy,
            DMA_OP_FILL => Self::Fill {
                byte: request.seed.to_le_bytes()[0],
            },
            _ => return Err(DMA_STATUS_OPCODE),
        })
    }

    /// Whether bytes move at all.
    pub(crate) fn moves(&self) -> bool {
        !matches!(self, Self::Nop | Self::FenceAll)
    }

    /// Makes the request a piece of a longer one: its first byte is byte `position` of that.
    pub(crate) fn start_at(&mut self, start: u64) {
        if let Self::WritePattern { position, .. } | Self::VerifyPattern { position, .. } = self {
            *position = start;
        }
    }

    /// Whether memory is read at the request's source.
    pub(crate) fn reads(&self) -> bool {
        matches!(
            self,
            Self::VerifyPattern { .. }
                | Self::Crc
                | Self::Copy
                | Self::ReadBytes { .. }
                | Self::FetchDescriptor { .. }
        )
    }

    /// Whether memory is written at the request's destination.
    pub(crate) fn writes(&self) -> bool {
        matches!(
            self,
            Self::WritePattern { .. }
                | Self::Copy
                | Self::Fill { .. }
                | Self::WriteBytes { .. }
                | Self::StoreCompletion { .. }
        )
    }

    /// Makes the bytes to write at `offset`; a copy has them already.
    pub(crate) fn generate(&self, offset: u64, data: &mut [u8]) {
        match self {
            Self::WritePattern { seed, position } => fill_pattern(*seed, position + offset, data),
            Self::Fill { byte } => data.fill(*byte),
            Self::StoreCompletion { bytes } => continue_at(bytes, offset, data),
            Self::WriteBytes { bytes } => continue_at(bytes, offset, data),
            _ => {}
        }
    }

    /// Looks at bytes that have come from `offset`; `expected` is room for the pattern.
    pub(crate) fn absorb(
        &mut self,
        offset: u64,
        data: &[u8],
        expected: &mut [u8],
    ) -> Option<Mismatch> {
        match self {
            Self::VerifyPattern { seed, position } => {
                let expected = &mut expected[..data.len()];
                fill_pattern(*seed, *position + offset, expected);
                first_difference(*position + offset, expected, data)
            }
            Self::FetchDescriptor { bytes } => {
                overwrite(bytes, offset, data);
                None
            }
            Self::ReadBytes { bytes } => {
                overwrite(bytes, offset, data);
                None
            }
            _ => None,
        }
    }
}

fn first_difference(offset: u64, expected: &[u8], seen: &[u8]) -> Option<Mismatch> {
    if expected == seen {
        return None;
    }
    let pairs = expected.iter().zip(seen);
    let (index, (expected, seen)) = pairs.enumerate().find(|(_, (a, b))| a != b)?;
    Some(Mismatch {
        offset: offset + index as u64,
        expected: *expected,
        seen: *seen,
    })
}

/// Fills `data` with `bytes` from `offset` on, as far as there are any.
fn continue_at(bytes: &[u8], offset: u64, data: &mut [u8]) {
    let rest = bytes.iter().skip(usize_or_max(offset));
    data.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
}

/// Lays `data` over `room` from `offset` on, as far as there is room.
fn overwrite(room: &mut [u8], offset: u64, data: &[u8]) {
    let room = room.iter_mut().skip(usize_or_max(offset));
    room.zip(data).for_each(|(to, from)| *to = *from);
}

fn usize_or_max(offset: u64) -> usize {
    usize::try_from(offset).unwrap_or(usize::MAX)
}
