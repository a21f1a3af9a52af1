//! The engine as the device process sees it: an [`Endpoint`] with one BAR of registers.

use dmarig_abi::registers::DUT_REGISTER_BAR;
use endpoint::{
    ChannelId, Endpoint, EndpointEvent, HostQueueFull, LiveReference, MessageError, Moment,
    PowerState, Progress, RegisterInfo, Request, Sabotage, Tick, Ticket, WorkContext,
};

use crate::engine::Engine;
use crate::register_file;

impl Endpoint for Engine {
    fn channel_count(&self) -> u8 {
        Self::channel_count(self)
    }

    fn register_map(&self) -> Vec<RegisterInfo> {
        register_file::register_map(Self::channel_count(self))
    }

    fn read(&mut self, bar: u8, offset: u64, data: &mut [u8], at: Moment) {
        if is_register_bar(bar) {
            Self::read(self, offset, data, at.mapping_epoch);
        } else {
            data.fill(0);
        }
    }

    fn write(&mut self, bar: u8, offset: u64, data: &[u8], at: Moment) {
        if is_register_bar(bar) {
            Self::write(self, offset, data, at.mapping_epoch);
        }
    }

    fn doorbell(&self, bar: u8, offset: u64, len_bytes: usize) -> Option<ChannelId> {
        is_register_bar(bar)
            .then(|| register_file::doorbell(offset, len_bytes, Self::channel_count(self)))
            .flatten()
    }

    fn work(&mut self, context: &mut WorkContext<'_>) -> Progress {
        self.set_now(context.now);
        self.run(&mut context.bus, 1)
    }

    fn next_tick(&self) -> Option<Tick> {
        Self::next_tick(self)
    }

    fn message_done(&mut self, ticket: Ticket, answer: Result<&[u8], MessageError>) {
        Self::message_done(self, ticket, answer);
    }

    fn disconnected(&mut self) {
        Self::disconnected(self);
    }

    fn reset(&mut self, at: Moment) {
        Self::reset(self, at.mapping_epoch);
    }

    fn set_bus_master(&mut self, enabled: bool) {
        Self::set_bus_master(self, enabled);
    }

    fn set_power_state(&mut self, state: PowerState) {
        Self::set_power_state(self, state);
    }

    fn is_intx_asserted(&self) -> bool {
        Self::is_intx_asserted(self)
    }

    fn live_references(&self) -> Vec<LiveReference> {
        Self::live_references(self)
    }

    fn take_events(&mut self) -> Vec<EndpointEvent> {
        Self::take_events(self)
    }

    fn submit_host(&mut self, request: Request) -> Result<u64, HostQueueFull> {
        Self::submit_host(self, request)
    }

    fn set_sabotage(&mut self, sabotage: Option<Sabotage>, times: u32) {
        Self::set_sabotage(self, sabotage, times);
    }

    fn sabotage_fired(&self) -> u32 {
        Self::sabotage_fired(self)
    }
}

fn is_register_bar(bar: u8) -> bool {
    u32::from(bar) == DUT_REGISTER_BAR
}
