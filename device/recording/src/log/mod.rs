//! The event log: every input of a device, in order, as compact binary.
//!
//! A file is a header and blocks. A block is its length, its CRC-32C, and whole events; so a file
//! that ends anywhere, as after kill -9, is good up to its last whole block. Reading holds one block
//! in memory, whatever the file says.

mod decode;
mod encode;
mod event;
mod reader;
mod varint;
mod writer;

pub use event::{
    Event, Irqs, Mapping, MappingFile, Outcome, ReplyFailure, ResetInput, SubmitFailure, Unmapping,
};
pub use reader::{LogEnd, LogError, LogReader, Position};
pub use writer::{DEFAULT_MAX_LOG_BYTES, LogWriter, MAX_SLICES};

/// First bytes of a file.
const MAGIC: &[u8; 8] = b"DMARIGEV";
/// Version of the format; a reader takes this one alone.
pub const LOG_VERSION: u32 = 1;
/// Most bytes of a block's events. The largest event is one read of guest memory.
const MAX_BLOCK_BYTES: usize = 4 << 20;
/// A block is written when it has so many bytes.
const BLOCK_BYTES: usize = 64 << 10;
/// Length and CRC-32C in front of a block.
const BLOCK_HEADER_BYTES: usize = 8;
