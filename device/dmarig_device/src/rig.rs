//! [`Rig`]: the whole device process as one state, driven by [`Rig::step`].
//!
//! A step takes one event and the time, never waits, and says how to go on. All sockets are
//! non-blocking and belong to the rig; who waits for them is [`crate::event_loop`], and in tests
//! nobody. After each event the engine gets one slice of at most 1 MiB, so every socket is served
//! between two slices.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use control_api::response::{Counters, SandboxState};
use control_api::{FunctionName, RpcError};
use pci_function::ResetKind;
use serde_json::Value;
use tracing::warn;
use vfio_user::ListenError;

use crate::control_function::ControlFunction;
use crate::control_socket::{Caller, ClientId, ControlSocket, Incoming};
use crate::dut::Dut;
use crate::methods;
use crate::port::{Port, PortCounters, chain};
use crate::readiness::Readiness;
use crate::settle;
use crate::tick_clock::TickClock;
use crate::waiters::Waiters;

/// How long nobody is accepted after the process ran out of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What can happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// SIGTERM or SIGINT.
    Signal,
    /// Somebody connects to a function's socket.
    Connect(FunctionName),
    /// A function's connection is ready.
    Ready(FunctionName, Readiness),
    /// Somebody connects to the control socket.
    ControlConnect,
    /// A control client is ready.
    ControlReady(ClientId, Readiness),
    /// Time has passed, or there is work that needs no event.
    Tick,
}

/// How to go on after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is work that needs no event: step on at once.
    Now,
    /// Wait for an event, at most until then.
    At(Instant),
    /// Wait for an event.
    OnEvent,
    /// End the process.
    Stop,
}

/// Everything the device process is.
#[derive(Debug)]
pub struct Rig {
    /// In the order of their numbers; there is one at least.
    pub(crate) duts: Vec<Port<Dut>>,
    pub(crate) control_function: Option<Port<ControlFunction>>,
    pub(crate) control_socket: Option<ControlSocket>,
    pub(crate) waiters: Waiters,
    pub(crate) sandbox: SandboxState,
    accept_again: Option<Instant>,
    clock: TickClock,
    is_stopping: bool,
}

impl Rig {
    /// Puts the parts together. The n-th device under test has the number n.
    ///
    /// # Panics
    /// Without any device under test.
    #[must_use]
    pub fn new(
        duts: Vec<Port<Dut>>,
        control_function: Option<Port<ControlFunction>>,
        control_socket: Option<ControlSocket>,
    ) -> Self {
        assert!(!duts.is_empty(), "a rig has a device under test");
        Self {
            duts,
            control_function,
            control_socket,
            waiters: Waiters::default(),
            sandbox: SandboxState::default(),
            accept_again: None,
            clock: TickClock::default(),
            is_stopping: false,
        }
    }

    /// Tells what the process has given up, for `status`.
    pub const fn note_sandbox(&mut self, sandbox: SandboxState) {
        self.sandbox = sandbox;
    }

    /// Takes one event.
    pub fn step(&mut self, event: Event, now: Instant) -> Next {
        if self.accept_again.is_some_and(|again| again <= now) {
            self.accept_again = None;
        }
        let tick = self.clock.tick(now);
        for dut in &mut self.duts {
            dut.model_mut().set_now(tick);
        }
        match event {
            Event::Signal => self.stop(),
            Event::Connect(name) => {
                let outcome = self.accept(name);
                self.note_accept(outcome, now);
            }
            Event::Ready(name, readiness) => self.serve(name, readiness),
            Event::ControlConnect => {
                let outcome = self
                    .control_socket
                    .as_mut()
                    .map_or(Ok(()), |socket| socket.accept(now));
                self.note_accept(outcome, now);
            }
            Event::ControlReady(client, readiness) => self.serve_client(client, readiness, now),
            Event::Tick => {}
        }
        self.serve_waiting_lines(now);
        let has_more = settle::settle(self, now);
        self.next(has_more)
    }

    /// The functions that there are.
    pub(crate) fn function_names(&self) -> impl Iterator<Item = FunctionName> + use<> {
        let control = self
            .control_function
            .as_ref()
            .map(|_| FunctionName::Control);
        (0..)
            .map(FunctionName::Dut)
            .take(self.duts.len())
            .chain(control)
    }

    /// A device under test.
    pub(crate) fn dut(&self, name: FunctionName) -> Option<&Port<Dut>> {
        self.duts.get(dut_index(name)?)
    }

    /// A device under test, to change it.
    pub(crate) fn dut_mut(&mut self, name: FunctionName) -> Option<&mut Port<Dut>> {
        self.duts.get_mut(dut_index(name)?)
    }

    /// A function's listening socket.
    pub(crate) fn listener(&self, name: FunctionName) -> Option<BorrowedFd<'_>> {
        match name {
            FunctionName::Control => self.control_function.as_ref().map(AsFd::as_fd),
            FunctionName::Dut(_) => self.dut(name).map(AsFd::as_fd),
        }
    }

    /// A function's connection: its number, its socket, whether it waits to read and to write.
    pub(crate) fn interest(&self, name: FunctionName) -> Option<(u32, BorrowedFd<'_>, bool, bool)> {
        match name {
            FunctionName::Control => self.control_function.as_ref()?.interest(),
            FunctionName::Dut(_) => self.dut(name)?.interest(),
        }
    }

    /// Whether `generation` is the number of the function's last connection.
    pub(crate) fn is_current(&self, name: FunctionName, generation: u32) -> bool {
        match name {
            FunctionName::Control => self
                .control_function
                .as_ref()
                .is_some_and(|port| port.generation() == generation),
            FunctionName::Dut(_) => self
                .dut(name)
                .is_some_and(|port| port.generation() == generation),
        }
    }

    /// The control socket, if there is one.
    pub(crate) const fn control_socket(&self) -> Option<&ControlSocket> {
        self.control_socket.as_ref()
    }

    /// Hangs up on everybody, so that the models drop what is theirs.
    pub fn shut_down(&mut self) {
        for dut in &mut self.duts {
            dut.close();
            dut.model_mut().end_recording();
        }
        if let Some(port) = &mut self.control_function {
            port.close();
        }
    }

    /// Ends the process after this step.
    pub(crate) fn stop(&mut self) {
        self.is_stopping = true;
    }

    /// Whether new connections are taken now.
    pub(crate) const fn is_accepting(&self) -> bool {
        self.accept_again.is_none()
    }

    /// Totals for `status`.
    pub(crate) fn counters(&self) -> Counters {
        let control = self.control_function.as_ref().map(Port::counters);
        let ports: Vec<_> = self
            .duts
            .iter()
            .map(Port::counters)
            .chain(control)
            .collect();
        let total = |field: fn(&PortCounters) -> u64| ports.iter().map(field).sum();
        let of_duts =
            |field: fn(&Dut) -> u64| self.duts.iter().map(|port| field(port.model())).sum();
        let doorbells = self
            .control_function
            .as_ref()
            .map(|port| port.model().interrupt_counters())
            .unwrap_or_default();
        Counters {
            connections: total(|port| port.connections),
            refused_connections: total(|port| port.refused_connections),
            protocol_errors: total(|port| port.protocol_errors),
            rejected_messages: total(|port| port.rejected_messages),
            message_dma: of_duts(|dut| dut.message_counters().sent),
            message_timeouts: of_duts(|dut| dut.message_counters().timed_out),
            late_replies: total(|port| port.late_replies),
            interrupts: doorbells.delivered + of_duts(|dut| dut.interrupt_counters().delivered),
            lost_interrupts: doorbells.unbound + of_duts(|dut| dut.interrupt_counters().unbound),
            slow_control_clients: self
                .control_socket
                .as_ref()
                .map_or(0, ControlSocket::slow_clients),
        }
    }

    /// Resets the control function; a call under way ends.
    pub(crate) fn reset_control_function(&mut self) {
        if let Some(port) = &mut self.control_function {
            port.model_mut().reset_function(ResetKind::Conventional);
        }
    }

    /// Answers a request of the control socket.
    pub(crate) fn answer(
        &mut self,
        caller: Caller,
        outcome: Result<Value, RpcError>,
        now: Instant,
    ) {
        if let Some(socket) = &mut self.control_socket {
            socket.answer(caller, outcome, now);
        }
    }

    fn accept(&mut self, name: FunctionName) -> Result<(), ListenError> {
        match name {
            FunctionName::Control => self.control_function.as_mut().map_or(Ok(()), Port::accept),
            FunctionName::Dut(_) => self.dut_mut(name).map_or(Ok(()), Port::accept),
        }
    }

    fn note_accept(&mut self, outcome: Result<(), ListenError>, now: Instant) {
        if let Err(error) = outcome {
            // The listener stays readable, so without a pause this would be a busy loop.
            warn!(error = %chain(&error), "cannot accept; trying again in a second");
            self.accept_again = Some(now + ACCEPT_PAUSE);
        }
    }

    fn serve(&mut self, name: FunctionName, readiness: Readiness) {
        match name {
            FunctionName::Control => {
                if let Some(port) = &mut self.control_function {
                    port.on_ready(readiness);
                }
            }
            FunctionName::Dut(_) => {
                if let Some(port) = self.dut_mut(name) {
                    port.on_ready(readiness);
                }
            }
        }
    }

    fn serve_client(&mut self, client: ClientId, readiness: Readiness, now: Instant) {
        let Some(socket) = &mut self.control_socket else {
            return;
        };
        if readiness.writable {
            socket.on_writable(client, now);
        }
        if readiness.readable {
            let requests = socket.on_readable(client, now);
            self.dispatch(requests, now);
        } else if readiness.hung_up {
            socket.on_hang_up(client);
        }
    }

    /// Takes lines that came when their client had too many requests open.
    fn serve_waiting_lines(&mut self, now: Instant) {
        if let (Some(client), Some(socket)) =
            (self.client_with_requests(), &mut self.control_socket)
        {
            let requests = socket.take_requests(client, now);
            self.dispatch(requests, now);
        }
    }

    fn dispatch(&mut self, requests: Vec<(Caller, Incoming)>, now: Instant) {
        for (caller, incoming) in requests {
            if let Some(outcome) = methods::dispatch(self, caller, incoming, now) {
                self.answer(caller, outcome, now);
            }
        }
    }

    fn client_with_requests(&self) -> Option<ClientId> {
        self.control_socket.as_ref()?.client_with_requests()
    }

    fn next(&self, has_more: bool) -> Next {
        if self.is_stopping {
            return Next::Stop;
        }
        if has_more || self.client_with_requests().is_some() {
            return Next::Now;
        }
        let of_duts = self.duts.iter().flat_map(|port| {
            let model = port.model();
            let tick = model.next_tick().and_then(|tick| self.clock.instant(tick));
            [port.next_deadline(), tick, model.next_checkpoint()]
        });
        let deadlines = [
            self.waiters.next_deadline(),
            self.control_socket
                .as_ref()
                .and_then(ControlSocket::next_deadline),
            self.accept_again,
        ];
        of_duts
            .chain(deadlines)
            .flatten()
            .min()
            .map_or(Next::OnEvent, Next::At)
    }
}

fn dut_index(name: FunctionName) -> Option<usize> {
    match name {
        FunctionName::Dut(number) => Some(number.into()),
        FunctionName::Control => None,
    }
}
