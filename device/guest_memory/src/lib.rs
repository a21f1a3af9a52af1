//! The guest's memfds, mapped once each, and every byte copied to or from them.
//!
//! [`GuestMemory`] turns the file descriptors that come with DMA mappings into regions and hands
//! out [`MappedRange`]s of them; [`SharedMemory`] is memory of ours that the guest maps. Which
//! IOVA leads to which region, and whether an access is permitted, is judged elsewhere.
//!
//! The other side changes these bytes while we look: nobody gets a `&[u8]` of them, only copies.

#![forbid(unsafe_code)]

mod access;
mod region;
mod shared_memory;

pub use access::{MappedRange, OutOfRange, WordError};
pub use region::{GuestMemory, MAX_REGIONS, NotMappable, PAGE_SIZE_BYTES, RegionId};
pub use shared_memory::{SharedMemory, SharedMemoryError};
