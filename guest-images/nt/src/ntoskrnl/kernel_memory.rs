//! Memory of the I/O manager's own objects (IRPs, device objects, MDLs): nonpaged pool, so that each has
//! guard pages and freed ones are unmapped, but told apart from what drivers allocate.

use crate::ke::pool;
use crate::memory::VirtAddr;
use crate::memory::pool::{Content, PoolKind, PoolRequest, Tag};

/// Allocates zeroed memory.
#[must_use]
pub(crate) fn allocate(len_bytes: u64, tag: Tag) -> Option<u64> {
    if cfg!(not(feature = "kernel")) {
        return host::allocate(len_bytes);
    }
    let request = PoolRequest {
        len_bytes,
        tag,
        kind: PoolKind::NonPaged,
        content: Content::Zero,
        executable: false,
        caller: 0,
    };
    pool::allocate(&request).map(VirtAddr::as_u64)
}

/// Frees it.
pub(crate) fn free(address: u64) {
    if cfg!(feature = "kernel") {
        pool::free(VirtAddr::new(address), 0);
    }
}

/// On the host a leaked allocation stands in; tests are short.
mod host {
    use alloc::boxed::Box;
    use alloc::vec;

    pub(super) fn allocate(len_bytes: u64) -> Option<u64> {
        let words = usize::try_from(len_bytes.div_ceil(16)).ok()?;
        let memory: &'static mut [u128] = Box::leak(vec![0u128; words].into_boxed_slice());
        Some(memory.as_ptr().expose_provenance() as u64)
    }
}
