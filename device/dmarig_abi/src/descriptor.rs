//! [`Descriptor`]: one entry of a channel's descriptor ring in guest memory, and the operations that
//! a channel knows. [`ListElement`]: one element of a scatter-gather list.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Size of a descriptor in bytes.
pub const DESCRIPTOR_SIZE_BYTES: usize = 64;

/// Channel operation: nothing moves; completes with success.
pub const DMA_OP_NOP: u16 = 0;
/// Channel operation: the device writes the pattern of `seed` to `destination`.
pub const DMA_OP_WRITE_PATTERN: u16 = 1;
/// Channel operation: the device reads `source`, compares with the pattern of `seed`, and computes
/// CRC-32C of what it read.
pub const DMA_OP_VERIFY_PATTERN: u16 = 2;
/// Channel operation: the device reads `source` and computes CRC-32C.
pub const DMA_OP_CRC: u16 = 3;
/// Channel operation: the device reads `source` and writes it to `destination`.
pub const DMA_OP_COPY: u16 = 4;
/// Channel operation: the device writes the low byte of `seed` all over `destination`.
pub const DMA_OP_FILL: u16 = 5;
/// Channel operation: nothing moves; it ends when all earlier work that `seed` names has ended: one of
/// `FENCE_*`.
pub const DMA_OP_FENCE: u16 = 6;
/// Channel operation: nothing moves; it raises the channel's vector when its turn has come, before its
/// completion entry is written.
pub const DMA_OP_INTERRUPT: u16 = 7;

/// Fence: against earlier work of its own channel, which is done in order anyway.
pub const FENCE_CHANNEL: u64 = 0;
/// Fence: against all work of every channel that was rung before the fence had its turn.
pub const FENCE_ALL_CHANNELS: u64 = 1;

/// Descriptor flag: raise the channel's MSI-X vector when the completion entry is visible.
pub const DESCRIPTOR_FLAG_INTERRUPT: u16 = 1;
/// Descriptor flag: use message DMA (through the platform's IOMMU) even where a mapping is known.
pub const DESCRIPTOR_FLAG_MESSAGE: u16 = 2;
/// Descriptor flag: probe: ask the mapping table only, touch no memory, send nothing.
pub const DESCRIPTOR_FLAG_PROBE: u16 = 4;
/// Descriptor flag, ring only: `source` is the IOVA of a list of `source_elements` elements.
pub const DESCRIPTOR_FLAG_SOURCE_LIST: u16 = 8;
/// Descriptor flag, ring only: `destination` is the IOVA of a list of `destination_elements` elements.
pub const DESCRIPTOR_FLAG_DESTINATION_LIST: u16 = 16;
/// Descriptor flag, ring only: when this descriptor has ended with success, the one at `next` is done.
pub const DESCRIPTOR_FLAG_CHAIN: u16 = 32;
/// Descriptor flag, prefetch only: the descriptor belongs to the device, which clears the bit when it has
/// done it. Elsewhere it means nothing.
pub const DESCRIPTOR_FLAG_OWNED: u16 = 0x8000;

/// Size of an element of a scatter-gather list in bytes; a list is aligned to it.
pub const LIST_ELEMENT_SIZE_BYTES: usize = 16;
/// Most elements of a scatter-gather list.
pub const LIST_MAX_ELEMENTS: u16 = 1024;
/// Most descriptors that follow one of the ring in a chain.
pub const CHAIN_MAX_DESCRIPTORS: u32 = 64;

/// One descriptor, 64 bytes, aligned to 64 in the ring. Unused fields are written as zero.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Descriptor {
    /// One of `DMA_OP_*`.
    pub opcode: u16,
    /// Bits of `DESCRIPTOR_FLAG_*`.
    pub flags: u16,
    /// Elements of the list at `source`, 1 to [`LIST_MAX_ELEMENTS`]; zero without a list.
    pub source_elements: u16,
    /// Elements of the list at `destination`; zero without a list.
    pub destination_elements: u16,
    /// Returned unchanged in the completion entry.
    pub tag: u64,
    /// IOVA to read from, or of the list of what to read.
    pub source: u64,
    /// IOVA to write to, or of the list of where to write.
    pub destination: u64,
    /// Length in bytes, 1 or more (except where nothing moves). A list holds as many bytes or more.
    pub length_bytes: u64,
    /// Pattern seed, the fill byte, or what a fence orders against.
    pub seed: u64,
    /// IOVA of the next descriptor of a chain, 64-byte aligned; zero without a chain.
    pub next: u64,
    /// Zero.
    pub reserved0: u64,
}

const _: () = assert!(size_of::<Descriptor>() == DESCRIPTOR_SIZE_BYTES);

/// One element of a scatter-gather list: a run of bytes. One of length 0 is passed over.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct ListElement {
    /// IOVA of the first byte.
    pub iova: u64,
    /// Length in bytes.
    pub length_bytes: u64,
}

const _: () = assert!(size_of::<ListElement>() == LIST_ELEMENT_SIZE_BYTES);
