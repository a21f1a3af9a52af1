//! [`Endpoint`], and what is handed to it.

use std::fmt;

use crate::bus::{DmaBus, MessageError, Ticket};
use crate::channel_id::ChannelId;
use crate::event::EndpointEvent;
use crate::host::HostQueueFull;
use crate::live::LiveReference;
use crate::register_map::RegisterInfo;
use crate::request::Request;
use crate::sabotage::Sabotage;
use crate::tick::Tick;

/// The function's power state, as far as DMA is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PowerState {
    /// D0: DMA is allowed.
    D0,
    /// D1, D2 or D3: every request ends with `DMA_STATUS_POWER_STATE`.
    Low,
}

/// What [`Endpoint::work`] leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is work that needs no event: take the events, serve others, call again.
    More,
    /// Nothing to do before the next register write, host request, message answer, tick
    /// ([`Endpoint::next_tick`]), or room for messages after [`crate::SubmitError::Busy`].
    Idle,
}

/// When something comes in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// The time.
    pub now: Tick,
    /// The mapping epoch, to be stamped on requests that begin or end here.
    pub mapping_epoch: u64,
}

/// What an endpoint works with, for the time of one step.
pub struct WorkContext<'a> {
    /// The way to memory.
    pub bus: &'a mut dyn DmaBus,
    /// The time.
    pub now: Tick,
}

/// What lies behind a function's BARs. No method waits and none reads a clock.
///
/// Every value in an access comes from the guest: any offset and length inside the BAR is possible,
/// and none may panic, hang or allocate without bound.
pub trait Endpoint: fmt::Debug {
    /// Channels that the device has. The host's requests are recorded as the channel behind the last.
    fn channel_count(&self) -> u8;

    /// The registers that there are, for the report of what a driver has touched; asked once. None means
    /// that nothing is counted.
    fn register_map(&self) -> Vec<RegisterInfo> {
        Vec::new()
    }

    /// Reads from a BAR. `data` is to be filled wholly.
    fn read(&mut self, bar: u8, offset: u64, data: &mut [u8], at: Moment);

    /// Writes to a BAR. QEMU waits for the answer to some writes, and answers DMA only then: a write
    /// only latches work, which [`Self::work`] does.
    fn write(&mut self, bar: u8, offset: u64, data: &[u8], at: Moment);

    /// The channel whose doorbell a write to these bytes of a BAR would ring, if it would ring any.
    fn doorbell(&self, bar: u8, offset: u64, len_bytes: usize) -> Option<ChannelId> {
        let _ = (bar, offset, len_bytes);
        None
    }

    /// Works for one slice, of at most 1 MiB, and does what is due at `context.now`.
    fn work(&mut self, context: &mut WorkContext<'_>) -> Progress;

    /// When [`Self::work`] is to be called at the latest although nothing happens.
    fn next_tick(&self) -> Option<Tick> {
        None
    }

    /// Takes the platform's answer to a message: the bytes of a read, or nothing for a write. Every
    /// ticket is answered once; answers to unknown tickets are ignored.
    fn message_done(&mut self, ticket: Ticket, answer: Result<&[u8], MessageError>);

    /// Ends all messages under way with [`MessageError::Disconnected`].
    fn disconnected(&mut self);

    /// Brings everything to its state after power-on, as a function-level or conventional reset does.
    /// Bus mastering, power state and sabotage stay as set.
    fn reset(&mut self, at: Moment);

    /// Takes the bus master bit of the command register.
    fn set_bus_master(&mut self, enabled: bool);

    /// Takes the function's power state.
    fn set_power_state(&mut self, state: PowerState);

    /// Whether the function wants its INTx line asserted.
    fn is_intx_asserted(&self) -> bool;

    /// Every address that is held and may be accessed without a further doorbell.
    fn live_references(&self) -> Vec<LiveReference>;

    /// Hands out what has happened since the last call, in order.
    fn take_events(&mut self) -> Vec<EndpointEvent>;

    /// Queues a device-side request of the host; its record carries the number returned here.
    ///
    /// # Errors
    /// [`HostQueueFull`].
    fn submit_host(&mut self, request: Request) -> Result<u64, HostQueueFull>;

    /// Sets a sabotage that acts `times` times, or takes it away.
    fn set_sabotage(&mut self, sabotage: Option<Sabotage>, times: u32);

    /// How many times the sabotage set last has acted.
    fn sabotage_fired(&self) -> u32;
}
