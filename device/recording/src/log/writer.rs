//! [`LogWriter`]: writes events, up to a bound.

use std::fmt;
use std::io::{self, Write};

use super::encode;
use super::event::Event;
use super::{BLOCK_BYTES, BLOCK_HEADER_BYTES, LOG_VERSION, MAGIC, MAX_BLOCK_BYTES};

/// Size of a log unless told otherwise.
pub const DEFAULT_MAX_LOG_BYTES: u64 = 64 << 20;
/// Most slices of work that one event counts, so that a reader can bound them.
pub const MAX_SLICES: u64 = 1 << 16;
/// Kept free for the last words: [`Event::Cut`] and a last position.
const RESERVE_BYTES: u64 = 256;

/// Writes a log. When it is full it says so, and takes nothing more.
pub struct LogWriter {
    file: Box<dyn Write + Send>,
    block: Vec<u8>,
    left_bytes: u64,
    /// Slices of work that are not written yet.
    slices: u64,
    /// Why nothing more is written.
    closed: Option<Closed>,
}

/// Why a log takes nothing more.
#[derive(Debug)]
enum Closed {
    Full,
    Ended,
    Failed(io::Error),
}

impl LogWriter {
    /// Begins a log of at most `max_bytes`.
    ///
    /// # Errors
    /// If the header cannot be written.
    pub fn new(mut file: Box<dyn Write + Send>, max_bytes: u64) -> io::Result<Self> {
        file.write_all(MAGIC)?;
        file.write_all(&LOG_VERSION.to_le_bytes())?;
        Ok(Self {
            file,
            block: Vec::with_capacity(BLOCK_BYTES + BLOCK_HEADER_BYTES),
            left_bytes: max_bytes.saturating_sub(RESERVE_BYTES),
            slices: 0,
            closed: None,
        })
    }

    /// Notes an event.
    pub fn note(&mut self, event: &Event<'_>) {
        if self.closed.is_some() {
            return;
        }
        if let Event::Work { slices } = event {
            self.slices += slices;
            if self.slices < MAX_SLICES {
                return;
            }
        }
        self.note_slices();
        if matches!(event, Event::Work { .. }) {
            return;
        }
        self.append(event);
    }

    /// Notes what one read of mapped memory brought.
    pub fn note_bytes(&mut self, data: &[u8]) {
        let event = match data.split_first() {
            // An event of bytes of its own is as short up to here.
            Some((first, rest)) if rest.len() > 16 && rest.iter().all(|byte| byte == first) => {
                Event::Fill {
                    byte: *first,
                    length: u64::try_from(data.len()).expect("usize fits into u64"),
                }
            }
            _ => Event::Bytes(data),
        };
        self.note(&event);
    }

    /// Whether the log takes events.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.closed.is_none()
    }

    /// Why the log could not be written, if so.
    #[must_use]
    pub const fn error(&self) -> Option<&io::Error> {
        match &self.closed {
            Some(Closed::Failed(error)) => Some(error),
            _ => None,
        }
    }

    /// Whether something waits to be written.
    #[must_use]
    pub const fn is_dirty(&self) -> bool {
        self.slices > 0 || !self.block.is_empty()
    }

    /// Writes what is kept back.
    pub fn flush(&mut self) {
        if self.closed.is_none() {
            self.note_slices();
        }
        self.write_block();
    }

    /// Writes the last event, [`Event::End`], and takes nothing more. A full log has said so.
    pub fn end(&mut self, end: &Event<'_>) {
        if self.closed.is_none() {
            self.note_slices();
            encode::event(end, &mut self.block);
            self.closed = Some(Closed::Ended);
        }
        self.write_block();
    }

    fn note_slices(&mut self) {
        let slices = std::mem::take(&mut self.slices);
        if slices > 0 {
            self.append(&Event::Work { slices });
        }
    }

    fn append(&mut self, event: &Event<'_>) {
        let before = self.block.len();
        encode::event(event, &mut self.block);
        let len = self.block.len() - before;
        let left = u64::try_from(len)
            .ok()
            .and_then(|len| self.left_bytes.checked_sub(len));
        match left {
            Some(left) if len <= MAX_BLOCK_BYTES => self.left_bytes = left,
            _ => {
                self.block.truncate(before);
                encode::event(&Event::Cut, &mut self.block);
                self.write_block();
                self.closed.get_or_insert(Closed::Full);
                return;
            }
        }
        if self.block.len() >= BLOCK_BYTES {
            self.write_block();
        }
    }

    fn write_block(&mut self) {
        if self.block.is_empty() {
            return;
        }
        let written = write(&mut self.file, &self.block);
        self.block.clear();
        self.left_bytes = self.left_bytes.saturating_sub(8);
        if let Err(error) = written {
            self.closed = Some(Closed::Failed(error));
        }
    }
}

fn write(file: &mut dyn Write, block: &[u8]) -> io::Result<()> {
    let length = u32::try_from(block.len()).map_err(io::Error::other)?;
    // One write for all of it, so that a kill leaves whole blocks.
    let mut bytes = Vec::with_capacity(block.len() + BLOCK_HEADER_BYTES);
    bytes.extend(length.to_le_bytes());
    bytes.extend(crc32c::crc32c(block).to_le_bytes());
    bytes.extend(block);
    file.write_all(&bytes)
}

impl fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogWriter")
            .field("left_bytes", &self.left_bytes)
            .field("closed", &self.closed)
            .finish_non_exhaustive()
    }
}
