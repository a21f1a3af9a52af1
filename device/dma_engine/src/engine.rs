//! [`Engine`]: owns registers and channels.

use dmarig_abi::completion::DMA_STATUS_ABORTED;
use dmarig_abi::registers::{
    CONTROL_RESET, DUT_CHANNELS, DUT_ID_VALUE, DUT_MAX_CHANNELS, DUT_VERSION_VALUE,
};
use endpoint::{
    ChannelId, EndpointEvent, HostQueueFull, LiveReference, MessageError, PowerState, Request,
    Sabotage, StopScope, Tick, Ticket,
};

use crate::address_rules::AddressRules;
use crate::channel::Channel;
use crate::interrupt::InterruptUnit;
use crate::publish::done;
use crate::register_file::{RegisterId, RegisterWrite, pieces};
use crate::sabotage::SabotagePlan;
use crate::transfer::Scratch;

/// Channels 0 to 31 of the interrupt registers.
const LOW_HALF: u64 = 0xffff_ffff;
/// Most requests of the host that wait at once.
const HOST_QUEUE_MAX: usize = 64;
/// With so many events not taken the engine does no further work.
pub(crate) const EVENTS_MAX: usize = 4096;

#[expect(
    clippy::cast_possible_truncation,
    reason = "the ABI has 4 channels by default"
)]
const CHANNELS_DEFAULT: u8 = DUT_CHANNELS as u8;

/// What a device file may choose; values out of range are brought into it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineConfig {
    /// Channels with registers, 1 to `DUT_MAX_CHANNELS`.
    pub channels: u8,
    /// Which addresses the device can use; its width is 24 bits or more.
    pub addresses: AddressRules,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            channels: CHANNELS_DEFAULT,
            addresses: AddressRules::default(),
        }
    }
}

/// The DMA engine of the device under test.
#[derive(Debug)]
pub struct Engine {
    pub(crate) config: EngineConfig,
    /// The device's channels, then the host's.
    pub(crate) channels: Vec<Channel>,
    /// The channel whose turn it is.
    pub(crate) turn: usize,
    pub(crate) interrupts: InterruptUnit,
    register_scratch: u32,
    pub(crate) is_bus_master: bool,
    pub(crate) power_state: PowerState,
    last_host_id: u64,
    pub(crate) last_fence: u64,
    /// The time, as it was told last.
    pub(crate) now: Tick,
    pub(crate) sabotage: SabotagePlan,
    pub(crate) scratch: Scratch,
    pub(crate) events: Vec<EndpointEvent>,
    /// What the driver has stopped since the events were taken last; each once.
    stopped: Vec<(ChannelId, StopScope)>,
}

impl Engine {
    /// An engine after power-on: D0, bus mastering off.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        let max_channels = u8::try_from(DUT_MAX_CHANNELS).unwrap_or(u8::MAX);
        let config = EngineConfig {
            channels: config.channels.clamp(1, max_channels),
            addresses: config.addresses.in_range(),
        };
        let ids = (0..=config.channels).map(ChannelId::new);
        Self {
            config,
            channels: ids.map(Channel::new).collect(),
            turn: 0,
            interrupts: InterruptUnit::default(),
            register_scratch: 0,
            is_bus_master: false,
            power_state: PowerState::D0,
            last_host_id: 0,
            last_fence: 0,
            now: Tick::ZERO,
            sabotage: SabotagePlan::default(),
            scratch: Scratch::new(),
            events: Vec::new(),
            stopped: Vec::new(),
        }
    }

    /// Channels with registers.
    #[must_use]
    pub const fn channel_count(&self) -> u8 {
        self.config.channels
    }

    /// Reads from the register BAR: any offset, any length; what is no register reads as zero.
    pub fn read(&self, offset: u64, data: &mut [u8], mapping_epoch: u64) {
        data.fill(0);
        for piece in pieces(offset, data.len(), self.config.channels) {
            let channel = piece.channel.and_then(|id| self.channels.get(id.index()));
            let value = match channel {
                Some(channel) => channel.register(piece.register),
                None => self.register(piece.register, mapping_epoch),
            };
            let bytes = value.to_le_bytes();
            let from = bytes.iter().skip(piece.start);
            let to = &mut data[piece.range];
            to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
        }
    }

    /// Writes to the register BAR: any offset, any length. A doorbell only latches the work; it is
    /// done by [`Self::run`]. `mapping_epoch` is stamped on requests that the write issues or ends.
    pub fn write(&mut self, offset: u64, data: &[u8], mapping_epoch: u64) {
        for piece in pieces(offset, data.len(), self.config.channels) {
            let write = RegisterWrite {
                start: piece.start,
                bytes: &data[piece.range],
            };
            let channel = piece
                .channel
                .and_then(|id| self.channels.get_mut(id.index()));
            let Some(channel) = channel else {
                self.write_register(piece.register, write, mapping_epoch);
                continue;
            };
            let rules = &self.config.addresses;
            let (id, had_ring) = (channel.id(), channel.ring.is_some());
            let record = channel.write_register(piece.register, write, rules, mapping_epoch);
            // A guest that rings without end must not fill memory with refusals.
            if let Some(record) = record.filter(|_| self.events.len() < EVENTS_MAX) {
                self.events.push(done(record));
            }
            let ends_ring = piece.register == RegisterId::RingControl && write.covers_first_byte();
            if had_ring && ends_ring {
                self.note_stop(id, StopScope::Ring);
            }
        }
    }

    /// Brings everything to its state after power-on, as a function-level or conventional reset does.
    /// Requests under way end with `DMA_STATUS_ABORTED`. Bus mastering and power state stay as set,
    /// and so does a sabotage.
    pub fn reset(&mut self, mapping_epoch: u64) {
        for index in 0..self.channels.len() {
            let channel = &mut self.channels[index];
            channel.reset(mapping_epoch, &mut self.events);
            let id = channel.id();
            self.note_stop(id, StopScope::Channel);
        }
        self.interrupts = InterruptUnit::default();
        self.register_scratch = 0;
        self.sabotage.forget_held();
    }

    /// Tells the engine the bus master bit of the command register.
    pub fn set_bus_master(&mut self, enabled: bool) {
        self.is_bus_master = enabled;
    }

    /// Tells the engine the function's power state.
    pub fn set_power_state(&mut self, state: PowerState) {
        self.power_state = state;
    }

    /// Tells the engine the time, for rings that it polls.
    pub fn set_now(&mut self, now: Tick) {
        self.now = now;
    }

    /// When the engine is to run again although nothing happens: the next look at a ring that it polls.
    #[must_use]
    pub fn next_tick(&self) -> Option<Tick> {
        let is_on = self.is_bus_master && self.power_state == PowerState::D0;
        let ticks = self.channels.iter().filter_map(Channel::next_tick);
        ticks.min().filter(|_| is_on)
    }

    /// Sets a sabotage that acts `times` times, or takes it away.
    pub fn set_sabotage(&mut self, sabotage: Option<Sabotage>, times: u32) {
        self.sabotage.set(sabotage, times);
    }

    /// How many times the sabotage set last has acted.
    #[must_use]
    pub fn sabotage_fired(&self) -> u32 {
        self.sabotage.fired()
    }

    /// Queues a device-side request of the host; its record carries the number returned here.
    ///
    /// # Errors
    /// [`HostQueueFull`].
    pub fn submit_host(&mut self, request: Request) -> Result<u64, HostQueueFull> {
        let host = self.channels.last_mut().expect("new() made this channel");
        let queued = host.host_queue.len();
        if queued >= HOST_QUEUE_MAX {
            return Err(HostQueueFull { queued });
        }
        self.last_host_id += 1;
        host.host_queue.push_back((self.last_host_id, request));
        Ok(self.last_host_id)
    }

    /// Takes the platform's answer to a message: the bytes of a read, or nothing for a write. Call
    /// [`Self::run`] afterwards. Every ticket is to be answered once, if need be with an error: its
    /// channel does nothing else until then. Answers to unknown tickets are ignored.
    pub fn message_done(&mut self, ticket: Ticket, answer: Result<&[u8], MessageError>) {
        for channel in &mut self.channels {
            if channel.message_done(ticket, answer) {
                return;
            }
        }
    }

    /// Answers all messages under way with [`MessageError::Disconnected`].
    pub fn disconnected(&mut self) {
        self.channels.iter_mut().for_each(Channel::disconnected);
    }

    /// Whether the function wants its INTx line asserted: an enabled cause whose request asked for
    /// an interrupt has not been cleared yet.
    #[must_use]
    pub fn is_intx_asserted(&self) -> bool {
        self.interrupts.is_asserted()
    }

    /// Every address that the engine holds and may access without a further doorbell.
    #[must_use]
    pub fn live_references(&self) -> Vec<LiveReference> {
        let mut references = Vec::new();
        for channel in &self.channels {
            channel.live_references(&mut |reference| references.push(reference));
        }
        references
    }

    /// Hands out what has happened since the last call, in order.
    pub fn take_events(&mut self) -> Vec<EndpointEvent> {
        let events = std::mem::take(&mut self.events);
        if self.stopped.is_empty() {
            return events;
        }
        let stopped = self.stopped.drain(..);
        let stops = stopped.map(|(channel, scope)| EndpointEvent::Stopped { channel, scope });
        stops.chain(events).collect()
    }

    /// Notes each stop once, so that a guest that stops without end fills no memory.
    fn note_stop(&mut self, channel: ChannelId, scope: StopScope) {
        if !self.stopped.contains(&(channel, scope)) {
            self.stopped.push((channel, scope));
        }
    }

    /// The value of a register of the whole function.
    fn register(&self, register: RegisterId, mapping_epoch: u64) -> u64 {
        match register {
            RegisterId::Id => u64::from(DUT_ID_VALUE),
            RegisterId::Version => u64::from(DUT_VERSION_VALUE),
            RegisterId::Capabilities => u64::from(u16::from_le_bytes([
                self.config.channels,
                self.config.addresses.width_bits,
            ])),
            RegisterId::Scratch => u64::from(self.register_scratch),
            RegisterId::InterruptCause => self.interrupts.cause() & LOW_HALF,
            RegisterId::InterruptCauseHigh => self.interrupts.cause() >> 32,
            RegisterId::InterruptEnable => self.interrupts.enable() & LOW_HALF,
            RegisterId::InterruptEnableHigh => self.interrupts.enable() >> 32,
            RegisterId::MappingEpoch => mapping_epoch,
            _ => 0,
        }
    }

    /// Takes a write to a register of the whole function.
    fn write_register(
        &mut self,
        register: RegisterId,
        write: RegisterWrite<'_>,
        mapping_epoch: u64,
    ) {
        match register {
            RegisterId::Control if write.over_u32(0) & CONTROL_RESET != 0 => {
                self.control_reset(mapping_epoch);
            }
            RegisterId::Scratch => {
                self.register_scratch = write.over_u32(self.register_scratch);
            }
            RegisterId::InterruptCause => self.interrupts.clear(write.over_u32(0).into()),
            RegisterId::InterruptCauseHigh => {
                self.interrupts.clear(u64::from(write.over_u32(0)) << 32);
            }
            RegisterId::InterruptEnable => {
                let enable = self.interrupts.enable();
                self.set_enable(write.over(enable & LOW_HALF) & LOW_HALF | enable & !LOW_HALF);
            }
            RegisterId::InterruptEnableHigh => {
                let enable = self.interrupts.enable();
                self.set_enable(write.over(enable >> 32) << 32 | enable & LOW_HALF);
            }
            _ => {}
        }
    }

    fn set_enable(&mut self, enable: u64) {
        for vector in self.interrupts.set_enable(enable) {
            self.events.push(EndpointEvent::Interrupt { vector });
        }
    }

    /// The driver's reset: channels that had a request of register mode under way say so.
    fn control_reset(&mut self, mapping_epoch: u64) {
        let was_busy: Vec<_> = self.channels.iter().map(Channel::is_busy).collect();
        self.reset(mapping_epoch);
        for (channel, _) in self.channels.iter_mut().zip(was_busy).filter(|pair| pair.1) {
            channel.result.status = DMA_STATUS_ABORTED;
        }
    }
}
