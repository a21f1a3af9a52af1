//! Memory: frames, the upper-half map, the pool, the Rust heap.
//!
//! Driver-visible memory lies above 0xFFFF8000_00000000 and is never reached through a lower address. Each
//! piece has a guard page behind it, freed memory is poisoned, and neither an address nor a frame comes
//! back into use soon.

mod address;
pub mod direct_map;
mod entry;
mod frames;
mod heap;
mod kernel_space;
pub mod layout;
pub mod low_resources;
pub mod pool;
pub mod radix;
mod region;
mod space;
mod startup;

pub use address::{GuestPhysAddr, PAGE_SHIFT, PAGE_SIZE, Pfn, VirtAddr, pages_spanned};
pub use entry::{Cache, Protection};
pub use frames::MemoryOrder;
pub(crate) use kernel_space::with_tables;
pub use kernel_space::{
    Access, ContiguousRequest, MemoryError, PageLayout, PageRequest, allocate_contiguous,
    allocate_image, allocate_pages, allocate_stack, contiguous_allocations, contiguous_len,
    copy_from_frame, copy_to_frame, fill_frame, first_byte_other_than, free_contiguous,
    free_frame_count, free_image, free_pages, free_stack, is_ram, is_readable_now, map_pages,
    map_physical, map_shared_data, memory_bytes, prefer, probe, protect, translate, unmap,
    zero_pages,
};
pub use startup::{MAX_RANGES, Section, initialize};
