//! [`Request`]: one DMA request as a doorbell, a descriptor or the host asks for it.

use dmarig_abi::Iova;
use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_CHAIN, DESCRIPTOR_FLAG_DESTINATION_LIST, DESCRIPTOR_FLAG_INTERRUPT,
    DESCRIPTOR_FLAG_MESSAGE, DESCRIPTOR_FLAG_OWNED, DESCRIPTOR_FLAG_PROBE,
    DESCRIPTOR_FLAG_SOURCE_LIST,
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
    /// Pattern seed, the fill byte in its low 8 bits, or what a fence orders against.
    pub seed: u64,
    /// Elements of the list at `source`, where the flags say that there is one.
    pub source_elements: u16,
    /// Elements of the list at `destination`.
    pub destination_elements: u16,
    /// IOVA of the next descriptor, where the flags say that there is one.
    pub next: Iova,
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

    /// The same for a descriptor, which has flags of its own.
    #[must_use]
    pub const fn mode_in_ring(&self) -> Option<RequestMode> {
        const OF_RINGS: u16 = DESCRIPTOR_FLAG_SOURCE_LIST
            | DESCRIPTOR_FLAG_DESTINATION_LIST
            | DESCRIPTOR_FLAG_CHAIN
            | DESCRIPTOR_FLAG_OWNED;
        let flags = self.flags & !OF_RINGS;
        Self { flags, ..*self }.mode()
    }

    /// Whether the end of the request raises the channel's vector.
    #[must_use]
    pub const fn wants_interrupt(&self) -> bool {
        self.flags & DESCRIPTOR_FLAG_INTERRUPT != 0
    }
}
