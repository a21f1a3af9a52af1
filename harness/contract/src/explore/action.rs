//! [`Action`]: one operation with symbolic arguments. Objects are slots, addresses that only a guest knows
//! are named by what they are the address of, so a list means the same in every boot.

use serde::{Deserialize, Serialize};

use crate::step::TransferMode;

/// One step of a model-based run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// IoGetDmaAdapter. Versions 1 and 2 ask for 32 or 64 bits by their flags.
    OpenAdapter {
        /// Where it goes.
        slot: u32,
        /// DEVICE_DESCRIPTION version.
        version: u32,
        /// Address width in bits.
        width_bits: u32,
    },
    /// PutDmaAdapter.
    PutAdapter {
        /// The adapter.
        adapter: u32,
    },
    /// GetDmaAlignment.
    ReadAlignment {
        /// The adapter.
        adapter: u32,
    },
    /// AllocateCommonBuffer.
    Allocate {
        /// Where it goes.
        slot: u32,
        /// The adapter.
        adapter: u32,
        /// Length in bytes.
        length_bytes: u64,
        /// CacheEnabled.
        is_cached: bool,
    },
    /// AllocateCommonBufferEx.
    AllocateEx {
        /// Where it goes.
        slot: u32,
        /// The adapter.
        adapter: u32,
        /// Length in bytes.
        length_bytes: u64,
        /// MaximumAddress.
        maximum: Option<u64>,
        /// CacheEnabled.
        is_cached: bool,
    },
    /// AllocateCommonBufferWithBounds.
    AllocateWithBounds {
        /// Where it goes.
        slot: u32,
        /// The adapter.
        adapter: u32,
        /// Length in bytes.
        length_bytes: u64,
        /// MinimumAddress.
        minimum: Option<u64>,
        /// MaximumAddress.
        maximum: Option<u64>,
        /// MmCached, MmNonCached, or no cache type.
        is_cached: Option<bool>,
    },
    /// CreateCommonBufferFromMdl.
    CreateFromMdl {
        /// Where it goes.
        slot: u32,
        /// The adapter.
        adapter: u32,
        /// Head of the chain.
        mdl: u32,
        /// The configurations; `None` passes NULL.
        configs: Option<Vec<Config>>,
    },
    /// FreeCommonBuffer with the values of the creation.
    FreeBuffer {
        /// The buffer.
        buffer: u32,
    },
    /// ExAllocatePool2, or MmAllocateContiguousMemorySpecifyCache.
    AllocateMemory {
        /// Where it goes.
        slot: u32,
        /// Which of the two.
        is_contiguous: bool,
        /// Size in pages.
        pages: u64,
    },
    /// Frees such memory.
    FreeMemory {
        /// The memory.
        memory: u32,
    },
    /// IoAllocateMdl.
    AllocateMdl {
        /// Where it goes.
        slot: u32,
        /// The memory.
        memory: u32,
        /// First byte.
        offset: u64,
        /// Length in bytes.
        length_bytes: u64,
    },
    /// MmAllocatePagesForMdlEx with MM_ALLOCATE_FULLY_REQUIRED.
    AllocatePages {
        /// Where it goes.
        slot: u32,
        /// Size in pages.
        pages: u64,
        /// Whether with MM_ALLOCATE_REQUIRE_CONTIGUOUS_CHUNKS.
        is_contiguous: bool,
    },
    /// IoAllocateMdl and IoBuildPartialMdl.
    BuildPartial {
        /// Where it goes.
        slot: u32,
        /// The source.
        source: u32,
        /// First byte of the source.
        offset: u64,
        /// Length in bytes.
        length_bytes: u64,
    },
    /// MmBuildMdlForNonPagedPool.
    BuildNonpaged {
        /// The MDL.
        mdl: u32,
    },
    /// MmProbeAndLockPages with IoModifyAccess.
    Lock {
        /// The MDL.
        mdl: u32,
    },
    /// MmUnlockPages.
    Unlock {
        /// The MDL.
        mdl: u32,
    },
    /// MmGetSystemAddressForMdlSafe.
    Map {
        /// The MDL.
        mdl: u32,
    },
    /// MmUnmapLockedPages.
    Unmap {
        /// The MDL.
        mdl: u32,
    },
    /// IoFreeMdl.
    FreeMdl {
        /// The MDL.
        mdl: u32,
    },
    /// MmFreePagesFromMdl and ExFreePool.
    FreePages {
        /// The MDL.
        mdl: u32,
    },
    /// Sets Next.
    Chain {
        /// The MDL.
        mdl: u32,
        /// Its new Next.
        next: Option<u32>,
    },
    /// Reads the MDL's fields and frames.
    QueryMdl {
        /// The MDL.
        mdl: u32,
    },
    /// The CPU writes a pattern through a memory, an MDL or a buffer.
    Fill {
        /// What it writes through.
        object: u32,
        /// First byte.
        offset: u64,
        /// Length in bytes.
        length_bytes: u64,
        /// The pattern's seed.
        seed: u64,
    },
    /// The CPU compares one of the patterns that must lie there.
    Check {
        /// What it reads through.
        object: u32,
        /// Which one: the remainder by how many there are.
        pick: u32,
    },
    /// The device writes a pattern.
    DeviceWrite {
        /// The buffer.
        buffer: u32,
        /// First byte.
        offset: u64,
        /// Length in bytes.
        length_bytes: u64,
        /// The pattern's seed.
        seed: u64,
        /// How.
        way: Way,
    },
    /// The device compares one of the patterns that must lie there.
    DeviceVerify {
        /// The buffer.
        buffer: u32,
        /// As of [`Action::Check`].
        pick: u32,
        /// How.
        way: Way,
    },
    /// The device computes the CRC of one of the patterns that must lie there.
    DeviceCrc {
        /// The buffer.
        buffer: u32,
        /// As of [`Action::Check`].
        pick: u32,
        /// How.
        way: Way,
    },
    /// Opens the rings of a channel, two common buffers.
    OpenRing {
        /// Where it goes.
        slot: u32,
        /// The adapter.
        adapter: u32,
        /// The channel.
        channel: u32,
        /// Entries of each ring, a power of two.
        entries: u64,
    },
    /// Closes them.
    CloseRing {
        /// The ring.
        ring: u32,
    },
    /// Releases what is in all slots.
    ReleaseAll,
}

/// A configuration of CreateCommonBufferFromMdl.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Config {
    /// LogicalAddressLimits.
    Limits {
        /// Lowest start.
        minimum: Bound,
        /// Highest last byte.
        maximum: Bound,
    },
    /// SubSection.
    SubSection {
        /// Byte offset in the chain.
        offset: u64,
        /// Length in bytes.
        length: u32,
    },
    /// HardwareAccessPermissions: 0 ReadOnly, 1 WriteOnly, 2 ReadWrite, above undefined.
    Access {
        /// The raw value.
        raw: u32,
    },
    /// A type that the documents do not name.
    Unknown {
        /// The raw type, 3 or above.
        raw: u32,
    },
}

/// An address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// This one.
    At(u64),
    /// The guest physical address of the covered part's first byte, plus so much.
    Physical(i64),
}

/// How the driver starts a transfer, and how its bytes travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Way {
    /// Start and end.
    pub mode: TransferMode,
    /// Channel.
    pub channel: u32,
    /// Through the platform's IOMMU instead of the device's own mappings.
    pub by_message: bool,
}

impl Action {
    /// The kind, as it is spelt in bundles.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::OpenAdapter { .. } => "open-adapter",
            Self::PutAdapter { .. } => "put-adapter",
            Self::ReadAlignment { .. } => "read-alignment",
            Self::Allocate { .. } => "allocate",
            Self::AllocateEx { .. } => "allocate-ex",
            Self::AllocateWithBounds { .. } => "allocate-with-bounds",
            Self::CreateFromMdl { .. } => "create-from-mdl",
            Self::FreeBuffer { .. } => "free-buffer",
            Self::AllocateMemory { .. } => "allocate-memory",
            Self::FreeMemory { .. } => "free-memory",
            Self::AllocateMdl { .. } => "allocate-mdl",
            Self::AllocatePages { .. } => "allocate-pages",
            Self::BuildPartial { .. } => "build-partial",
            Self::BuildNonpaged { .. } => "build-nonpaged",
            Self::Lock { .. } => "lock",
            Self::Unlock { .. } => "unlock",
            Self::Map { .. } => "map",
            Self::Unmap { .. } => "unmap",
            Self::FreeMdl { .. } => "free-mdl",
            Self::FreePages { .. } => "free-pages",
            Self::Chain { .. } => "chain",
            Self::QueryMdl { .. } => "query-mdl",
            Self::Fill { .. } => "fill",
            Self::Check { .. } => "check",
            Self::DeviceWrite { .. } => "device-write",
            Self::DeviceVerify { .. } => "device-verify",
            Self::DeviceCrc { .. } => "device-crc",
            Self::OpenRing { .. } => "open-ring",
            Self::CloseRing { .. } => "close-ring",
            Self::ReleaseAll => "release-all",
        }
    }

    /// The slot of the buffer or the rings that it makes.
    pub(super) const fn created_buffer(&self) -> Option<u32> {
        match *self {
            Self::Allocate { slot, .. }
            | Self::AllocateEx { slot, .. }
            | Self::AllocateWithBounds { slot, .. }
            | Self::CreateFromMdl { slot, .. }
            | Self::OpenRing { slot, .. } => Some(slot),
            _ => None,
        }
    }

    /// The MDL whose fields and frames are read with it.
    pub(super) const fn described_mdl(&self) -> Option<u32> {
        match *self {
            Self::BuildNonpaged { mdl }
            | Self::Lock { mdl }
            | Self::QueryMdl { mdl }
            | Self::AllocatePages { slot: mdl, .. }
            | Self::BuildPartial { slot: mdl, .. } => Some(mdl),
            _ => None,
        }
    }
}
