//! The pool: each allocation on pages of its own, its end at a guard page, its address not used again
//! for long. `ke::pool` is the face with Windows' checks and bug checks.
//!
//! The books are kept apart from the memory, so a driver cannot damage them. What lies on the allocation's
//! pages beside it holds a pattern, checked when it is freed.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use core::ops::Range;

use super::entry::Protection;
use super::space::{FRESH_POISON, Part, Space};
use super::{PAGE_SIZE, Pfn, VirtAddr, kernel_space};
use crate::arch::guarded::Guarded;

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

/// Why memory was not freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreeError {
    /// It was freed lately.
    FreedBefore,
    /// The address lies inside an allocation, not at its start.
    Inside(Allocation),
    /// There is no allocation.
    Unknown,
    /// It was allocated with another tag.
    WrongTag(Allocation),
    /// Bytes ahead of the allocation were overwritten.
    DamagedBefore(Allocation, VirtAddr),
    /// Bytes behind the allocation were overwritten.
    DamagedBehind(Allocation, VirtAddr),
}

/// Windows aligns pool to 16 bytes, and to pages from one page on.
const ALIGNMENT: u64 = 16;
/// The byte beside an allocation.
const PADDING: u8 = 0xFD;
/// How many freed addresses are remembered, to tell a second free from a wild one.
const REMEMBERED: usize = 256;

struct Books {
    live: BTreeMap<u64, Allocation>,
    freed: VecDeque<u64>,
}

static BOOKS: Guarded<Books> = Guarded::new(Books {
    live: BTreeMap::new(),
    freed: VecDeque::new(),
});

/// Allocates pool; `None` if memory is short. A length of 0 counts as 1.
pub fn allocate(request: &PoolRequest) -> Option<VirtAddr> {
    let len_bytes = request.len_bytes.max(1);
    let address = kernel_space::with(|kernel| place(&mut kernel.space, request, len_bytes))?;
    let allocation = Allocation {
        address,
        len_bytes,
        tag: request.tag,
        kind: request.kind,
        caller: request.caller,
    };
    BOOKS.with(|books| books.live.insert(address.as_u64(), allocation));
    Some(address)
}

/// Frees pool and gives what it was. `tag` 0 matches any.
///
/// # Errors
/// [`FreeError`]. Nothing is freed then.
pub fn free(address: VirtAddr, tag: Tag) -> Result<Allocation, FreeError> {
    let allocation = find(address).ok_or_else(|| unknown(address))?;
    if tag != 0 && allocation.tag != tag {
        return Err(FreeError::WrongTag(allocation));
    }
    kernel_space::with(|kernel| {
        check_padding(&kernel.space, &allocation)?;
        kernel
            .space
            .free_backed(Part::Pool, address.align_down(PAGE_SIZE))
            .expect("a live allocation has its pages");
        Ok(())
    })?;
    BOOKS.with(|books| {
        books.live.remove(&address.as_u64());
        if books.freed.len() == REMEMBERED {
            books.freed.pop_front();
        }
        books.freed.push_back(address.as_u64());
    });
    Ok(allocation)
}

/// The live allocation that starts at `address`.
#[must_use]
pub fn find(address: VirtAddr) -> Option<Allocation> {
    BOOKS.with(|books| books.live.get(&address.as_u64()).copied())
}

/// The live allocation that holds `address`.
#[must_use]
pub fn find_containing(address: VirtAddr) -> Option<Allocation> {
    BOOKS.with(|books| {
        let (start, allocation) = books.live.range(..=address.as_u64()).next_back()?;
        (address.as_u64() - start < allocation.len_bytes).then_some(*allocation)
    })
}

/// All live allocations, for the leak report.
#[must_use]
pub fn live() -> Vec<Allocation> {
    BOOKS.with(|books| books.live.values().copied().collect())
}

fn unknown(address: VirtAddr) -> FreeError {
    if let Some(allocation) = find_containing(address) {
        return FreeError::Inside(allocation);
    }
    let was_freed = BOOKS.with(|books| books.freed.contains(&address.as_u64()));
    if was_freed {
        FreeError::FreedBefore
    } else {
        FreeError::Unknown
    }
}

/// Allocates the pages and sets the allocation to the end of them, or to the start of the first from one
/// page on.
fn place(space: &mut Space, request: &PoolRequest, len_bytes: u64) -> Option<VirtAddr> {
    let protection = if request.executable {
        Protection::ReadWriteExecute
    } else {
        Protection::ReadWrite
    };
    let fill = match request.content {
        Content::Poison => FRESH_POISON,
        Content::Zero => 0,
    };
    let pages = len_bytes.div_ceil(PAGE_SIZE);
    let start = space
        .allocate_backed(Part::Pool, pages, protection, fill)
        .ok()?;
    let offset = if len_bytes < PAGE_SIZE {
        (PAGE_SIZE - len_bytes) / ALIGNMENT * ALIGNMENT
    } else {
        0
    };
    let address = start + offset;
    for_padding(space, address, len_bytes, |frame, range| {
        space.map.fill_bytes(frame, range, PADDING);
    });
    Some(address)
}

fn check_padding(space: &Space, allocation: &Allocation) -> Result<(), FreeError> {
    let (start, len_bytes) = (allocation.address, allocation.len_bytes);
    let mut damage = None;
    for_padding(space, start, len_bytes, |frame, range| {
        if let Some(offset) = space
            .map
            .first_byte_other_than(frame, range.clone(), PADDING)
        {
            damage.get_or_insert((offset, range.start));
        }
    });
    let Some((offset, range_start)) = damage else {
        return Ok(());
    };
    if range_start == 0 && len_bytes < PAGE_SIZE {
        let at = start.align_down(PAGE_SIZE) + offset;
        return Err(FreeError::DamagedBefore(*allocation, at));
    }
    let last_page = (start + (len_bytes - 1)).align_down(PAGE_SIZE);
    Err(FreeError::DamagedBehind(*allocation, last_page + offset))
}

/// Calls `body` with the parts of the first and last frame that are not the allocation's.
fn for_padding(
    space: &Space,
    start: VirtAddr,
    len_bytes: u64,
    mut body: impl FnMut(Pfn, Range<u64>),
) {
    let frame_at = |address: VirtAddr| {
        let physical = space.translate(address.as_u64());
        Pfn::containing(physical.expect("a live allocation is mapped"))
    };
    let offset = u64::from(start.page_offset());
    if offset > 0 {
        body(frame_at(start), 0..offset);
    }
    let end = (offset + len_bytes) % PAGE_SIZE;
    if end > 0 {
        body(frame_at(start + (len_bytes - 1)), end..PAGE_SIZE);
    }
}

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
