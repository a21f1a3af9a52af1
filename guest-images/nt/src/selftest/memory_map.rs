//! The upper-half map and the pool on the real page tables.

use alloc::vec::Vec;

use super::Test;
use crate::ke::pool as ke_pool;
use crate::memory::pool::{self, Content, PoolKind, PoolRequest};
use crate::memory::{
    self, Access, Cache, ContiguousRequest, GuestPhysAddr, MemoryError, PAGE_SIZE, PageLayout,
    PageRequest, Pfn, Protection, VirtAddr,
};

pub(super) const TESTS: &[Test] = &[
    ("pool_ends_at_a_guard_page", pool_ends_at_a_guard_page),
    ("pool_gives_all_frames_back", pool_gives_all_frames_back),
    (
        "contiguous_memory_keeps_its_limits",
        contiguous_memory_keeps_its_limits,
    ),
    ("scattered_pages_map_in_order", scattered_pages_map_in_order),
    ("kernel_text_is_not_writable", kernel_text_is_not_writable),
    ("low_addresses_are_not_mapped", low_addresses_are_not_mapped),
    ("exhaustion_is_an_answer", exhaustion_is_an_answer),
];

const TAG: u32 = u32::from_le_bytes(*b"Test");
const ANYWHERE: PageRequest = PageRequest {
    pages: 8,
    low: GuestPhysAddr::new(0),
    high: GuestPhysAddr::new(u64::MAX),
    layout: PageLayout::Scattered,
};

fn request(len_bytes: u64) -> PoolRequest {
    PoolRequest {
        len_bytes,
        tag: TAG,
        kind: PoolKind::NonPaged,
        content: Content::Poison,
        executable: false,
        caller: 0x1234,
    }
}

fn pool_ends_at_a_guard_page() {
    for len_bytes in [1, 15, 16, 100, 4000, 4096, 5000, 0x1_0000] {
        let address = ke_pool::allocate(&request(len_bytes)).expect("there is memory");
        let start = address.as_u64();
        assert!(start.is_multiple_of(16));
        assert!(len_bytes < PAGE_SIZE || start.is_multiple_of(PAGE_SIZE));
        assert_eq!(memory::probe(start, len_bytes, Access::Write), Ok(()));
        let page_end = (start + len_bytes).next_multiple_of(PAGE_SIZE);
        assert_eq!(memory::probe(page_end, 1, Access::Read), Err(page_end));
        let found = pool::find_containing(address + (len_bytes - 1)).expect("live");
        assert_eq!((found.len_bytes, found.caller), (len_bytes, 0x1234));
        ke_pool::free(address, TAG);
        assert_eq!(memory::probe(start, 1, Access::Read), Err(start));
        assert_eq!(pool::find(address), None);
    }
}

fn pool_gives_all_frames_back() {
    let cycle = || {
        let blocks: Vec<VirtAddr> = (1..200)
            .filter_map(|idx| ke_pool::allocate(&request(idx * 37)))
            .collect();
        for address in blocks {
            ke_pool::free(address, TAG);
        }
    };
    // Tables stay, so the first turns may take frames for them.
    let before = memory::free_frame_count();
    cycle();
    let tables = before - memory::free_frame_count();
    assert!(tables < 16, "{tables} frames for tables");
}

#[expect(unsafe_code, reason = "reads and writes its own memory")]
fn contiguous_memory_keeps_its_limits() {
    let request = ContiguousRequest {
        len_bytes: 5 * PAGE_SIZE,
        low: GuestPhysAddr::new(0x200_0000),
        high: GuestPhysAddr::new(0x3FF_FFFF),
        boundary: 0x1_0000,
        cache: Cache::Cached,
        protection: Protection::ReadWrite,
    };
    let address = memory::allocate_contiguous(&request).expect("there is memory");
    let first = memory::translate(address).expect("mapped").raw();
    for page in 0..5 {
        let found = memory::translate(address + page * PAGE_SIZE).expect("mapped");
        assert_eq!(found.raw(), first + page * PAGE_SIZE);
    }
    assert!(first >= 0x200_0000 && first / 0x1_0000 == (first + 5 * PAGE_SIZE - 1) / 0x1_0000);
    let words: *mut u64 = address.as_mut_ptr();
    // SAFETY: five pages, just allocated.
    unsafe {
        assert_eq!(
            words.read_volatile(),
            0xCDCD_CDCD_CDCD_CDCD,
            "fresh memory is poisoned"
        );
        words.write_volatile(7);
    }
    assert_eq!(
        memory::unmap(address),
        Err(MemoryError::NotMapped),
        "it is not a mapping"
    );
    assert_eq!(memory::free_contiguous(address), Ok(5 * PAGE_SIZE));
    assert_eq!(
        memory::free_contiguous(address),
        Err(MemoryError::NotMapped)
    );
    let endless = ContiguousRequest {
        len_bytes: u64::MAX,
        ..request
    };
    assert_eq!(
        memory::allocate_contiguous(&endless),
        Err(MemoryError::Exhausted)
    );
    let beyond = ContiguousRequest {
        low: GuestPhysAddr::new(1 << 45),
        ..request
    };
    assert_eq!(
        memory::allocate_contiguous(&beyond),
        Err(MemoryError::Exhausted)
    );
}

#[expect(unsafe_code, reason = "reads and writes its own memory")]
fn scattered_pages_map_in_order() {
    let pages = memory::allocate_pages(&ANYWHERE);
    assert!(
        pages
            .windows(2)
            .all(|pair| pair[0].raw().abs_diff(pair[1].raw()) > 1)
    );
    memory::zero_pages(&pages);
    let address = memory::map_pages(&pages, Cache::Cached, Protection::ReadWrite).expect("room");
    let again = memory::map_pages(&pages, Cache::Cached, Protection::ReadOnly).expect("room");
    for (idx, frame) in (0..).zip(&pages) {
        let at = address + idx * PAGE_SIZE;
        assert_eq!(memory::translate(at), Some(frame.start()));
        // SAFETY: both views of a page, just mapped.
        unsafe {
            at.as_mut_ptr::<u64>().write_volatile(idx);
            assert_eq!(
                (again + idx * PAGE_SIZE).as_ptr::<u64>().read_volatile(),
                idx
            );
        }
    }
    assert_eq!(
        memory::probe(again.as_u64(), 1, Access::Write),
        Err(again.as_u64())
    );
    assert_eq!(
        (memory::unmap(address), memory::unmap(again)),
        (Ok(8), Ok(8))
    );
    assert_eq!(memory::free_pages(&pages), Ok(()));
    assert_eq!(memory::free_pages(&pages), Err(pages[0]), "freed before");
    assert!(!memory::is_ram(Pfn::new(0xFEE00)));
}

fn kernel_text_is_not_writable() {
    let text = kernel_text_is_not_writable as *const () as u64;
    assert_eq!(memory::probe(text, 1, Access::Execute), Ok(()));
    assert_eq!(memory::probe(text, 1, Access::Write), Err(text));
    let data = crate::boot::info().map_or(0, |info| &raw const *info as u64);
    assert_eq!(memory::probe(data, 1, Access::Execute), Err(data));
}

fn low_addresses_are_not_mapped() {
    for address in [0, 8, 0x10_0000, 0x7FFF_FFFF_FFFF] {
        assert_eq!(memory::probe(address, 1, Access::Read), Err(address));
        assert_eq!(memory::translate(VirtAddr::new(address)), None);
    }
}

fn exhaustion_is_an_answer() {
    assert_eq!(ke_pool::allocate(&request(1 << 40)), None);
    assert_eq!(ke_pool::allocate(&request(u64::MAX)), None);
    let mut blocks = Vec::new();
    while let Some(address) = ke_pool::allocate(&request(1 << 20)) {
        blocks.push(address);
    }
    assert!(blocks.len() > 100, "{} MiB", blocks.len());
    while let Some(address) = ke_pool::allocate(&request(1)) {
        blocks.push(address);
    }
    let some = memory::allocate_pages(&PageRequest {
        pages: 8,
        ..ANYWHERE
    });
    assert!(some.is_empty());
    for address in blocks {
        ke_pool::free(address, 0);
    }
    assert!(ke_pool::allocate(&request(1 << 20)).is_some_and(|address| {
        ke_pool::free(address, TAG);
        true
    }));
}
