//! Memory: frames, the upper-half map, the pool, the Rust heap.
//!
//! Driver-visible memory lies above 0xFFFF8000_00000000 and is never reached through a lower address.

mod address;
mod heap;
mod kernel_space;
pub mod pool;

pub use address::{GuestPhysAddr, PAGE_SHIFT, PAGE_SIZE, Pfn, VirtAddr, pages_spanned};
pub use heap::KernelHeap;
pub use kernel_space::*;
