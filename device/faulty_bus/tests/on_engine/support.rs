//! An engine over flat memory, with faults in between.

use std::path::Path;
use std::time::Duration;

use dma_engine::{Engine, EngineConfig, PowerState};
use dmarig_abi::Iova;
use dmarig_abi::completion::{COMPLETION_SIZE_BYTES, CompletionEntry};
use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_INTERRUPT, DESCRIPTOR_SIZE_BYTES, DMA_OP_FILL, Descriptor,
};
use dmarig_abi::registers::*;
use endpoint::{
    BusFault, BusFaultKind, Direction, DmaBus, EndpointEvent, MessageError, RequestRecord,
    SubmitError, Tick, Ticket,
};
use fault_injection::{Injector, rule_file};
use faulty_bus::{BusFaults, BusSettings, FaultyBus, Notice};
use zerocopy::{FromBytes, IntoBytes};

const RING: usize = 0x4000;
const COMPLETIONS: usize = 0x5000;
pub const MEMORY_BYTES: usize = 0x2_0000;
/// Pages from here on are in no table; the platform refuses them, too.
pub const UNMAPPED: u64 = 0x1_0000;
/// What a stale translation leads to reads as this.
pub const STALE_BYTE: u8 = 0x57;

/// Memory whose IOVA is the position, and messages that wait for their answer.
pub struct FlatBus {
    pub memory: Vec<u8>,
    pub messages: Vec<(Ticket, u64, Result<Vec<u8>, usize>)>,
    /// Every write that arrived, mapped or by message: address and length.
    pub writes: Vec<(u64, usize)>,
    pub reads: Vec<(u64, usize)>,
    pub has_stale: bool,
    pub room: usize,
    next_ticket: u64,
}

impl FlatBus {
    fn reach(iova: Iova, len: usize) -> Result<(), BusFault> {
        let last = iova.raw() + len as u64;
        if last <= UNMAPPED {
            return Ok(());
        }
        Err(BusFault {
            iova: Iova::new(iova.raw().max(UNMAPPED)),
            kind: BusFaultKind::Unmapped,
        })
    }

    fn range(iova: u64, len: usize) -> std::ops::Range<usize> {
        let start = usize::try_from(iova).expect("small");
        start..start + len
    }

    fn submit(&mut self, iova: Iova, what: Result<Vec<u8>, usize>) -> Result<Ticket, SubmitError> {
        if self.messages.len() >= self.room {
            return Err(SubmitError::Busy);
        }
        self.next_ticket += 1;
        let ticket = Ticket(self.next_ticket);
        self.messages.push((ticket, iova.raw(), what));
        Ok(ticket)
    }
}

impl DmaBus for FlatBus {
    fn mapping_epoch(&self) -> u64 {
        1
    }

    fn probe(&self, iova: Iova, len_bytes: u64, _: Direction) -> Result<u64, BusFault> {
        Self::reach(iova, 1)?;
        Ok(len_bytes.min(UNMAPPED - iova.raw()))
    }

    fn read(&mut self, iova: Iova, buffer: &mut [u8]) -> Result<(), BusFault> {
        Self::reach(iova, buffer.len())?;
        self.reads.push((iova.raw(), buffer.len()));
        buffer.copy_from_slice(&self.memory[Self::range(iova.raw(), buffer.len())]);
        Ok(())
    }

    fn write(&mut self, iova: Iova, data: &[u8]) -> Result<(), BusFault> {
        Self::reach(iova, data.len())?;
        self.writes.push((iova.raw(), data.len()));
        self.memory[Self::range(iova.raw(), data.len())].copy_from_slice(data);
        Ok(())
    }

    fn read_stale(&mut self, _: Iova, buffer: &mut [u8]) -> bool {
        if self.has_stale {
            buffer.fill(STALE_BYTE);
        }
        self.has_stale
    }

    fn write_stale(&mut self, _: Iova, _: &[u8]) -> bool {
        self.has_stale
    }

    fn submit_read(&mut self, iova: Iova, len_bytes: usize) -> Result<Ticket, SubmitError> {
        self.submit(iova, Err(len_bytes))
    }

    fn submit_write(&mut self, iova: Iova, data: &[u8]) -> Result<Ticket, SubmitError> {
        self.submit(iova, Ok(data.to_vec()))
    }
}

pub struct Rig {
    pub engine: Engine,
    pub bus: FlatBus,
    pub injector: Injector,
    pub faults: BusFaults,
    pub now: Tick,
    pub records: Vec<RequestRecord>,
    pub interrupts: usize,
    pub notices: Vec<Notice>,
}

/// A rule with one more line or several.
pub fn rule(event: &str, effect: &str, more: &str) -> String {
    format!("[[rule]]\nname = \"rule\"\nevent = \"{event}\"\neffect{effect}\n{more}\n")
}

impl Rig {
    pub fn new(rules: &str) -> Self {
        let mut engine = Engine::new(EngineConfig::default());
        engine.set_bus_master(true);
        engine.set_power_state(PowerState::D0);
        let mut injector = Injector::default();
        injector.load(
            rule_file::parse(Path::new("test.toml"), rules)
                .unwrap_or_else(|error| panic!("{error}")),
        );
        let settings = BusSettings {
            read_granule_bytes: 512,
            write_granule_bytes: 256,
            completion_timeout: Some(Duration::from_millis(10)),
        };
        let mut rig = Self {
            engine,
            bus: FlatBus {
                memory: (0..MEMORY_BYTES).map(|at| at.to_le_bytes()[1]).collect(),
                messages: Vec::new(),
                writes: Vec::new(),
                reads: Vec::new(),
                has_stale: false,
                room: 8,
                next_ticket: 0,
            },
            injector,
            faults: BusFaults::new(4, settings),
            now: Tick::ZERO,
            records: Vec::new(),
            interrupts: 0,
            notices: Vec::new(),
        };
        rig.write_32(REG_INTERRUPT_ENABLE, 0xf);
        rig
    }

    pub fn write_32(&mut self, offset: u64, value: u32) {
        self.engine.write(offset, &value.to_le_bytes(), 1);
    }

    pub fn write_64(&mut self, offset: u64, value: u64) {
        self.engine.write(offset, &value.to_le_bytes(), 1);
    }

    pub fn command(&mut self, opcode: u16, flags: u16, from: u64, to: u64, len: u64) {
        for (register, value) in [
            (CH_SOURCE, from),
            (CH_DESTINATION, to),
            (CH_LENGTH, len),
            (CH_SEED, 0xab),
        ] {
            self.write_64(CHANNEL_BASE + register, value);
        }
        let command = u32::from(opcode) | u32::from(flags) << 16;
        self.write_32(CHANNEL_BASE + CH_COMMAND, command);
    }

    /// Enables a ring of 4 entries whose descriptors fill 64 bytes each and ask for an interrupt, and
    /// rings its doorbell for `n` of them.
    pub fn ring(&mut self, n: u32) {
        for index in 0..n {
            let descriptor = Descriptor {
                opcode: DMA_OP_FILL,
                flags: DESCRIPTOR_FLAG_INTERRUPT,
                tag: 0x100 + u64::from(index),
                destination: 0x2000 + 64 * u64::from(index),
                length_bytes: 64,
                seed: 0xab,
                ..Descriptor::default()
            };
            let at = RING + index as usize * DESCRIPTOR_SIZE_BYTES;
            self.bus.memory[at..at + DESCRIPTOR_SIZE_BYTES].copy_from_slice(descriptor.as_bytes());
        }
        self.bus.memory[COMPLETIONS..COMPLETIONS + 4 * COMPLETION_SIZE_BYTES].fill(0);
        self.write_64(CHANNEL_BASE + CH_RING_BASE, RING as u64);
        self.write_64(CHANNEL_BASE + CH_COMPLETION_BASE, COMPLETIONS as u64);
        self.write_32(CHANNEL_BASE + CH_RING_ENTRIES, 4);
        self.write_32(CHANNEL_BASE + CH_RING_CONTROL, RING_ENABLE);
        self.write_32(CHANNEL_BASE + CH_RING_TAIL, n);
    }

    /// A completion entry as it lies in memory.
    pub fn entry(&self, index: usize) -> CompletionEntry {
        let at = COMPLETIONS + index * COMPLETION_SIZE_BYTES;
        let bytes = &self.bus.memory[at..at + COMPLETION_SIZE_BYTES];
        CompletionEntry::read_from_bytes(bytes).expect("the sizes are equal")
    }

    /// Works until nothing is left to do at this time.
    pub fn work(&mut self) {
        for _ in 0..10_000 {
            self.faults.run_due(&mut self.bus, self.now);
            let mut bus = FaultyBus::new(
                &mut self.bus,
                &mut self.injector,
                &mut self.faults,
                self.now,
            );
            self.engine.run(&mut bus, 1);
            self.take_events();
            self.notices.extend(self.faults.take_notices());
            let answers = self.faults.take_answers();
            let messages = std::mem::take(&mut self.bus.messages);
            if answers.is_empty() && messages.is_empty() {
                return;
            }
            for answer in answers {
                let outcome = answer.outcome.as_deref().map_err(|error| *error);
                self.engine.message_done(answer.ticket, outcome);
            }
            for (ticket, iova, what) in messages {
                self.answer(ticket, iova, what);
            }
        }
        panic!("the engine does not come to an end");
    }

    /// Lets time pass to the next thing that is due, until nothing is.
    pub fn settle(&mut self) {
        self.work();
        while let Some(tick) = self.faults.next_tick() {
            self.now = self.now.max(tick);
            self.work();
        }
    }

    pub fn record(&self) -> &RequestRecord {
        let [record] = self.records.as_slice() else {
            panic!("one record: {:?}", self.records);
        };
        record
    }

    fn answer(&mut self, ticket: Ticket, iova: u64, what: Result<Vec<u8>, usize>) {
        let len = what.as_ref().map_or_else(|len| *len, Vec::len);
        let is_refused = iova + len as u64 > UNMAPPED;
        let range = FlatBus::range(iova, len);
        let outcome = match what {
            _ if is_refused => Err(MessageError::Refused),
            Ok(data) => {
                self.bus.writes.push((iova, len));
                self.bus.memory[range].copy_from_slice(&data);
                Ok(Vec::new())
            }
            Err(_) => {
                self.bus.reads.push((iova, len));
                Ok(self.bus.memory[range].to_vec())
            }
        };
        let outcome = outcome.as_deref().map_err(|error| *error);
        if let Some(answer) = self.faults.reply(ticket, outcome) {
            let outcome = answer.outcome.as_deref().map_err(|error| *error);
            self.engine.message_done(answer.ticket, outcome);
        }
    }

    fn take_events(&mut self) {
        for event in self.engine.take_events() {
            match event {
                EndpointEvent::Interrupt { .. } => self.interrupts += 1,
                EndpointEvent::RequestDone(record) => self.records.push(*record),
                EndpointEvent::Finding(_) => {}
                EndpointEvent::Stopped { channel, scope } => self.faults.stop(channel, scope),
                #[expect(unreachable_patterns, reason = "endpoints may come to tell more")]
                _ => {}
            }
        }
    }
}
