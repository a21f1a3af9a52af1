//! [`Faults`]: the injected faults of a device under test, and what they leave for later.
//!
//! The rules are asked at the points of registers and configuration space (`registers`), interrupts
//! (`interrupts`), resets and link (`outage`); those of memory are `faulty_bus`'s.

mod interrupts;
mod outage;
mod registers;

use control_api::response::{FaultHits, FaultPoint, FaultRule};
use dma_engine::{Direction, TlpLimits};
use dmarig_abi::completion::DMA_STATUS_ABORTED;
use endpoint::{ChannelId, Endpoint, Progress, RequestRecord, StopScope, Tick, WorkContext};
use fault_injection::{Decision, Effect, Facts, FaultPlan, Injector, RuleFileError, rule_file};
use faulty_bus::{BusError, BusFaults, BusSettings, FaultyBus, Notice};
use recording::trace::{FaultRecord, TraceRecord};
use std::path::Path;
use std::time::Duration;

use super::Dut;
use super::bus::Bus;
use super::control_change::ControlChange;
use super::stale::StaleTranslations;
use crate::pci_front::PciFront;
use interrupts::Pin;
use outage::Outage;
pub(super) use outage::ResetFate;

/// Most things that are to happen later at once.
const MAX_TIMED: usize = 256;

/// The rules and what they have set going.
#[derive(Debug)]
pub(super) struct Faults {
    injector: Injector,
    bus: BusFaults,
    /// The boundary of the device file, in bytes; 0 for none.
    boundary_bytes: u64,
    timed: Vec<(Tick, Timed)>,
    pin: Pin,
    /// Vectors that are raised behind the next one.
    held_vectors: Vec<u16>,
    outage: Option<Outage>,
    /// Until when no answer leaves the device.
    hold_until: Option<Tick>,
    /// Whether the plan stays, whatever a recording loads or clears.
    is_fixed: bool,
}

/// Something that happens later.
#[derive(Clone, Debug)]
enum Timed {
    /// A vector is raised, and so many times more.
    Raise { vector: u16, more: u16 },
    /// The pin goes down and up again, and so many times more.
    Toggle { more: u16 },
    /// A delayed pin follows the endpoint.
    Pin,
    /// A doorbell arrives.
    Doorbell {
        channel: ChannelId,
        bar: u8,
        offset: u64,
        data: Vec<u8>,
    },
}

impl Faults {
    /// None yet, for an endpoint with so many channels and a boundary of so many bytes, 0 for none.
    pub(super) fn new(n_channels: u8, boundary_bytes: u64, front: &PciFront) -> Self {
        Self {
            injector: Injector::default(),
            bus: BusFaults::new(n_channels, bus_settings(front, boundary_bytes)),
            boundary_bytes,
            timed: Vec::new(),
            pin: Pin::default(),
            held_vectors: Vec::new(),
            outage: None,
            hold_until: None,
            is_fixed: false,
        }
    }

    /// No rules yet, for the device under test of this number.
    pub(super) fn be_those_of(&mut self, number: u16) {
        self.injector = Injector::for_function(number);
    }

    /// Whether nothing is armed and nothing is under way: then nobody is asked anything.
    pub(super) fn is_quiet(&self) -> bool {
        self.injector.is_idle() && self.bus.is_idle()
    }

    /// Takes what the guest has set for the function's requests.
    pub(super) fn follow_config(&mut self, front: &PciFront) {
        self.bus.set(bus_settings(front, self.boundary_bytes));
        if !front.is_bus_master() || front.power_state() != 0 {
            self.bus.leave_bus();
        }
    }

    /// The driver stopped a channel, or its ring: what is on its way for it does not arrive.
    pub(super) fn channel_stopped(&mut self, stopped: ChannelId, scope: StopScope) {
        self.bus.stop(stopped, scope);
        self.timed.retain(
            |(_, what)| !matches!(what, Timed::Doorbell { channel, .. } if *channel == stopped),
        );
    }

    /// When something is due.
    pub(super) fn next_tick(&self) -> Option<Tick> {
        let timed = self.timed.iter().map(|(tick, _)| *tick);
        let others = [
            self.bus.next_tick(),
            self.outage.and_then(Outage::ends_at),
            self.hold_until,
        ];
        timed.chain(others.into_iter().flatten()).min()
    }

    /// Lets the endpoint work over a bus with faults.
    pub(super) fn work(
        &mut self,
        endpoint: &mut dyn Endpoint,
        bus: &mut Bus<'_>,
        now: Tick,
    ) -> Progress {
        self.bus.run_due(bus, now);
        let mut bus = FaultyBus::new(bus, &mut self.injector, &mut self.bus, now);
        endpoint.work(&mut WorkContext { bus: &mut bus, now })
    }

    /// The answer of the platform as the endpoint is to have it.
    pub(super) fn reply(
        &mut self,
        ticket: endpoint::Ticket,
        answer: Result<&[u8], endpoint::MessageError>,
    ) -> Option<faulty_bus::Answer> {
        self.bus.reply(ticket, answer)
    }

    /// Whether answers are to pass [`Self::reply`].
    pub(super) fn awaits_replies(&self) -> bool {
        self.bus.awaits_replies()
    }

    /// Takes note of a request that has ended, and lets a channel go on that hung.
    pub(super) fn request_done(&mut self, record: &RequestRecord) {
        if record.status == DMA_STATUS_ABORTED {
            self.bus.request_aborted(record.channel);
        }
    }

    /// Forgets all that is under way. `is_gone`: QEMU is, too.
    pub(super) fn stop(&mut self, is_gone: bool) {
        if is_gone {
            self.bus.disconnected();
            self.outage = None;
            self.hold_until = None;
        } else {
            self.bus.reset();
        }
        self.timed.clear();
        self.held_vectors.clear();
        self.pin = Pin::default();
    }

    fn at(&mut self, tick: Tick, what: Timed) -> bool {
        let has_room = self.timed.len() < MAX_TIMED;
        if has_room {
            self.timed.push((tick, what));
        }
        has_room
    }
}

impl Dut {
    /// Begins the faults of a rule file's text in place of those before.
    ///
    /// # Errors
    /// [`RuleFileError`]; nothing has changed then.
    pub fn load_faults(&mut self, text: &str) -> Result<(), RuleFileError> {
        let plan = rule_file::parse(Path::new("faults"), text)?;
        self.note_change(|| ControlChange::LoadFaults(text.to_owned()));
        self.begin_plan(plan);
        Ok(())
    }

    /// Begins the faults of a plan that stays: what a recording loads or clears is passed over.
    pub(crate) fn fix_faults(&mut self, plan: FaultPlan) {
        self.begin_plan(plan);
        self.faults.is_fixed = true;
    }

    /// Ends all faults, and brings a lost link back.
    pub fn clear_faults(&mut self) {
        self.note_change(|| ControlChange::ClearFaults);
        self.begin_plan(FaultPlan::default());
    }

    /// Begins to count the points that are passed, or ends that.
    pub fn count_points(&mut self, is_on: bool) {
        self.note_change(|| ControlChange::CountPoints(is_on));
        if is_on {
            self.faults.injector.start_census();
        } else {
            self.faults.injector.stop_census();
        }
    }

    /// What each rule has done.
    #[must_use]
    pub fn fault_rules(&self) -> Vec<FaultRule> {
        let rules = self.faults.injector.status();
        let rules = rules.into_iter().zip(&self.faults.injector.plan().rules);
        rules
            .map(|(status, rule)| FaultRule {
                hits: status.hits(),
                fired: status.fired(),
                event: rule.event.name().into(),
                effect: rule.effect.name().into(),
                optional: status.is_optional,
                name: status.name,
                channels: status
                    .channels
                    .iter()
                    .map(|channel| FaultHits {
                        channel: channel.channel.map(u32::from),
                        hits: channel.hits,
                        fired: channel.fired,
                        last_fired_hit: channel.last_fired_hit,
                    })
                    .collect(),
            })
            .collect()
    }

    /// The points passed since the counting began; `None` if nobody counts.
    #[must_use]
    pub fn fault_points(&self) -> Option<Vec<FaultPoint>> {
        let counts = self.faults.injector.census()?.iter();
        let points = counts.map(|count| FaultPoint {
            point: count.point.name().into(),
            channel: count.channel.map(u32::from),
            hits: count.hits,
        });
        Some(points.collect())
    }

    fn begin_plan(&mut self, plan: FaultPlan) {
        if self.faults.is_fixed {
            return;
        }
        let needs_stale = plan.rules.iter().any(|rule| {
            matches!(
                rule.effect,
                Effect::StaleTranslation | Effect::AllowUnmapped
            )
        });
        self.memory
            .keep_removed(needs_stale.then(StaleTranslations::passive));
        self.faults.injector.load(plan);
        self.end_outage();
    }

    /// Asks the rules, and notes a strike.
    fn decide(&mut self, facts: &Facts) -> Option<Decision> {
        let decision = self.faults.injector.decide(facts);
        self.note_strikes();
        decision
    }

    /// Adds the strikes since the last call to the trace.
    pub(super) fn note_strikes(&mut self) {
        if self.faults.injector.is_idle() {
            return;
        }
        for firing in self.faults.injector.take_firings() {
            self.ledger.note(|| {
                TraceRecord::Fault(FaultRecord {
                    rule: firing.name.clone(),
                    point: firing.facts.point.name().into(),
                    channel: firing.facts.channel.map(u32::from),
                    hit: firing.hit,
                    effect: firing.effect.name().into(),
                })
            });
        }
    }

    /// Does what the bus has left to do; whether the endpoint has got answers.
    pub(super) fn settle_bus_faults(&mut self) -> bool {
        for notice in self.faults.bus.take_notices() {
            match notice {
                Notice::Error { error, iova } => self.log_bus_error(error, iova),
                Notice::SpuriousInterrupt { vector } => self.signal(vector),
                Notice::LinkDown { microseconds } => self.lose_link(microseconds),
            }
        }
        self.deliver_answers()
    }

    /// Forgets what is under way, as a reset does.
    pub(super) fn stop_faults(&mut self) {
        self.faults.stop(false);
        self.deliver_answers();
    }

    /// Hands the endpoint the answers that the faults have made; whether there were any.
    pub(super) fn deliver_answers(&mut self) -> bool {
        let answers = self.faults.bus.take_answers();
        for answer in &answers {
            let outcome = answer.outcome.as_deref().map_err(|error| *error);
            self.endpoint.message_done(answer.ticket, outcome);
        }
        !answers.is_empty()
    }

    /// Does what is due by now.
    pub(super) fn run_timed_faults(&mut self) {
        let now = self.now;
        if self.faults.hold_until.is_some_and(|until| until <= now) {
            self.faults.hold_until = None;
        }
        if self
            .faults
            .outage
            .and_then(Outage::ends_at)
            .is_some_and(|end| end <= now)
        {
            self.end_outage();
        }
        let is_due = |(tick, _): &mut (Tick, Timed)| *tick <= now;
        let due: Vec<_> = self.faults.timed.extract_if(.., is_due).collect();
        for (_, what) in due {
            match what {
                Timed::Raise { vector, more } => self.raise_again(vector, more),
                Timed::Toggle { more } => self.toggle_pin(more),
                Timed::Pin => {
                    self.faults.pin = Pin::Follows { wanted: true };
                    self.follow_pin();
                }
                Timed::Doorbell {
                    bar, offset, data, ..
                } => {
                    self.endpoint.write(bar, offset, &data, self.moment());
                    self.follow_pin();
                }
            }
        }
    }

    /// Logs an error as a real function does: in error reporting, or in its status register.
    fn log_bus_error(&mut self, error: BusError, iova: dmarig_abi::Iova) {
        self.front.log_bus_error(error, iova);
    }

    /// Whether the answers to QEMU wait.
    pub(super) const fn holds_answers_back(&self) -> bool {
        self.faults.hold_until.is_some()
    }

    fn later(&self, microseconds: u32) -> Tick {
        self.now.after(Duration::from_micros(microseconds.into()))
    }
}

/// Where TLPs end, and when a read is given up, as registers and device file have it.
fn bus_settings(front: &PciFront, boundary_bytes: u64) -> BusSettings {
    let limits = front.transfer_limits();
    let limits = TlpLimits::new(limits.max_payload_bytes, limits.max_read_request_bytes)
        .with_boundary(boundary_bytes);
    BusSettings {
        read_granule_bytes: limits.granule_bytes(Direction::Read),
        write_granule_bytes: limits.granule_bytes(Direction::Write),
        completion_timeout: front.completion_timeout(),
    }
}
