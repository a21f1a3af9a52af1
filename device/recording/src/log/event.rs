//! [`Event`]: one input of a device.
//!
//! Most events are handed to the device from above. [`Event::Bytes`] and [`Event::SubmitFailed`] are
//! answers of the platform to what the device asks for while it works, and follow the event under
//! which it asked.

use crate::trace::LedgerHash;

/// One input; long data is borrowed from the device or from the block that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The guest reads `length` bytes of a region.
    RegionRead {
        /// Region of vfio-user.
        region: u32,
        /// First byte.
        offset: u64,
        /// Length in bytes.
        length: u32,
    },
    /// The guest writes a region.
    RegionWrite {
        /// Region of vfio-user.
        region: u32,
        /// First byte.
        offset: u64,
        /// The bytes.
        data: &'a [u8],
    },
    /// The platform makes memory reachable.
    Map(Mapping),
    /// The platform takes memory back.
    Unmap(Unmapping),
    /// The platform sets interrupts.
    SetIrqs(Irqs<'a>),
    /// The function is reset from outside.
    Reset(ResetInput),
    /// The platform is gone.
    Disconnected,
    /// The platform answers a DMA message.
    DmaReply {
        /// The how manieth message it was, from 1.
        ticket: u64,
        /// The bytes of a read, nothing for a write; or why it failed.
        outcome: Outcome<'a>,
    },
    /// The control socket changes the device: one JSON object.
    Control(&'a str),
    /// The device worked so many slices, with nothing between them.
    Work {
        /// Number of slices, 1 or more.
        slices: u64,
    },
    /// A timer of the device has come.
    Tick {
        /// Microseconds since power-on.
        us: u64,
    },
    /// What the device read of mapped memory with one access.
    Bytes(&'a [u8]),
    /// What the device read of mapped memory, all bytes being the same.
    Fill {
        /// The byte.
        byte: u8,
        /// How many.
        length: u64,
    },
    /// A DMA message could not be sent.
    SubmitFailed(SubmitFailure),
    /// Where the trace stands here.
    Checkpoint {
        /// Records so far.
        records: u64,
        /// Their hash.
        hash: LedgerHash,
    },
    /// The log has reached its size; events from here on are not in it.
    Cut,
    /// The device process ended in order; the trace is whole.
    End {
        /// Records.
        records: u64,
        /// Their hash.
        hash: LedgerHash,
    },
}

/// Memory made reachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub iova: u64,
    /// Length in bytes.
    pub size: u64,
    /// Reads are permitted.
    pub read: bool,
    /// Writes are permitted.
    pub write: bool,
    /// Where in the file the range begins.
    pub file_offset: u64,
    /// The file, if it could be mapped.
    pub file: Option<MappingFile>,
}

/// A file of guest memory, without its descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MappingFile {
    /// The how manieth file it was, from 0.
    pub number: u32,
    /// Its size in bytes at that time.
    pub size: u64,
}

/// Memory taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmapping {
    /// All there is.
    All,
    /// A range.
    Range {
        /// First address.
        iova: u64,
        /// Length in bytes.
        size: u64,
    },
}

/// A setting of interrupts that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Irqs<'a> {
    /// Kind: 0 INTx, 1 MSI, 2 MSI-X, 3 ERR, 4 REQ.
    pub index: u32,
    /// First vector.
    pub start: u32,
    /// Number of vectors.
    pub count: u32,
    /// 0 mask, 1 unmask, 2 trigger.
    pub action: u8,
    /// One byte a vector where flags came.
    pub flags: Option<&'a [u8]>,
    /// Number of eventfds, where eventfds were meant.
    pub eventfds: Option<u32>,
}

/// How the function is reset from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetInput {
    /// By the platform.
    Platform,
    /// By the control socket.
    Control,
}

/// The answer to a DMA message.
pub type Outcome<'a> = Result<&'a [u8], ReplyFailure>;

/// Why a DMA message brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyFailure {
    /// The platform answered with an error, or not as it should.
    Refused,
    /// It did not answer in time.
    TimedOut,
    /// It went away.
    Disconnected,
}

/// Why a DMA message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitFailure {
    /// There was no room.
    Busy,
    /// There was nobody to send it to, or it can never be sent.
    Unavailable,
}
