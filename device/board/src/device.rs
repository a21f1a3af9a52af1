//! [`Board`], and [`BoardIo`], through which it reaches the rest of the device.

use std::fmt;

use dma_engine::{DmaDone, DmaJob, DmaQueueFull, DmaRequester};
use endpoint::{
    ChannelId, EndpointEvent, LiveReference, Moment, MsixVector, Origin, RegisterInfo, Tick,
};

/// Registers and what they do. No method waits, and none reads a clock.
///
/// Every value in an access comes from the guest: any offset and length inside the BAR is possible,
/// and none may panic, hang or allocate without bound.
pub trait Board: fmt::Debug {
    /// DMA channels, each of which does one job after the other.
    fn channel_count(&self) -> u8 {
        1
    }

    /// Bits of an address that the device can put on the bus.
    fn address_width_bits(&self) -> u8 {
        64
    }

    /// The registers that there are, for the report of what a driver has touched.
    fn register_map(&self) -> Vec<RegisterInfo> {
        Vec::new()
    }

    /// Reads from a BAR. `data` is zero, and is to be filled as far as there are registers.
    fn read(&mut self, bar: u8, offset: u64, data: &mut [u8], io: &mut BoardIo<'_>);

    /// Writes to a BAR.
    fn write(&mut self, bar: u8, offset: u64, data: &[u8], io: &mut BoardIo<'_>);

    /// The channel whose doorbell a write to these bytes of a BAR would ring, if it would ring any: where
    /// an injected fault asks for doorbells.
    fn doorbell(&self, bar: u8, offset: u64, len_bytes: usize) -> Option<ChannelId> {
        let _ = (bar, offset, len_bytes);
        None
    }

    /// Takes a job that has ended: every write of it has been answered, so now its end may show.
    fn dma_done(&mut self, done: DmaDone, io: &mut BoardIo<'_>) {
        let _ = (done, io);
    }

    /// When [`Self::on_tick`] is to be called.
    fn next_tick(&self) -> Option<Tick> {
        None
    }

    /// The tick asked for has come, or has passed.
    fn on_tick(&mut self, io: &mut BoardIo<'_>) {
        let _ = io;
    }

    /// Brings everything to its state after power-on. Jobs are ended, and none of them is handed back.
    fn reset(&mut self);

    /// Whether the INTx line is to be asserted.
    fn is_intx_asserted(&self) -> bool {
        false
    }

    /// Addresses that may be accessed without a further doorbell, but for those of jobs: rings.
    fn live_references(&self) -> Vec<LiveReference> {
        Vec::new()
    }
}

/// What a board may do while it is asked.
#[derive(Debug)]
pub struct BoardIo<'a> {
    pub(crate) at: Moment,
    pub(crate) dma: &'a mut DmaRequester,
    pub(crate) events: &'a mut Vec<EndpointEvent>,
}

impl BoardIo<'_> {
    /// The time.
    #[must_use]
    pub const fn now(&self) -> Tick {
        self.at.now
    }

    /// Asks for DMA; [`Board::dma_done`] gets the number returned here.
    ///
    /// # Errors
    /// [`DmaQueueFull`]: 64 jobs wait already, or [`DmaJob::Read`] or [`DmaJob::Write`] is longer than
    /// 1 MiB.
    pub fn dma(
        &mut self,
        channel: ChannelId,
        origin: Origin,
        job: DmaJob,
    ) -> Result<u64, DmaQueueFull> {
        self.dma.submit(channel, origin, job, self.at.mapping_epoch)
    }

    /// Raises a vector. Whether MSI-X is enabled is not the board's matter.
    pub fn raise(&mut self, vector: MsixVector) {
        if !self.dma.takes_interrupt() {
            self.events.push(EndpointEvent::Interrupt { vector });
        }
    }
}
