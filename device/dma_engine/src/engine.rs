//! [`Engine`]: owns registers and channels, and shares time among the channels.

use thiserror::Error;

use crate::bus::{DmaBus, MessageError, Ticket};
use crate::event::EngineEvent;
use crate::request::Request;
use crate::sabotage::Sabotage;

/// Most bytes that a channel moves before it is the next channel's turn.
pub const SLICE_BYTES: u64 = 1 << 20;

/// What a device file may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Channels with registers, 1 to `DUT_CHANNELS`.
    pub channels: u8,
    /// Address bits that the device drives, 32 to 64; a range beyond ends with `DMA_STATUS_ADDRESS`.
    pub address_width_bits: u8,
}

/// The function's power state, as far as DMA is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerState {
    /// D0: DMA is allowed.
    D0,
    /// D1, D2 or D3: every request ends with `DMA_STATUS_POWER_STATE`.
    Low,
}

/// What [`Engine::run`] leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is work that needs no event: call again.
    More,
    /// Nothing to do before the next register write, host request or message answer.
    Idle,
}

/// The host's queue holds as many requests as it can.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{queued} device-side requests are queued already: wait for one to end")]
pub struct HostQueueFull {
    /// Requests in the queue.
    pub queued: usize,
}

/// The DMA engine of the device under test.
#[derive(Debug)]
pub struct Engine {
    events: Vec<EngineEvent>,
}

impl Engine {
    /// An engine after power-on: D0, bus mastering off.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        let _ = config;
        Self { events: Vec::new() }
    }

    /// Reads from the register BAR: any offset, any length; what is no register reads as zero.
    pub fn read(&self, offset: u64, data: &mut [u8], mapping_epoch: u64) {
        let _ = (offset, mapping_epoch);
        data.fill(0);
    }

    /// Writes to the register BAR: any offset, any length. A doorbell only notes the work; it is done
    /// by [`Self::run`].
    pub fn write(&mut self, offset: u64, data: &[u8], mapping_epoch: u64) {
        let _ = (offset, data, mapping_epoch);
    }

    /// Brings everything to its state after power-on, as a function-level or conventional reset does.
    /// Requests under way end with `DMA_STATUS_ABORTED`; bus mastering and power state stay as set.
    pub fn reset(&mut self, mapping_epoch: u64) {
        let _ = mapping_epoch;
    }

    /// Tells the engine the bus master bit of the command register.
    pub fn set_bus_master(&mut self, enabled: bool) {
        let _ = enabled;
    }

    /// Tells the engine the function's power state.
    pub fn set_power_state(&mut self, state: PowerState) {
        let _ = state;
    }

    /// Sets a sabotage that acts `times` times, or takes it away.
    pub fn set_sabotage(&mut self, sabotage: Option<Sabotage>, times: u32) {
        let _ = (sabotage, times);
    }

    /// How many times the sabotage set last has acted.
    #[must_use]
    pub fn sabotage_fired(&self) -> u32 {
        0
    }

    /// Queues a device-side request of the host; its record carries the number returned here.
    ///
    /// # Errors
    /// [`HostQueueFull`].
    pub fn submit_host(&mut self, request: Request) -> Result<u64, HostQueueFull> {
        let _ = request;
        Ok(0)
    }

    /// Lets the channels work in turn, at most `slices` slices of at most [`SLICE_BYTES`].
    pub fn run(&mut self, bus: &mut impl DmaBus, slices: u32) -> Progress {
        let _ = (bus, slices);
        Progress::Idle
    }

    /// Takes the platform's answer to a message: the bytes of a read, or nothing for a write. Call
    /// [`Self::run`] afterwards. Answers to forgotten messages are ignored.
    pub fn message_done(&mut self, ticket: Ticket, answer: Result<&[u8], MessageError>) {
        let _ = (ticket, answer);
    }

    /// Whether the function wants its INTx line asserted: an enabled cause whose request asked for
    /// an interrupt has not been cleared yet.
    #[must_use]
    pub fn is_intx_asserted(&self) -> bool {
        false
    }

    /// Hands out what has happened since the last call, in order.
    pub fn take_events(&mut self) -> Vec<EngineEvent> {
        std::mem::take(&mut self.events)
    }
}
