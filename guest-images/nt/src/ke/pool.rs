//! The pool with Windows' checks: IRQL, tags, double frees and damage end in the documented bug checks.

use crate::memory::VirtAddr;
use crate::memory::pool::{PoolRequest, Tag};

/// Allocates pool; `None` if memory is short. At too high an IRQL: bug check 0xC2 (8).
#[must_use]
pub fn allocate(_request: &PoolRequest) -> Option<VirtAddr> {
    todo!()
}

/// Frees pool. A bad address, a second free, another tag, damage round the block or a live timer or DPC
/// in it is a bug check (0xC2, 0xC1, 0xC7). `tag` 0 matches any.
pub fn free(_address: VirtAddr, _tag: Tag) {
    todo!()
}
