//! The Rust heap of kernel structures. Drivers get their memory from the pool, never from here.
#![expect(unsafe_code, reason = "the global allocator's contract")]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{NonNull, null_mut};

use linked_list_allocator::Heap;

use crate::arch::guarded::Guarded;

/// The kernel's heap.
#[cfg_attr(feature = "kernel", global_allocator)]
pub(super) static HEAP: KernelHeap = KernelHeap::new();

/// An allocator that has no memory until the boot code brings some.
pub(super) struct KernelHeap {
    heap: Guarded<Heap>,
}

impl KernelHeap {
    /// A heap without memory; [`KernelHeap::give`] brings it.
    pub const fn new() -> Self {
        Self {
            heap: Guarded::new(Heap::empty()),
        }
    }

    /// Gives the heap its memory, once.
    ///
    /// # Safety
    /// `len_bytes` bytes at `start` are mapped, writable, and nobody else's for ever.
    pub unsafe fn give(&self, start: *mut u8, len_bytes: usize) {
        self.heap.with(|heap| {
            // SAFETY: the caller's promise.
            unsafe { heap.init(start, len_bytes) };
        });
    }
}

// SAFETY: `linked_list_allocator` keeps the contract; `Guarded` gives it exclusive access.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.heap
            .with(|heap| heap.allocate_first_fit(layout))
            .map_or(null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some(pointer) = NonNull::new(pointer) else {
            return;
        };
        // SAFETY: the caller gives back what `alloc` gave it, with the same layout.
        self.heap
            .with(|heap| unsafe { heap.deallocate(pointer, layout) });
    }
}
