//! [`Controller`]: the DMA registers, the buffer, and the one transfer.

use std::ops::Range;
use std::time::Duration;

use board::{BoardIo, ChannelId, DmaDone, DmaJob, Origin, Tick};
use dmarig_abi::Iova;

use crate::registers::{
    COMMAND_INTERRUPT, COMMAND_RUN, COMMAND_TO_MEMORY, DMA_COMMAND, DMA_COUNT, DMA_DESTINATION,
    DMA_SOURCE,
};

/// Where the buffer lies among the device's own addresses.
const BUFFER_START: u64 = 0x4_0000;
const BUFFER_LEN: usize = 4096;
/// The device puts 28 bits of an address on the bus, and drops the others.
const ADDRESS_MASK: u64 = (1 << 28) - 1;
/// How long after its command a transfer is made.
const DELAY: Duration = Duration::from_millis(100);
const CHANNEL: ChannelId = ChannelId::new(0);

/// The DMA controller.
#[derive(Debug)]
pub(crate) struct Controller {
    source: u64,
    destination: u64,
    count: u64,
    command: u64,
    /// When the transfer that was started begins.
    begin: Option<Tick>,
    buffer: Box<[u8; BUFFER_LEN]>,
}

impl Controller {
    pub(crate) fn new() -> Self {
        Self {
            source: 0,
            destination: 0,
            count: 0,
            command: 0,
            begin: None,
            buffer: Box::new([0; BUFFER_LEN]),
        }
    }

    /// A register, if there is one at `offset`.
    pub(crate) fn register(&self, offset: u64) -> Option<u64> {
        match offset {
            DMA_SOURCE => Some(self.source),
            DMA_DESTINATION => Some(self.destination),
            DMA_COUNT => Some(self.count),
            DMA_COMMAND => Some(self.command),
            _ => None,
        }
    }

    /// Takes a write. While a transfer is under way all of them are dropped.
    pub(crate) fn write(&mut self, offset: u64, value: u64, now: Tick) {
        if self.command & COMMAND_RUN != 0 {
            return;
        }
        match offset {
            DMA_SOURCE => self.source = value,
            DMA_DESTINATION => self.destination = value,
            DMA_COUNT => self.count = value,
            DMA_COMMAND if value & COMMAND_RUN != 0 => {
                self.command = value;
                self.begin = Some(now.after(DELAY));
            }
            _ => {}
        }
    }

    /// When [`Self::begin`] is to be called.
    pub(crate) fn next_tick(&self) -> Option<Tick> {
        self.begin
    }

    /// Makes the transfer if its time has come; whether it has ended at once, with nothing to move.
    pub(crate) fn begin(&mut self, io: &mut BoardIo<'_>) -> bool {
        if self.begin.take_if(|begin| *begin <= io.now()).is_none() {
            return false;
        }
        let job = if self.command & COMMAND_TO_MEMORY != 0 {
            self.range(self.source).map(|range| DmaJob::Write {
                iova: Iova::new(self.destination & ADDRESS_MASK),
                bytes: self.buffer[range].to_vec(),
            })
        } else {
            self.range(self.destination).map(|range| DmaJob::Read {
                iova: Iova::new(self.source & ADDRESS_MASK),
                len_bytes: u32::try_from(range.len()).unwrap_or(0),
            })
        };
        let is_empty = self.count == 0;
        let queued = job
            .filter(|_| !is_empty)
            .map(|job| io.dma(CHANNEL, Origin::Register, job));
        !matches!(queued, Some(Ok(_)))
    }

    /// Takes what a transfer has read. A byte that was refused leaves the buffer as it was.
    pub(crate) fn take(&mut self, done: &DmaDone) {
        let moved = usize::try_from(done.record.done_bytes).unwrap_or(0);
        let bytes = &done.bytes[..moved.min(done.bytes.len())];
        if let Some(range) = self.range(self.destination) {
            let room = self.buffer[range].iter_mut();
            room.zip(bytes).for_each(|(to, from)| *to = *from);
        }
    }

    /// Ends the transfer; whether an interrupt follows.
    pub(crate) fn end(&mut self) -> bool {
        self.command &= !COMMAND_RUN;
        self.command & COMMAND_INTERRUPT != 0
    }

    /// The part of the buffer that begins at an address of the device's own and is `count` long.
    fn range(&self, start: u64) -> Option<Range<usize>> {
        let offset = usize::try_from(start.checked_sub(BUFFER_START)?).ok()?;
        let end = offset.checked_add(usize::try_from(self.count).ok()?)?;
        (end <= BUFFER_LEN).then_some(offset..end)
    }
}
