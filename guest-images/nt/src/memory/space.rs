//! [`Space`]: frames, page tables and regions put together. Pure but for the frames it is given, so host
//! tests run it on an arena.

use alloc::vec::Vec;

use super::direct_map::DirectMap;
use super::entry::{self, Cache, Protection};
use super::frames::{FrameLimits, Frames, MemoryOrder};
use super::radix::{Radix, RadixError, TableFrames};
use super::region::Region;
use super::{GuestPhysAddr, MemoryError, PAGE_SIZE, PageLayout, Pfn, VirtAddr, layout};
use crate::arch::tlb;

/// What a frame without an owner is filled with.
pub(super) const FREE_POISON: u64 = 0xDDDD_DDDD_DDDD_DDDD;
/// What fresh memory of drivers holds.
pub(super) const FRESH_POISON: u64 = 0xCDCD_CDCD_CDCD_CDCD;

/// Which region an address comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Pool,
    SystemPtes,
    Stacks,
    Images,
}

/// Frames, tables and regions of the one address space.
#[derive(Debug)]
pub(super) struct Space {
    pub map: DirectMap,
    pub frames: Frames,
    pub tables: Radix,
    pool: Region,
    system_ptes: Region,
    stacks: Region,
    images: Region,
}

impl Space {
    /// Empty tables; `None` if there is not even a frame for the root.
    pub fn new(map: DirectMap, mut frames: Frames) -> Option<Self> {
        let root = Zeroed {
            map,
            frames: &mut frames,
        }
        .take()?;
        let region = |range: core::ops::Range<u64>| Region::new(range.start, range.end);
        Some(Self {
            map,
            frames,
            tables: Radix::new(root, 4, &super::radix::X86_64),
            pool: region(layout::POOL),
            system_ptes: region(layout::SYSTEM_PTES),
            stacks: region(layout::STACKS),
            images: region(layout::IMAGES),
        })
    }

    /// Sets one leaf at a fixed address.
    pub fn set_leaf(&mut self, address: u64, level: u8, entry: u64) -> Result<(), MemoryError> {
        let mut frames = Zeroed {
            map: self.map,
            frames: &mut self.frames,
        };
        self.tables
            .set(&self.map, &mut frames, address, level, entry)
            .map_err(|error| match error {
                RadixError::Exhausted => MemoryError::Exhausted,
                RadixError::Occupied => MemoryError::BadRange,
            })
    }

    /// Maps frames to fresh addresses of `part`, a guard page behind.
    pub fn map_frames(
        &mut self,
        part: Part,
        frames: &[Pfn],
        cache: Cache,
        protection: Protection,
    ) -> Result<VirtAddr, MemoryError> {
        if frames.is_empty() {
            return Err(MemoryError::BadRange);
        }
        let pages = frames.len() as u64;
        let start = self
            .region(part)
            .reserve(pages)
            .ok_or(MemoryError::Exhausted)?;
        for (address, frame) in page_addresses(start, pages).zip(frames) {
            let entry = entry::encode(*frame, cache, protection);
            if let Err(error) = self.set_leaf(address, 1, entry) {
                for mapped in page_addresses(start, pages).take_while(|mapped| *mapped < address) {
                    self.tables.clear(&self.map, mapped);
                }
                self.region(part).release(start);
                return Err(error);
            }
        }
        Ok(start)
    }

    /// Unmaps the piece that starts at `start` and gives its frames.
    pub fn unmap_frames(&mut self, part: Part, start: VirtAddr) -> Result<Vec<Pfn>, MemoryError> {
        let pages = self
            .region(part)
            .release(start)
            .ok_or(MemoryError::NotMapped)?;
        let mut frames = Vec::new();
        for address in page_addresses(start, pages) {
            let leaf = self.tables.clear(&self.map, address);
            tlb::flush_page(address);
            frames.extend(leaf.map(|leaf| Pfn::containing(leaf.target(address))));
        }
        Ok(frames)
    }

    /// Allocates frames anywhere and maps them.
    pub fn allocate_backed(
        &mut self,
        part: Part,
        pages: u64,
        protection: Protection,
        fill: u64,
    ) -> Result<VirtAddr, MemoryError> {
        if pages > self.frames.free_count() {
            return Err(MemoryError::Exhausted);
        }
        let mut frames = Vec::new();
        for _ in 0..pages {
            let Some(frame) = self.frames.take(&FrameLimits::ANYWHERE) else {
                break;
            };
            self.map.fill(frame, fill);
            frames.push(frame);
        }
        let result = if frames.len() as u64 == pages {
            self.map_frames(part, &frames, Cache::Cached, protection)
        } else {
            Err(MemoryError::Exhausted)
        };
        if result.is_err() {
            self.release_frames(&frames).expect("they were just taken");
        }
        result
    }

    /// Unmaps a piece and frees its frames; returns the number of pages.
    pub fn free_backed(&mut self, part: Part, start: VirtAddr) -> Result<u64, MemoryError> {
        let frames = self.unmap_frames(part, start)?;
        self.release_frames(&frames)
            .expect("mapped frames of this part are in use");
        Ok(frames.len() as u64)
    }

    /// Takes up to `pages` frames, laid out as asked.
    pub fn take_laid_out(
        &mut self,
        pages: u64,
        page_layout: PageLayout,
        limits: &FrameLimits,
    ) -> Vec<Pfn> {
        let (chunk, alignment) = match page_layout {
            PageLayout::Scattered => (1, 1),
            PageLayout::Chunks(chunk) if chunk.is_power_of_two() => (chunk, chunk),
            PageLayout::Chunks(_) => return Vec::new(),
            PageLayout::Contiguous => (pages, 1),
        };
        let limits = FrameLimits {
            alignment,
            ..*limits
        };
        let mut frames: Vec<Pfn> = Vec::new();
        while (frames.len() as u64) < pages {
            let taken = if page_layout == PageLayout::Scattered {
                self.frames.take_apart(frames.last().copied(), &limits)
            } else {
                self.frames.take_run(chunk, &limits)
            };
            let Some(first) = taken else { break };
            frames.extend((first.raw()..first.raw() + chunk).map(Pfn::new));
        }
        frames
    }

    /// Chooses from which side of 4 GiB frames come.
    pub fn prefer(&mut self, order: MemoryOrder) {
        self.frames.prefer(order);
    }

    /// Poisons and frees frames; the error is the first one that is not in use.
    pub fn release_frames(&mut self, frames: &[Pfn]) -> Result<(), Pfn> {
        for frame in frames {
            if !self.frames.give_back(*frame) {
                return Err(*frame);
            }
            self.map.fill(*frame, FREE_POISON);
        }
        Ok(())
    }

    /// What the tables yield.
    pub fn translate(&self, address: u64) -> Option<GuestPhysAddr> {
        let leaf = self.tables.lookup(&self.map, address)?;
        Some(leaf.target(address))
    }

    /// Changes the protection of mapped 4 KiB pages.
    pub fn protect(
        &mut self,
        start: VirtAddr,
        pages: u64,
        protection: Protection,
    ) -> Result<(), MemoryError> {
        for address in page_addresses(start, pages) {
            let leaf = self
                .tables
                .lookup(&self.map, address)
                .filter(|leaf| leaf.level == 1)
                .ok_or(MemoryError::NotMapped)?;
            let entry = entry::with_protection(leaf.entry, protection);
            self.tables.replace(&self.map, address, entry);
            tlb::flush_page(address);
        }
        Ok(())
    }

    /// The first address of the range whose page does not satisfy `is_allowed(entry)`.
    pub fn first_refused(
        &self,
        start: u64,
        len_bytes: u64,
        is_allowed: impl Fn(u64) -> bool,
    ) -> Option<u64> {
        let Some(last) = start.checked_add(len_bytes.max(1) - 1) else {
            return Some(start);
        };
        let mut address = start;
        loop {
            let is_canonical = VirtAddr::try_new(address).is_ok();
            let leaf = self.tables.lookup(&self.map, address);
            if !is_canonical || !leaf.is_some_and(|leaf| is_allowed(leaf.entry)) {
                return Some(address);
            }
            let next_page = (address | (PAGE_SIZE - 1)).checked_add(1);
            match next_page.filter(|next| *next <= last) {
                Some(next) => address = next,
                None => return None,
            }
        }
    }

    pub fn region(&mut self, part: Part) -> &mut Region {
        match part {
            Part::Pool => &mut self.pool,
            Part::SystemPtes => &mut self.system_ptes,
            Part::Stacks => &mut self.stacks,
            Part::Images => &mut self.images,
        }
    }

    /// The source of tables, for trees of others (VT-d).
    pub fn table_frames(&mut self) -> Zeroed<'_> {
        Zeroed {
            map: self.map,
            frames: &mut self.frames,
        }
    }
}

/// Frames for tables: zeroed when taken.
pub(super) struct Zeroed<'space> {
    map: DirectMap,
    frames: &'space mut Frames,
}

impl TableFrames for Zeroed<'_> {
    fn take(&mut self) -> Option<Pfn> {
        let frame = self.frames.take(&FrameLimits::ANYWHERE)?;
        self.map.fill(frame, 0);
        Some(frame)
    }

    fn give_back(&mut self, frame: Pfn) {
        self.map.fill(frame, FREE_POISON);
        assert!(
            self.frames.give_back(frame),
            "a table's frame is in use until here"
        );
    }
}

/// The first address of each page.
pub(super) fn page_addresses(start: VirtAddr, pages: u64) -> impl Iterator<Item = u64> {
    (0..pages).map(move |page| start.as_u64() + page * PAGE_SIZE)
}

#[cfg(test)]
#[path = "space_tests.rs"]
mod tests;
