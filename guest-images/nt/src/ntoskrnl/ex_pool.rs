//! Pool and lookaside lists.

use core::arch::naked_asm;

use super::shared::{fill, read_u64, write_u64};
use super::verifier;
use crate::arch::interrupts;
use crate::hal_dma::adapter::{check_frames_released, frames_behind};
use crate::ke::pool;
use crate::memory::pool::{Content, PoolKind, PoolRequest};
use crate::memory::{self, VirtAddr};

/// Bytes of a lookaside list that drivers embed.
const LOOKASIDE_BYTES: u64 = 0x80;
/// POOL_FLAG_UNINITIALIZED
const FLAG_UNINITIALIZED: u64 = 0x2;
/// POOL_FLAG_RAISE_ON_FAILURE
const FLAG_RAISE: u64 = 0x20;
/// POOL_FLAG_NON_PAGED
const FLAG_NON_PAGED: u64 = 0x40;
/// POOL_FLAG_NON_PAGED_EXECUTE
const FLAG_NON_PAGED_EXECUTE: u64 = 0x80;
/// POOL_FLAG_PAGED
const FLAG_PAGED: u64 = 0x100;

/// A shell that passes its return address to `$work` as fourth argument, so that a leak names who
/// allocated.
macro_rules! with_caller {
    ($(#[$doc:meta])* $name:ident => $work:path) => {
        $(#[$doc])*
        #[unsafe(naked)]
        pub(super) extern "win64" fn $name() -> u64 {
            naked_asm!("mov r9, [rsp]", "jmp {work}", work = sym $work)
        }
    };
}

with_caller! {
    /// `ExAllocatePool2` (wdm.h): (flags, bytes, tag). IRQL <= DISPATCH_LEVEL. Null where memory is short
    /// or the flags name no pool. Zeroed unless POOL_FLAG_UNINITIALIZED.
    ex_allocate_pool2 => allocate2
}

with_caller! {
    /// `ExAllocatePoolWithTag` (wdm.h): (type, bytes, tag). IRQL <= DISPATCH_LEVEL. Null where memory is
    /// short. The content is poison.
    ex_allocate_pool_with_tag => allocate_with_tag
}

with_caller! {
    /// `ExAllocatePool` (wdm.h): (type, bytes). As [`ex_allocate_pool_with_tag`], with the tag `None`.
    ex_allocate_pool => allocate_without_tag
}

extern "win64" fn allocate2(flags: u64, len_bytes: u64, tag: u32, caller: u64) -> u64 {
    let kind = match flags & (FLAG_NON_PAGED | FLAG_NON_PAGED_EXECUTE | FLAG_PAGED) {
        FLAG_NON_PAGED | FLAG_NON_PAGED_EXECUTE => PoolKind::NonPaged,
        FLAG_PAGED => PoolKind::Paged,
        _ => return 0,
    };
    if len_bytes == 0 || tag == 0 {
        return 0;
    }
    let request = PoolRequest {
        len_bytes,
        tag,
        kind,
        content: if flags & FLAG_UNINITIALIZED == 0 {
            Content::Zero
        } else {
            Content::Poison
        },
        executable: flags & FLAG_NON_PAGED_EXECUTE != 0,
        caller,
    };
    if flags & FLAG_RAISE != 0 {
        verifier::finding(
            "not-implemented",
            format_args!("ExAllocatePool2 with POOL_FLAG_RAISE_ON_FAILURE returns null instead"),
        );
    }
    pool::allocate(&request).map_or(0, VirtAddr::as_u64)
}

extern "win64" fn allocate_with_tag(kind: u32, len_bytes: u64, tag: u32, caller: u64) -> u64 {
    let request = PoolRequest {
        // A length of zero gives a block of its own on Windows.
        len_bytes: len_bytes.max(1),
        tag,
        kind: if kind & 1 == 0 {
            PoolKind::NonPaged
        } else {
            PoolKind::Paged
        },
        content: Content::Poison,
        // NonPagedPoolNx = 512; plain NonPagedPool is executable.
        executable: kind == 0,
        caller,
    };
    pool::allocate(&request).map_or(0, VirtAddr::as_u64)
}

extern "win64" fn allocate_without_tag(
    kind: u32,
    len_bytes: u64,
    _unused: u64,
    caller: u64,
) -> u64 {
    allocate_with_tag(kind, len_bytes, u32::from_le_bytes(*b"None"), caller)
}

/// `ExFreePoolWithTag` (wdm.h). IRQL <= DISPATCH_LEVEL. Misuse is bug check 0xC2 or 0xC1.
pub(super) extern "win64" fn ex_free_pool_with_tag(address: u64, tag: u32) {
    free(address, tag);
}

/// `ExFreePool` (wdm.h). As [`ex_free_pool_with_tag`], any tag.
pub(super) extern "win64" fn ex_free_pool(address: u64) {
    free(address, 0);
}

fn free(address: u64, tag: u32) {
    match VirtAddr::try_new(address) {
        Ok(address) => {
            if let Some(allocation) = memory::pool::find(address) {
                let frames = frames_behind(address.as_u64(), allocation.len_bytes);
                check_frames_released("ExFreePool", frames);
            }
            pool::free(address, tag);
        }
        Err(_) => verifier::undocumented_violation(
            "pool-address-invalid",
            format_args!("ExFreePool of {address:#x}"),
        ),
    }
}

/// `ExInitializeNPagedLookasideList`, `ExInitializePagedLookasideList` (wdm.h). IRQL <= DISPATCH_LEVEL.
/// The list stays empty and its depth 0, so that each entry is a pool block with guard pages.
pub(super) extern "win64" fn ex_initialize_lookaside_list(
    list: u64,
    allocate: u64,
    free: u64,
    _flags: u32,
    len_bytes: u64,
    tag: u32,
    _depth: u16,
) {
    verifier::at_most_dispatch("ExInitializeNPagedLookasideList");
    fill(list, LOOKASIDE_BYTES, 0);
    let or_default = |routine: u64, default: &str| match routine {
        0 => super::exports::find(default).unwrap_or(0),
        routine => routine,
    };
    write_u64(list + 0x28, u64::from(tag) | (len_bytes << 32));
    write_u64(list + 0x30, or_default(allocate, "ExAllocatePoolWithTag"));
    write_u64(list + 0x38, or_default(free, "ExFreePool"));
}

/// `ExDeleteNPagedLookasideList`, `ExDeletePagedLookasideList` (wdm.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn ex_delete_lookaside_list(list: u64) {
    verifier::at_most_dispatch("ExDeleteNPagedLookasideList");
    fill(list, LOOKASIDE_BYTES, 0);
}

/// `ExpInterlockedPopEntrySList` (behind ExAllocateFromNPagedLookasideList). Any IRQL. Takes the first entry,
/// or null.
pub(super) extern "win64" fn exp_interlocked_pop_entry_slist(head: u64) -> u64 {
    interrupts::without(|| {
        let first = read_u64(head + 8);
        if first != 0 {
            write_u64(head + 8, read_u64(first));
            write_u64(head, read_u64(head).wrapping_sub(1));
        }
        first
    })
}

/// `ExpInterlockedPushEntrySList` (behind ExFreeToNPagedLookasideList). Any IRQL. The former first entry.
pub(super) extern "win64" fn exp_interlocked_push_entry_slist(head: u64, entry: u64) -> u64 {
    interrupts::without(|| {
        let first = read_u64(head + 8);
        write_u64(entry, first);
        write_u64(head + 8, entry);
        write_u64(head, read_u64(head).wrapping_add(1));
        first
    })
}

/// `ExQueryDepthSList` (wdm.h). Any IRQL.
pub(super) extern "win64" fn ex_query_depth_slist(head: u64) -> u16 {
    let [low, high, ..] = read_u64(head).to_le_bytes();
    u16::from_le_bytes([low, high])
}
