//! [`Request`]: one DMA request as a doorbell, a descriptor or the host asks for it.

use dmarig_abi::Iova;
use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_INTERRUPT, DESCRIPTOR_FLAG_MESSAGE, DESCRIPTOR_FLAG_PROBE,
};

/// What is asked for, unchecked: every value of every field may come from a hostile guest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// One of `DMA_OP_*`.
    pub opcode: u16,
    /// Bits of `DESCRIPTOR_FLAG_*`.
    pub flags: u16,
    /// Returned unchanged in completion entry and record.
    pub tag: u64,
    /// IOVA to read from.
    pub source: Iova,
    /// IOVA to write to.
    pub destination: Iova,
    /// Length in bytes.
    pub length_bytes: u64,
    /// Pattern seed, or the fill byte in its low 8 bits.
    pub seed: u64,
}

/// How a request reaches memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestMode {
    /// By the mapped path, and by message where that fails.
    Mapped,
    /// By message only.
    Message,
    /// Not at all: only the mapping table is asked.
    Probe,
}

impl Request {
    /// The mode that the flags ask for; a probe stays a probe whatever else is asked. `None` if a
    /// flag is not known.
    #[must_use]
    pub const fn mode(&self) -> Option<RequestMode> {
        const KNOWN: u16 =
            DESCRIPTOR_FLAG_INTERRUPT | DESCRIPTOR_FLAG_MESSAGE | DESCRIPTOR_FLAG_PROBE;
        if self.flags & !KNOWN != 0 {
            None
        } else if self.flags & DESCRIPTOR_FLAG_PROBE != 0 {
            Some(RequestMode::Probe)
        } else if self.flags & DESCRIPTOR_FLAG_MESSAGE != 0 {
            Some(RequestMode::Message)
        } else {
            Some(RequestMode::Mapped)
        }
    }

    /// Whether the end of the request raises the channel's vector.
    #[must_use]
    pub const fn wants_interrupt(&self) -> bool {
        self.flags & DESCRIPTOR_FLAG_INTERRUPT != 0
    }
}
