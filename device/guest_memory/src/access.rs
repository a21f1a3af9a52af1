//! [`MappedRange`]: some mapped bytes, and all that can be done with them.

use std::sync::atomic::{Ordering, fence};

use thiserror::Error;
use vm_memory::{Bytes, VolatileSlice};

/// Size of the buffer that bytes pass through when they are visited or filled.
const CHUNK_SIZE: usize = 4096;

/// A range goes beyond the memory it is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("range at {offset:#x} of length {len:#x} goes beyond {size:#x} bytes")]
pub struct OutOfRange {
    /// First byte asked for.
    pub offset: u64,
    /// Bytes asked for.
    pub len: u64,
    /// Bytes there are.
    pub size: u64,
}

/// Why a word cannot be loaded or stored in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("no word of {size} bytes lies at {offset:#x}: beyond the end or misaligned")]
pub struct WordError {
    /// Offset asked for.
    pub offset: usize,
    /// Size of the word in bytes.
    pub size: usize,
}

/// A range of mapped memory that others change at any time.
///
/// Bytes are copied in or out, each at most once for each call. Everything a call wrote becomes
/// visible before what later calls write, and what a call read is as old as that call or newer.
#[derive(Clone, Copy, Debug)]
pub struct MappedRange<'a> {
    slice: VolatileSlice<'a>,
}

impl<'a> MappedRange<'a> {
    pub(crate) fn new(slice: VolatileSlice<'a>) -> Self {
        Self { slice }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.slice.len()
    }

    /// Tells whether the range has no bytes.
    pub fn is_empty(&self) -> bool {
        self.slice.is_empty()
    }

    /// Takes a part of the range.
    ///
    /// # Errors
    /// [`OutOfRange`] if the part goes beyond the range.
    pub fn part(&self, offset: usize, len: usize) -> Result<Self, OutOfRange> {
        self.slice
            .subslice(offset, len)
            .map(Self::new)
            .map_err(|_| OutOfRange {
                offset: wide(offset),
                len: wide(len),
                size: wide(self.len()),
            })
    }

    /// Copies the first bytes of the range into `buffer`, as many as both have, and returns
    /// their number.
    pub fn read_into(&self, buffer: &mut [u8]) -> usize {
        let count = self.slice.copy_to(buffer);
        fence(Ordering::Acquire);
        count
    }

    /// Copies `data` to the start of the range, as many bytes as both have, and returns their
    /// number.
    pub fn write_from(&self, data: &[u8]) -> usize {
        fence(Ordering::Release);
        self.slice.copy_from(data);
        fence(Ordering::Release);
        self.len().min(data.len())
    }

    /// Sets every byte.
    pub fn fill(&self, byte: u8) {
        let chunk = [byte; CHUNK_SIZE];
        for part in self.chunks() {
            let len = part.len();
            part.write_from(&chunk[..len]);
        }
    }

    /// Copies the first bytes of the range to `target`, as many as both have, and returns their
    /// number. The ranges may overlap.
    pub fn copy_to(&self, target: &MappedRange<'_>) -> usize {
        self.slice.copy_to_volatile_slice(target.slice);
        fence(Ordering::AcqRel);
        self.len().min(target.len())
    }

    /// Shows the bytes in order, in copies of at most 4 KiB: for checksums and comparisons.
    pub fn visit(&self, mut visitor: impl FnMut(&[u8])) {
        let mut buffer = [0; CHUNK_SIZE];
        for part in self.chunks() {
            let count = part.read_into(&mut buffer);
            visitor(&buffer[..count]);
        }
    }

    /// Loads a 32-bit word in one piece, with acquire ordering.
    ///
    /// # Errors
    /// [`WordError`] if the word is misaligned or goes beyond the range.
    pub fn load_u32(&self, offset: usize) -> Result<u32, WordError> {
        let word = self.slice.load(offset, Ordering::Acquire);
        word.map_err(|_| word_error::<u32>(offset))
    }

    /// Stores a 32-bit word in one piece, with release ordering.
    ///
    /// # Errors
    /// [`WordError`] if the word is misaligned or goes beyond the range.
    pub fn store_u32(&self, offset: usize, word: u32) -> Result<(), WordError> {
        let stored = self.slice.store(word, offset, Ordering::Release);
        stored.map_err(|_| word_error::<u32>(offset))
    }

    /// Loads a 64-bit word in one piece, with acquire ordering.
    ///
    /// # Errors
    /// [`WordError`] if the word is misaligned or goes beyond the range.
    pub fn load_u64(&self, offset: usize) -> Result<u64, WordError> {
        let word = self.slice.load(offset, Ordering::Acquire);
        word.map_err(|_| word_error::<u64>(offset))
    }

    /// Stores a 64-bit word in one piece, with release ordering.
    ///
    /// # Errors
    /// [`WordError`] if the word is misaligned or goes beyond the range.
    pub fn store_u64(&self, offset: usize, word: u64) -> Result<(), WordError> {
        let stored = self.slice.store(word, offset, Ordering::Release);
        stored.map_err(|_| word_error::<u64>(offset))
    }

    fn chunks(&self) -> impl Iterator<Item = MappedRange<'a>> + use<'a> {
        let range = *self;
        (0..range.len()).step_by(CHUNK_SIZE).map(move |offset| {
            let len = CHUNK_SIZE.min(range.len() - offset);
            range.part(offset, len).expect("a chunk lies in its range")
        })
    }
}

fn word_error<T>(offset: usize) -> WordError {
    WordError {
        offset,
        size: size_of::<T>(),
    }
}

fn wide(size: usize) -> u64 {
    u64::try_from(size).expect("usize fits into u64 on every target of ours")
}
