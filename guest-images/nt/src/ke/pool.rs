//! The pool with Windows' checks: IRQL, tags, double frees and damage end in the documented bug checks.

use super::bugcheck::{self, code};
use super::irql::{self, APC_LEVEL, DISPATCH_LEVEL, Irql};
use super::{dpc, timer};
use crate::memory::VirtAddr;
use crate::memory::pool::{self, Allocation, FreeError, PoolKind, PoolRequest, Tag};

/// First parameters of BAD_POOL_CALLER, as documented.
mod bad_caller {
    pub const FREED_BEFORE: u64 = 0x07;
    pub const ALLOCATE_IRQL: u64 = 0x08;
    pub const FREE_IRQL: u64 = 0x09;
    pub const WRONG_TAG: u64 = 0x0A;
    pub const INVALID_ADDRESS: u64 = 0x46;
}

/// Fourth parameters of SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, as documented.
mod corruption {
    pub const NEARBY: u64 = 0x23;
    pub const AFTER_THE_END: u64 = 0x24;
}

/// First parameters of TIMER_OR_DPC_INVALID, as documented.
mod in_freed_memory {
    pub const TIMER: u64 = 0;
    pub const DPC: u64 = 1;
}

/// Allocates pool; `None` if memory is short. At too high an IRQL: bug check 0xC2 (8).
#[must_use]
pub fn allocate(request: &PoolRequest) -> Option<VirtAddr> {
    let level = irql::current();
    if level > highest_irql(request.kind) {
        let (level, kind) = (u64::from(level), kind_number(request.kind));
        let parameters = [bad_caller::ALLOCATE_IRQL, level, kind, request.len_bytes];
        bugcheck::raise(code::BAD_POOL_CALLER, parameters);
    }
    pool::allocate(request)
}

/// Frees pool. A bad address, a second free, another tag, damage round the block or a live timer or DPC
/// in it is a bug check (0xC2, 0xC1, 0xC7). `tag` 0 matches any.
pub fn free(address: VirtAddr, tag: Tag) {
    if let Some(allocation) = pool::find(address) {
        check_irql(&allocation);
        check_live_objects(&allocation);
    }
    if let Err(error) = pool::free(address, tag) {
        refuse(address, tag, error);
    }
}

fn check_irql(allocation: &Allocation) {
    let level = irql::current();
    if level > highest_irql(allocation.kind) {
        let parameters = [
            bad_caller::FREE_IRQL,
            u64::from(level),
            kind_number(allocation.kind),
            allocation.address.as_u64(),
        ];
        bugcheck::raise(code::BAD_POOL_CALLER, parameters);
    }
}

fn check_live_objects(allocation: &Allocation) {
    let start = allocation.address.as_u64();
    let range = start..start + allocation.len_bytes;
    let dpc = dpc::queued_within(&range).or_else(|| timer::dpc_within(&range));
    let found = timer::set_within(&range)
        .map(|timer| (in_freed_memory::TIMER, timer))
        .or_else(|| dpc.map(|dpc| (in_freed_memory::DPC, dpc)));
    if let Some((what, object)) = found {
        let parameters = [what, object, range.start, range.end];
        bugcheck::raise(code::TIMER_OR_DPC_INVALID, parameters);
    }
}

fn refuse(address: VirtAddr, tag: Tag, error: FreeError) -> ! {
    let address = address.as_u64();
    let (code, parameters) = match error {
        FreeError::FreedBefore => (
            code::BAD_POOL_CALLER,
            [bad_caller::FREED_BEFORE, 0, 0, address],
        ),
        FreeError::Unknown | FreeError::Inside(_) => (
            code::BAD_POOL_CALLER,
            [bad_caller::INVALID_ADDRESS, address, 0, 0],
        ),
        FreeError::WrongTag(allocation) => {
            let (right, wrong) = (u64::from(allocation.tag), u64::from(tag));
            let parameters = [bad_caller::WRONG_TAG, address, right, wrong];
            (code::BAD_POOL_CALLER, parameters)
        }
        FreeError::DamagedBefore(allocation, at) => {
            let parameters = [
                address,
                at.as_u64(),
                allocation.len_bytes,
                corruption::NEARBY,
            ];
            (code::SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, parameters)
        }
        FreeError::DamagedBehind(allocation, at) => {
            let len_bytes = allocation.len_bytes;
            let parameters = [address, at.as_u64(), len_bytes, corruption::AFTER_THE_END];
            (code::SPECIAL_POOL_DETECTED_MEMORY_CORRUPTION, parameters)
        }
    };
    bugcheck::raise(code, parameters)
}

fn highest_irql(kind: PoolKind) -> Irql {
    match kind {
        PoolKind::NonPaged => DISPATCH_LEVEL,
        PoolKind::Paged => APC_LEVEL,
    }
}

/// POOL_TYPE.
fn kind_number(kind: PoolKind) -> u64 {
    match kind {
        PoolKind::NonPaged => 0,
        PoolKind::Paged => 1,
    }
}
