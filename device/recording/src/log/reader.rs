//! [`LogReader`]: reads events back, one block at a time.

use std::io::{self, Read};

use thiserror::Error;

use super::decode;
use super::event::Event;
use super::{BLOCK_BYTES, BLOCK_HEADER_BYTES, LOG_VERSION, MAGIC, MAX_BLOCK_BYTES};

/// Why a log cannot be read on.
#[derive(Debug, Error)]
pub enum LogError {
    /// The file cannot be read.
    #[error("the event log cannot be read")]
    Read(#[from] io::Error),
    /// It is no event log.
    #[error(
        "this is no event log: it does not begin with {:?}",
        String::from_utf8_lossy(MAGIC)
    )]
    NoLog,
    /// It is of another version.
    #[error(
        "the event log has version {version}, this dmarig reads version {LOG_VERSION}\nhelp: replay it with the dmarig that recorded it; the bundle names it"
    )]
    Version {
        /// The version.
        version: u32,
    },
    /// A block is damaged.
    #[error("the event log is damaged at byte {offset:#x} (block {block}): {problem}")]
    Damaged {
        /// The block, from 0.
        block: u64,
        /// Where in the file it begins.
        offset: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// How the events come to their end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEnd {
    /// The file is over, without a last word: the process was killed.
    Truncated,
    /// The log was full.
    Cut,
}

/// A place among the events, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Events that were read.
    pub event: u64,
    /// The block that the last one lay in, from 0.
    pub block: u64,
}

/// Reads a log. At most one block of at most 4 MiB is in memory.
#[derive(Debug)]
pub struct LogReader<R> {
    file: R,
    block: Vec<u8>,
    /// Where in the block the next event begins.
    next: usize,
    n_blocks: u64,
    n_events: u64,
    /// Where in the file the next block begins.
    offset: u64,
}

impl<R: Read> LogReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`LogError::NoLog`], [`LogError::Version`], or the file's own.
    pub fn new(mut file: R) -> Result<Self, LogError> {
        let mut header = [0; 12];
        if read_full(&mut file, &mut header)? < header.len() {
            return Err(LogError::NoLog);
        }
        let (magic, version) = header.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(LogError::NoLog);
        }
        let version = u32::from_le_bytes(version.try_into().expect("4 of 12 bytes"));
        if version != LOG_VERSION {
            return Err(LogError::Version { version });
        }
        Ok(Self {
            file,
            block: Vec::new(),
            next: 0,
            n_blocks: 0,
            n_events: 0,
            offset: 12,
        })
    }

    /// The next event; `None` where the file ends.
    ///
    /// # Errors
    /// [`LogError::Damaged`], or the file's own.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, LogError> {
        if !self.fill()? {
            return Ok(None);
        }
        let mut rest = &self.block[self.next..];
        let before = rest.len();
        let event = decode::event(&mut rest).map_err(|problem| LogError::Damaged {
            block: self.n_blocks - 1,
            offset: self.block_offset(),
            problem,
        })?;
        self.next += before - rest.len();
        self.n_events += 1;
        Ok(Some(event))
    }

    /// The next event, which [`Self::next_event`] gives again; `None` where the file ends.
    ///
    /// # Errors
    /// As [`Self::next_event`].
    pub fn peek(&mut self) -> Result<Option<Event<'_>>, LogError> {
        if !self.fill()? {
            return Ok(None);
        }
        let mut rest = &self.block[self.next..];
        let event = decode::event(&mut rest).map_err(|problem| LogError::Damaged {
            block: self.n_blocks - 1,
            offset: self.block_offset(),
            problem,
        })?;
        Ok(Some(event))
    }

    /// How far the events were read.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position {
            event: self.n_events,
            block: self.n_blocks.saturating_sub(1),
        }
    }

    /// Sees to it that an event lies in the block; `false` where the file ends.
    fn fill(&mut self) -> Result<bool, LogError> {
        while self.next >= self.block.len() {
            if !self.read_block()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads the next block; `false` where the file ends, be it in the middle of a block.
    fn read_block(&mut self) -> Result<bool, LogError> {
        let mut header = [0; BLOCK_HEADER_BYTES];
        if read_full(&mut self.file, &mut header)? < header.len() {
            return Ok(false);
        }
        let [length, crc] = [0, 4].map(|at| {
            let bytes = header[at..at + 4].try_into().expect("4 of 8 bytes");
            u32::from_le_bytes(bytes)
        });
        let damaged = |problem| LogError::Damaged {
            block: self.n_blocks,
            offset: self.offset,
            problem,
        };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length == 0 || length > MAX_BLOCK_BYTES + BLOCK_BYTES + 64 {
            return Err(damaged("its length is impossible"));
        }
        self.block.resize(length, 0);
        if read_full(&mut self.file, &mut self.block)? < length {
            self.block.clear();
            self.next = 0;
            return Ok(false);
        }
        if crc32c::crc32c(&self.block) != crc {
            return Err(damaged("its CRC-32C does not fit its bytes"));
        }
        self.next = 0;
        self.n_blocks += 1;
        self.offset += u64::try_from(BLOCK_HEADER_BYTES + length).expect("usize fits into u64");
        Ok(true)
    }

    fn block_offset(&self) -> u64 {
        self.offset
            .saturating_sub(u64::try_from(BLOCK_HEADER_BYTES + self.block.len()).unwrap_or(0))
    }
}

/// Fills the buffer as far as the file reaches, and returns the number of bytes.
fn read_full(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read(&mut buffer[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
