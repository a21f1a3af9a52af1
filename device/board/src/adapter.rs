//! [`BoardEndpoint`]: a [`Board`] as an [`Endpoint`].

use dma_engine::DmaRequester;
use endpoint::{
    ChannelId, Endpoint, EndpointEvent, HostQueueFull, LiveReference, MessageError, Moment,
    PowerState, Progress, RegisterInfo, Request, Sabotage, Ticket, WorkContext,
};

use crate::device::{Board, BoardIo};

/// A board with its DMA.
#[derive(Debug)]
pub struct BoardEndpoint<B> {
    board: B,
    dma: DmaRequester,
    /// Vectors raised; records come from `dma` and are in front of them.
    events: Vec<EndpointEvent>,
}

impl<B: Board> BoardEndpoint<B> {
    /// An endpoint after power-on.
    #[must_use]
    pub fn new(board: B) -> Self {
        Self {
            dma: DmaRequester::new(board.channel_count(), board.address_width_bits()),
            board,
            events: Vec::new(),
        }
    }

    /// The board.
    #[must_use]
    pub const fn board(&self) -> &B {
        &self.board
    }

    fn with_io(&mut self, at: Moment, serve: impl FnOnce(&mut B, &mut BoardIo<'_>)) {
        let mut io = BoardIo {
            at,
            dma: &mut self.dma,
            events: &mut self.events,
        };
        serve(&mut self.board, &mut io);
    }

    fn hand_back(&mut self, at: Moment) {
        while let Some(done) = self.dma.take_done() {
            // The record comes in front of the vectors that follow from it.
            let records = self.dma.take_events();
            self.events.extend(records);
            self.with_io(at, |board, io| board.dma_done(done, io));
        }
    }
}

impl<B: Board> Endpoint for BoardEndpoint<B> {
    fn channel_count(&self) -> u8 {
        self.dma.channel_count()
    }

    fn register_map(&self) -> Vec<RegisterInfo> {
        self.board.register_map()
    }

    fn read(&mut self, bar: u8, offset: u64, data: &mut [u8], at: Moment) {
        data.fill(0);
        self.with_io(at, |board, io| board.read(bar, offset, data, io));
    }

    fn write(&mut self, bar: u8, offset: u64, data: &[u8], at: Moment) {
        self.with_io(at, |board, io| board.write(bar, offset, data, io));
    }

    fn doorbell(&self, bar: u8, offset: u64, len_bytes: usize) -> Option<ChannelId> {
        self.board.doorbell(bar, offset, len_bytes)
    }

    fn work(&mut self, context: &mut WorkContext<'_>) -> Progress {
        let at = Moment {
            now: context.now,
            mapping_epoch: context.bus.mapping_epoch(),
        };
        if self.board.next_tick().is_some_and(|tick| tick <= at.now) {
            self.with_io(at, |board, io| board.on_tick(io));
        }
        let progress = self.dma.work(context);
        self.hand_back(at);
        progress
    }

    fn next_tick(&self) -> Option<endpoint::Tick> {
        self.board.next_tick()
    }

    fn message_done(&mut self, ticket: Ticket, answer: Result<&[u8], MessageError>) {
        self.dma.message_done(ticket, answer);
    }

    fn disconnected(&mut self) {
        self.dma.disconnected();
    }

    fn reset(&mut self, at: Moment) {
        self.dma.reset(at.mapping_epoch);
        self.board.reset();
    }

    fn set_bus_master(&mut self, enabled: bool) {
        self.dma.set_bus_master(enabled);
    }

    fn set_power_state(&mut self, state: PowerState) {
        self.dma.set_power_state(state);
    }

    fn is_intx_asserted(&self) -> bool {
        self.board.is_intx_asserted()
    }

    fn live_references(&self) -> Vec<LiveReference> {
        let mut references = self.board.live_references();
        references.extend(self.dma.live_references());
        references
    }

    fn take_events(&mut self) -> Vec<EndpointEvent> {
        let mut events = std::mem::take(&mut self.events);
        events.extend(self.dma.take_events());
        events
    }

    fn submit_host(&mut self, request: Request) -> Result<u64, HostQueueFull> {
        self.dma.submit_host(request)
    }

    fn set_sabotage(&mut self, sabotage: Option<Sabotage>, times: u32) {
        self.dma.set_sabotage(sabotage, times);
    }

    fn sabotage_fired(&self) -> u32 {
        self.dma.sabotage_fired()
    }
}
