//! Memory.
mod heap;
pub use heap::KernelHeap;
