//! [`Dut`]: the device under test as a vfio-user device model.
//!
//! Register accesses go to the endpoint, which only notes the work; [`Dut::work`] lets it do it, a slice
//! at a time, over a bus made of mapping table, guest memory and the connection. Nothing here waits.

mod built_in_unit;
mod bus;
mod control_change;
mod coverage;
mod device_model;
mod faults;
mod iommu_calls;
mod iommu_records;
mod lifecycle;
mod mappings_view;
mod memory;
mod messages;
mod on_tape;
mod records;
mod references;
mod remapping;
mod removed_ranges;
mod sabotages;
mod stale;
mod tape;

use std::time::Instant;

use control_api::FunctionName;
use control_api::ledger::{AccessDirection, ViolationKind};
use control_api::request::Sabotage;
use control_api::response::{Buffer, DmaOutcome, Mappings, MappingsSummary};
use device_file::DeviceDescription;
use dmarig_abi::Iova;
use endpoint::{
    Endpoint, EndpointEvent, Finding, FindingKind, HostQueueFull, Moment, Origin, Progress,
    Request, RequestRecord, Tick, WorkContext,
};
use guest_memory::SharedMemoryError;
use recording::log::Event;
use recording::trace::TraceRecord;
use register_coverage::Coverage;
use vfio_user::{Connection, Errno, InterruptCounters, RegionIndex};

use crate::host_request;
use crate::ledger::{DeclareError, IovaRange, Ledger, LiveReference, Requester};
use crate::model::standard_endpoint;
use crate::pci_front::PciFront;
use built_in_unit::BuiltInUnit;
use bus::Bus;
use control_change::ControlChange;
use faults::Faults;
pub(crate) use iommu_calls::IommuCallError;
pub use memory::DutMemory;
use messages::Messages;
pub use messages::{MessageCounters, MessageDma};
pub use tape::Divergence;

/// The device under test.
#[derive(Debug)]
pub struct Dut {
    name: FunctionName,
    front: PciFront,
    endpoint: Box<dyn Endpoint>,
    coverage: Coverage,
    memory: DutMemory,
    built_in_unit: Option<BuiltInUnit>,
    messages: Messages,
    ledger: Ledger,
    /// The endpoint's own sabotage; stale mappings are `memory`'s.
    sabotage: Option<(Sabotage, Option<u32>)>,
    finished: Vec<(u64, DmaOutcome)>,
    faults: Faults,
    /// The time of the step under way.
    now: Tick,
}

impl Dut {
    /// A device as `description` has it, after power-on: the DMA engine, or the registers described.
    ///
    /// # Errors
    /// If there is no memory for a mappable BAR.
    pub fn new(
        description: &DeviceDescription,
        message_dma: MessageDma,
    ) -> Result<Self, SharedMemoryError> {
        Self::with_endpoint(description, message_dma, standard_endpoint(description))
    }

    /// The same with an endpoint of one's own.
    ///
    /// # Errors
    /// If there is no memory for a mappable BAR.
    pub fn with_endpoint(
        description: &DeviceDescription,
        message_dma: MessageDma,
        endpoint: Box<dyn Endpoint>,
    ) -> Result<Self, SharedMemoryError> {
        let front = PciFront::dut(description)?;
        let mut dut = Self {
            name: FunctionName::DUT0,
            faults: Faults::new(endpoint.channel_count(), description.dma.boundary, &front),
            front,
            coverage: Coverage::new(&endpoint.register_map()),
            endpoint,
            memory: DutMemory::default(),
            built_in_unit: description.iommu.as_ref().map(BuiltInUnit::new),
            messages: Messages::new(message_dma),
            ledger: Ledger::default(),
            sabotage: None,
            finished: Vec::new(),
            now: Tick::ZERO,
        };
        dut.renew_built_in_unit();
        Ok(dut)
    }

    /// The same under another name than `dut0`.
    #[must_use]
    pub fn named(mut self, name: FunctionName) -> Self {
        self.name = name;
        if let FunctionName::Dut(number) = name {
            self.faults.be_those_of(number);
        }
        self
    }

    /// Says what time it is, for all that follows.
    pub fn set_now(&mut self, now: Tick) {
        if now != self.now {
            let us = now.as_micros();
            self.memory.tape_mut().note(|| Event::Tick { us });
        }
        self.now = now;
    }

    /// Lets the endpoint work for one slice; tells whether it has more to do at once.
    pub fn work(&mut self, connection: Option<&mut Connection>, now: Instant) -> bool {
        self.memory.tape_mut().note(|| Event::Work { slices: 1 });
        if self.faults.next_tick().is_some() {
            // What the driver has stopped is not to come late.
            self.take_events();
        }
        self.run_timed_faults();
        let channels = self.endpoint.channel_count();
        let mut bus = Bus {
            memory: &mut self.memory,
            ledger: &mut self.ledger,
            messages: &mut self.messages,
            connection,
            channels,
            function: self.name,
            channel: None,
            now,
        };
        if self.faults.is_quiet() {
            let mut context = WorkContext {
                bus: &mut bus,
                now: self.now,
            };
            let progress = self.endpoint.work(&mut context);
            self.take_events();
            return progress == Progress::More;
        }
        let progress = self.faults.work(&mut *self.endpoint, &mut bus, self.now);
        self.note_strikes();
        self.take_events();
        let has_answers = self.settle_bus_faults();
        progress == Progress::More || has_answers
    }

    /// When [`Self::work`] is to be called at the latest although nothing happens.
    #[must_use]
    pub fn next_tick(&self) -> Option<Tick> {
        let ticks = [self.endpoint.next_tick(), self.faults.next_tick()];
        ticks.into_iter().flatten().min()
    }

    /// Queues a request of the control socket and returns its number.
    ///
    /// # Errors
    /// If too many wait.
    pub fn submit_host(&mut self, request: Request) -> Result<u64, HostQueueFull> {
        self.note_change(|| ControlChange::Submit(request.into()));
        self.endpoint.submit_host(request)
    }

    /// Declares a buffer to the ledger and returns its number.
    ///
    /// # Errors
    /// [`DeclareError`]; nothing has changed then.
    pub fn declare_buffer(&mut self, buffer: Buffer) -> Result<u32, DeclareError> {
        self.note_change(|| ControlChange::Declare(buffer.clone()));
        self.ledger.declare(buffer)
    }

    /// Forgets the accesses and violations of the ledger; its trace goes on.
    pub fn clear_ledger(&mut self) {
        self.note_change(|| ControlChange::ClearLedger);
        self.ledger.clear();
    }

    /// Requests of the control socket that have ended.
    pub fn take_finished(&mut self) -> Vec<(u64, DmaOutcome)> {
        std::mem::take(&mut self.finished)
    }

    /// Undeclares a buffer; `false` if there is none of that number.
    pub fn undeclare_buffer(&mut self, id: u32) -> bool {
        self.note_change(|| ControlChange::Undeclare(id));
        let Some(buffer) = self.ledger.undeclare(id) else {
            return false;
        };
        let live = self.live_references();
        let range = IovaRange::new(buffer.iova, buffer.length);
        let who = self.requester();
        self.ledger.dangling(who, range, &live, "was freed");
        true
    }

    /// The ledger.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Counts every change of the mappings.
    #[must_use]
    pub fn mapping_epoch(&self) -> u64 {
        self.memory.epoch()
    }

    /// One page of mappings from `start` on.
    #[must_use]
    pub fn mappings_page(&self, start: Iova, limit: u32) -> Mappings {
        mappings_view::page(&self.memory, start, limit)
    }

    /// Counts of mappings.
    #[must_use]
    pub fn mappings_summary(&self) -> MappingsSummary {
        mappings_view::summary(&self.memory)
    }

    /// Totals of DMA messages.
    #[must_use]
    pub const fn message_counters(&self) -> MessageCounters {
        self.messages.counters()
    }

    /// What the host sees of configuration space and interrupts.
    #[must_use]
    pub const fn front(&self) -> &PciFront {
        &self.front
    }

    /// Totals of interrupts.
    #[must_use]
    pub fn interrupt_counters(&self) -> InterruptCounters {
        self.front.interrupt_counters()
    }

    fn take_events(&mut self) {
        for event in self.endpoint.take_events() {
            match event {
                EndpointEvent::Interrupt { vector } => self.raise(vector),
                EndpointEvent::RequestDone(record) => self.note_record(&record),
                EndpointEvent::Finding(finding) => self.note_finding(*finding),
                EndpointEvent::Stopped { channel, scope } => {
                    self.faults.channel_stopped(channel, scope);
                }
            }
        }
        self.follow_pin();
    }

    fn note_finding(&mut self, finding: Finding) {
        let who = Requester {
            channel: Some(finding.channel.number().into()),
            ..self.requester()
        };
        let kind = match finding.kind {
            FindingKind::DescriptorChanged => ViolationKind::DescriptorChanged,
            FindingKind::BadChain => ViolationKind::BadChain,
        };
        let range = IovaRange::new(finding.iova, finding.len_bytes);
        self.ledger.found(kind, who, range, finding.detail);
    }

    fn note_record(&mut self, record: &RequestRecord) {
        self.faults.request_done(record);
        let is_own = record.channel.number() < self.endpoint.channel_count();
        let channel = is_own.then(|| u32::from(record.channel.number()));
        self.ledger.note(|| records::trace_record(record, channel));
        if let Some(fallback) = record.fallback {
            let who = Requester {
                channel,
                ..self.requester()
            };
            let rest = IovaRange::new(fallback.iova, 1);
            self.ledger.fallback_succeeded(who, rest);
        }
        for access in records::accesses(record, self.name, channel) {
            self.ledger.record(access);
        }
        if let Origin::Host { id } = record.origin {
            self.finished.push((id, host_request::to_api(record)));
        }
    }

    /// Tells the endpoint what configuration space says.
    fn follow_config(&mut self) {
        self.endpoint.set_bus_master(self.front.is_bus_master());
        self.faults.follow_config(&self.front);
        self.endpoint
            .set_power_state(if self.front.power_state() == 0 {
                endpoint::PowerState::D0
            } else {
                endpoint::PowerState::Low
            });
    }

    /// Adds an access of the guest to the trace.
    fn note_access(
        &mut self,
        region: RegionIndex,
        offset: u64,
        direction: AccessDirection,
        data: &[u8],
    ) {
        // Memory that the guest reaches without us is no register: its bytes are not the device's doing.
        let is_memory = region.bar().is_some_and(|bar| self.front.has_memory(bar));
        if !is_memory {
            self.ledger
                .note(|| TraceRecord::access(region.get(), offset, direction, data));
        }
    }

    /// Makes a write of the guest.
    fn make_write(&mut self, region: RegionIndex, offset: u64, data: &[u8]) -> Result<(), Errno> {
        if let Some(bar) = self.front.endpoint_bar(region, offset) {
            match self.unit_register(bar, offset) {
                Some(at) => self.write_unit_registers(at, data),
                None => self.endpoint.write(bar, offset, data, self.moment()),
            }
            self.follow_pin();
            return Ok(());
        }
        let was_in = self.front.power_state();
        let reset = self.front.write_region(region, offset, data)?;
        let state = self.front.power_state();
        if was_in != state {
            self.ledger.note(|| TraceRecord::Power { state });
        }
        if was_in == 0 && state != 0 {
            self.report_live_references("saw the function leave D0");
        }
        if let Some(kind) = reset {
            self.reset_function(kind);
        }
        self.follow_config();
        Ok(())
    }

    fn live_references(&self) -> Vec<LiveReference> {
        references::live(&*self.endpoint)
    }

    fn moment(&self) -> Moment {
        Moment {
            now: self.now,
            mapping_epoch: self.memory.epoch(),
        }
    }

    fn requester(&self) -> Requester {
        Requester {
            function: self.name,
            channel: None,
            epoch: self.memory.epoch(),
        }
    }
}
