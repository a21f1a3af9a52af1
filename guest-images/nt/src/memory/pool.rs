//! The pool: each allocation on pages of its own, its end at a guard page, its address not used again
//! for long. `ke::pool` is the face with Windows' checks and bug checks.

use alloc::vec::Vec;

use super::VirtAddr;

/// Four characters, first one in the lowest byte.
pub type Tag = u32;

/// Which pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// Non-paged.
    NonPaged,
    /// Paged: resident here too, but not to be used at DISPATCH_LEVEL.
    Paged,
}

/// What a fresh allocation holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A poison pattern.
    Poison,
    /// Zeros.
    Zero,
}

/// A request for pool.
#[derive(Clone, Copy, Debug)]
pub struct PoolRequest {
    /// Length in bytes.
    pub len_bytes: u64,
    /// Tag.
    pub tag: Tag,
    /// Which pool.
    pub kind: PoolKind,
    /// What it holds at first.
    pub content: Content,
    /// Whether the CPU may execute it (NonPagedPoolExecute).
    pub executable: bool,
    /// Who asked: the driver's return address, for reports; 0 if unknown.
    pub caller: u64,
}

/// One live allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allocation {
    /// First byte.
    pub address: VirtAddr,
    /// Length in bytes as asked for.
    pub len_bytes: u64,
    /// Tag.
    pub tag: Tag,
    /// Which pool.
    pub kind: PoolKind,
    /// Who asked for it.
    pub caller: u64,
}

/// The live allocation that starts at `address`.
#[must_use]
pub fn find(_address: VirtAddr) -> Option<Allocation> {
    todo!()
}

/// The live allocation that holds `address`.
#[must_use]
pub fn find_containing(_address: VirtAddr) -> Option<Allocation> {
    todo!()
}

/// All live allocations, for the leak report.
#[must_use]
pub fn live() -> Vec<Allocation> {
    todo!()
}
