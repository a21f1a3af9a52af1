//! The model's memory: frames that are handed out contiguous or scattered.

use std::collections::BTreeMap;

pub const PAGE: u64 = 0x1000;
const FRAMES: u64 = 0x1_0000;

pub struct Memory {
    frames: BTreeMap<u64, Box<[u8; 0x1000]>>,
    next: u64,
}

impl Memory {
    pub fn new() -> Self {
        Self {
            frames: BTreeMap::new(),
            next: 0x3000,
        }
    }

    pub fn size_bytes(&self) -> u64 {
        FRAMES * PAGE
    }

    pub fn contains(&self, pfn: u64) -> bool {
        pfn < FRAMES
    }

    pub fn read(&self, phys: u64) -> u8 {
        self.frames
            .get(&(phys / PAGE))
            .map_or(0, |frame| frame[in_page(phys)])
    }

    pub fn write(&mut self, phys: u64, byte: u8) {
        let frame = self.frames.entry(phys / PAGE);
        frame.or_insert_with(|| Box::new([0; 0x1000]))[in_page(phys)] = byte;
    }

    /// Frames in ascending order; with a gap behind each if `scattered`.
    pub fn allocate(&mut self, pages: u64, scattered: bool) -> Vec<u64> {
        let stride = if scattered { 2 } else { 1 };
        let first = self.next;
        self.next += pages * stride;
        (0..pages).map(|index| first + index * stride).collect()
    }
}

fn in_page(phys: u64) -> usize {
    usize::try_from(phys % PAGE).expect("below a page")
}
