//! The address space on an arena of the host: tables are real, only nobody loads them.

use super::*;
use core::slice;
use std::collections::BTreeSet;

const ARENA_PAGES: u64 = 512;

fn space() -> Space {
    let map = DirectMap::arena(ARENA_PAGES);
    Space::new(
        map,
        Frames::new(slice::from_ref(&(0..ARENA_PAGES)), slice::from_ref(&(0..1))),
    )
    .expect("a frame for the root")
}

#[test]
fn mapped_frames_translate_in_order_and_the_guard_page_does_not() {
    let mut space = space();
    let frames = [Pfn::new(7), Pfn::new(3), Pfn::new(9)];

    let start = space
        .map_frames(
            Part::SystemPtes,
            &frames,
            Cache::Cached,
            Protection::ReadWrite,
        )
        .expect("room");

    for (address, frame) in page_addresses(start, 3).zip(frames) {
        let expected = frame.start().raw() + 0x123;
        let found = space.translate(address + 0x123).expect("mapped");
        assert_eq!(found.raw(), expected);
    }
    assert_eq!(space.translate(start.as_u64() + 3 * PAGE_SIZE), None);
    assert_eq!(
        space.unmap_frames(Part::SystemPtes, start).expect("mapped"),
        frames
    );
    assert_eq!(space.translate(start.as_u64()), None);
    assert_eq!(
        space.unmap_frames(Part::SystemPtes, start),
        Err(MemoryError::NotMapped)
    );
}

#[test]
fn probe_stops_at_the_first_page_that_does_not_allow_it() {
    let mut space = space();
    let start = space
        .allocate_backed(Part::Pool, 3, Protection::ReadWrite, 0)
        .expect("room");
    let second = start + PAGE_SIZE;
    space
        .protect(second, 1, Protection::ReadOnly)
        .expect("mapped");
    let first = start.as_u64();

    let refused = |from, len| space.first_refused(from, len, entry::is_writable);
    assert_eq!(refused(first, PAGE_SIZE), None);
    assert_eq!(refused(first + 1, PAGE_SIZE), Some(second.as_u64()));
    let any = |from, len| space.first_refused(from, len, |_| true);
    assert_eq!(any(first, 3 * PAGE_SIZE), None);
    assert_eq!(any(first, 3 * PAGE_SIZE + 1), Some(first + 3 * PAGE_SIZE));
    assert_eq!(any(u64::MAX, 2), Some(u64::MAX));
    assert_eq!(any(0x0000_9000_0000_0000, 1), Some(0x0000_9000_0000_0000));
}

#[test]
fn freed_memory_is_poisoned_and_all_frames_come_back() {
    let mut space = space();
    let tables_and_page = space
        .allocate_backed(Part::Pool, 1, Protection::ReadWrite, 1)
        .expect("room");
    space
        .free_backed(Part::Pool, tables_and_page)
        .expect("mapped");
    let before = space.frames.free_count();

    let start = space
        .allocate_backed(Part::Pool, 8, Protection::ReadWrite, FRESH_POISON)
        .expect("room");
    let frame = Pfn::containing(space.translate(start.as_u64()).expect("mapped"));
    assert_eq!(space.map.first_other_than(frame, FRESH_POISON), None);
    space.free_backed(Part::Pool, start).expect("mapped");

    assert_eq!(space.map.first_other_than(frame, FREE_POISON), None);
    assert_eq!(space.frames.free_count(), before);
}

#[test]
fn allocation_that_runs_out_of_frames_leaves_nothing_behind() {
    let mut space = space();
    let free = space.frames.free_count();
    assert_eq!(
        space.allocate_backed(Part::Pool, free + 1, Protection::ReadWrite, 0),
        Err(MemoryError::Exhausted)
    );
    // All frames go to the memory, none is left for its page tables.
    assert_eq!(
        space.allocate_backed(Part::Pool, free, Protection::ReadWrite, 0),
        Err(MemoryError::Exhausted)
    );
    assert_eq!(space.frames.free_count(), free);
    assert_eq!(space.region(Part::Pool).len(), 0);
}

#[test]
fn layouts_of_pages_are_kept() {
    let mut space = space();
    let limits = FrameLimits::ANYWHERE;

    let scattered = space.take_laid_out(40, PageLayout::Scattered, &limits);
    assert!(
        scattered
            .windows(2)
            .all(|pair| pair[0].raw().abs_diff(pair[1].raw()) > 1)
    );
    let chunks = space.take_laid_out(8, PageLayout::Chunks(4), &limits);
    assert_eq!(chunks.len(), 8);
    assert!(chunks.chunks(4).all(|chunk| {
        chunk[0].raw() % 4 == 0
            && chunk
                .windows(2)
                .all(|pair| pair[1].raw() == pair[0].raw() + 1)
    }));
    let run = space.take_laid_out(16, PageLayout::Contiguous, &limits);
    assert!(
        run.windows(2)
            .all(|pair| pair[1].raw() == pair[0].raw() + 1)
    );
    assert!(
        space
            .take_laid_out(4, PageLayout::Chunks(3), &limits)
            .is_empty()
    );

    let all: BTreeSet<Pfn> = scattered
        .iter()
        .chain(&chunks)
        .chain(&run)
        .copied()
        .collect();
    assert_eq!(all.len(), 64, "no frame is given twice");
}

#[test]
fn large_leaf_translates_its_whole_span_and_refuses_small_ones() {
    let mut space = space();
    let entry = entry::encode(Pfn::new(0x200), Cache::Cached, Protection::ReadWrite);
    space
        .set_leaf(layout::DIRECT_MAP.start, 2, entry)
        .expect("room");

    let inside = layout::DIRECT_MAP.start + 0x1F_FFF8;
    assert_eq!(space.translate(inside).expect("mapped").raw(), 0x3F_FFF8);
    assert_eq!(
        space.set_leaf(layout::DIRECT_MAP.start + PAGE_SIZE, 1, entry),
        Err(MemoryError::BadRange)
    );
    assert_eq!(
        space.protect(VirtAddr::new(inside & !0xFFF), 1, Protection::ReadOnly),
        Err(MemoryError::NotMapped)
    );
}
