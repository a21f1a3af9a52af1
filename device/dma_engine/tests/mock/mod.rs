//! A mock driver on one side of the engine, fake memory and a fake platform on the other.
#![expect(
    dead_code,
    reason = "each test binary uses the part of the mock that it needs"
)]

pub mod rings;

use std::collections::{HashMap, VecDeque};

use dma_engine::{
    AccessPath, BusFault, BusFaultKind, Direction, DmaBus, EndpointEvent, Engine, EngineConfig,
    Finding, MessageError, PowerState, Progress, RequestRecord, SubmitError, Ticket,
};
use dmarig_abi::completion::CompletionEntry;
use dmarig_abi::descriptor::Descriptor;
use dmarig_abi::registers::*;
use dmarig_abi::{Iova, completion, descriptor};
use zerocopy::{FromBytes, IntoBytes};

pub const PAGE: u64 = 0x1000;

/// What a page permits: by the mapping table, and by the platform behind the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    Nothing,
    Read,
    ReadWrite,
    /// In the table only: permitted, but without memory that we could map.
    MessageOnly,
}

/// A message that the platform has not answered.
#[derive(Clone, Debug)]
pub struct Message {
    pub ticket: Ticket,
    pub iova: u64,
    pub len: usize,
    /// The bytes of a write.
    pub data: Option<Vec<u8>>,
}

/// Guest memory (IOVA = position), the mapping table, and the platform.
pub struct FakeBus {
    memory: HashMap<u64, Box<[u8; 4096]>>,
    table: HashMap<u64, Permit>,
    platform: HashMap<u64, Permit>,
    pub default_permit: Permit,
    pub messages: VecDeque<Message>,
    /// Every message ever sent: address, length, whether a write.
    pub sent: Vec<(u64, usize, bool)>,
    pub max_messages: usize,
    pub is_available: bool,
    pub epoch: u64,
    next_ticket: u64,
}

impl FakeBus {
    pub fn new() -> Self {
        Self {
            memory: HashMap::new(),
            table: HashMap::new(),
            platform: HashMap::new(),
            default_permit: Permit::Nothing,
            messages: VecDeque::new(),
            sent: Vec::new(),
            max_messages: 64,
            is_available: true,
            epoch: 1,
            next_ticket: 1,
        }
    }

    /// Maps pages in table and platform alike.
    pub fn map(&mut self, iova: u64, pages: u64, permit: Permit) {
        self.map_table(iova, pages, permit);
        let platform = match permit {
            Permit::MessageOnly => Permit::ReadWrite,
            other => other,
        };
        self.map_platform(iova, pages, platform);
    }

    pub fn map_table(&mut self, iova: u64, pages: u64, permit: Permit) {
        self.epoch += 1;
        self.table
            .extend((0..pages).map(|page| (iova / PAGE + page, permit)));
    }

    pub fn map_platform(&mut self, iova: u64, pages: u64, permit: Permit) {
        self.platform
            .extend((0..pages).map(|page| (iova / PAGE + page, permit)));
    }

    pub fn peek(&self, iova: u64, len: usize) -> Vec<u8> {
        (iova..iova + len as u64).map(|at| self.byte(at)).collect()
    }

    pub fn poke(&mut self, iova: u64, data: &[u8]) {
        for (offset, byte) in data.iter().enumerate() {
            let at = iova + offset as u64;
            let page = self
                .memory
                .entry(at / PAGE)
                .or_insert_with(|| Box::new([0; 4096]));
            page[usize::try_from(at % PAGE).unwrap()] = *byte;
        }
    }

    /// Answers one message as the platform would: nothing of a refused read, the permitted first
    /// part of a refused write.
    pub fn answer(&mut self, engine: &mut Engine, message: &Message) {
        let direction = if message.data.is_some() {
            Direction::Write
        } else {
            Direction::Read
        };
        let wanted = message.len as u64;
        let reached = (0..wanted)
            .find(|offset| !self.platform_allows(message.iova + offset, direction))
            .unwrap_or(wanted);
        let is_whole = reached == wanted;
        if let Some(data) = &message.data {
            self.poke(message.iova, &data[..usize::try_from(reached).unwrap()]);
        }
        let bytes = match &message.data {
            Some(_) => Vec::new(),
            None => self.peek(message.iova, message.len),
        };
        let answer = if is_whole {
            Ok(bytes.as_slice())
        } else {
            Err(MessageError::Refused)
        };
        engine.message_done(message.ticket, answer);
    }

    fn byte(&self, at: u64) -> u8 {
        let page = self.memory.get(&(at / PAGE));
        page.map_or(0, |page| page[usize::try_from(at % PAGE).unwrap()])
    }

    fn platform_allows(&self, at: u64, direction: Direction) -> bool {
        let permit = self
            .platform
            .get(&(at / PAGE))
            .copied()
            .unwrap_or(self.default_permit);
        matches!(
            (permit, direction),
            (Permit::ReadWrite, _) | (Permit::Read, Direction::Read)
        )
    }

    fn check(&self, at: u64, direction: Direction) -> Result<(), BusFaultKind> {
        let permit = self
            .table
            .get(&(at / PAGE))
            .copied()
            .unwrap_or(self.default_permit);
        match (permit, direction) {
            (Permit::Nothing, _) => Err(BusFaultKind::Unmapped),
            (Permit::Read, Direction::Write) => Err(BusFaultKind::Permission),
            (Permit::MessageOnly, _) => Err(BusFaultKind::MessageOnly),
            _ => Ok(()),
        }
    }

    /// Bytes of an access that the mapped path reaches.
    fn reach(&self, iova: Iova, len: usize, direction: Direction) -> (usize, Option<BusFault>) {
        let mut done = 0;
        while done < len {
            let at = iova.raw() + done as u64;
            if let Err(kind) = self.check(at, direction) {
                return (
                    done,
                    Some(BusFault {
                        iova: Iova::new(at),
                        kind,
                    }),
                );
            }
            done += usize::try_from(PAGE - at % PAGE).unwrap().min(len - done);
        }
        (len, None)
    }

    fn submit(
        &mut self,
        iova: Iova,
        len: usize,
        data: Option<Vec<u8>>,
    ) -> Result<Ticket, SubmitError> {
        assert!(len > 0 && len <= dma_engine::MESSAGE_MAX_SIZE_BYTES);
        if !self.is_available {
            return Err(SubmitError::Unavailable);
        }
        if self.messages.len() >= self.max_messages {
            return Err(SubmitError::Busy);
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.sent.push((iova.raw(), len, data.is_some()));
        self.messages.push_back(Message {
            ticket,
            iova: iova.raw(),
            len,
            data,
        });
        Ok(ticket)
    }
}

impl DmaBus for FakeBus {
    fn mapping_epoch(&self) -> u64 {
        self.epoch
    }

    fn probe(&self, iova: Iova, len_bytes: u64, direction: Direction) -> Result<u64, BusFault> {
        assert!(
            iova.raw().checked_add(len_bytes - 1).is_some(),
            "no wrap reaches the bus"
        );
        match self.check(iova.raw(), direction) {
            Ok(()) | Err(BusFaultKind::MessageOnly) => {
                // A table without entries permits all at once, as one large leaf would.
                let all = if self.table.is_empty() {
                    len_bytes
                } else {
                    PAGE - iova.raw() % PAGE
                };
                Ok(all.min(len_bytes))
            }
            Err(kind) => Err(BusFault { iova, kind }),
        }
    }

    fn read(&mut self, iova: Iova, buffer: &mut [u8]) -> Result<(), BusFault> {
        let (len, fault) = self.reach(iova, buffer.len(), Direction::Read);
        let bytes = self.peek(iova.raw(), len);
        buffer[..len].copy_from_slice(&bytes);
        fault.map_or(Ok(()), Err)
    }

    fn write(&mut self, iova: Iova, data: &[u8]) -> Result<(), BusFault> {
        let (len, fault) = self.reach(iova, data.len(), Direction::Write);
        self.poke(iova.raw(), &data[..len]);
        fault.map_or(Ok(()), Err)
    }

    fn submit_read(&mut self, iova: Iova, len_bytes: usize) -> Result<Ticket, SubmitError> {
        self.submit(iova, len_bytes, None)
    }

    fn submit_write(&mut self, iova: Iova, data: &[u8]) -> Result<Ticket, SubmitError> {
        self.submit(iova, data.len(), Some(data.to_vec()))
    }
}

/// What a driver asks in register mode.
#[derive(Clone, Copy, Debug, Default)]
pub struct Command {
    pub opcode: u16,
    pub flags: u16,
    pub source: u64,
    pub destination: u64,
    pub length_bytes: u64,
    pub seed: u64,
}

/// Where a driver put its rings.
#[derive(Clone, Copy, Debug)]
pub struct DriverRing {
    pub channel: u64,
    pub base: u64,
    pub completion_base: u64,
    pub entries: u32,
    pub tail: u32,
    pub next_completion: u32,
    pub phase: u16,
}

/// Engine, memory and driver.
pub struct Rig {
    pub engine: Engine,
    pub bus: FakeBus,
    pub events: Vec<EndpointEvent>,
}

impl Rig {
    /// Bus master on, all interrupts enabled, nothing mapped.
    pub fn new() -> Self {
        Self::with_config(EngineConfig::default())
    }

    pub fn with_channels(channels: u8) -> Self {
        Self::with_config(EngineConfig {
            channels,
            ..EngineConfig::default()
        })
    }

    pub fn with_config(config: EngineConfig) -> Self {
        let mut engine = Engine::new(config);
        engine.set_bus_master(true);
        engine.set_power_state(PowerState::D0);
        let mut rig = Self {
            engine,
            bus: FakeBus::new(),
            events: Vec::new(),
        };
        rig.write_32(REG_INTERRUPT_ENABLE, 0xf);
        rig
    }

    pub fn write_32(&mut self, offset: u64, value: u32) {
        self.engine
            .write(offset, &value.to_le_bytes(), self.bus.epoch);
    }

    pub fn write_64(&mut self, offset: u64, value: u64) {
        self.engine
            .write(offset, &value.to_le_bytes(), self.bus.epoch);
    }

    pub fn read_32(&self, offset: u64) -> u32 {
        let mut bytes = [0; 4];
        self.engine.read(offset, &mut bytes, self.bus.epoch);
        u32::from_le_bytes(bytes)
    }

    pub fn read_64(&self, offset: u64) -> u64 {
        let mut bytes = [0; 8];
        self.engine.read(offset, &mut bytes, self.bus.epoch);
        u64::from_le_bytes(bytes)
    }

    pub fn status(&self, channel: u64) -> u16 {
        let bytes = self.read_32(register(channel, CH_STATUS)).to_le_bytes();
        u16::from_le_bytes([bytes[0], bytes[1]])
    }

    pub fn is_busy(&self, channel: u64) -> bool {
        self.read_32(register(channel, CH_STATUS)) & CH_STATUS_BUSY != 0
    }

    /// Writes the registers and rings the doorbell.
    pub fn command(&mut self, channel: u64, command: Command) {
        self.write_64(register(channel, CH_SOURCE), command.source);
        self.write_64(register(channel, CH_DESTINATION), command.destination);
        self.write_64(register(channel, CH_LENGTH), command.length_bytes);
        self.write_64(register(channel, CH_SEED), command.seed);
        let value = u32::from(command.opcode) | u32::from(command.flags) << 16;
        self.write_32(register(channel, CH_COMMAND), value);
    }

    /// One command from doorbell to status, on channel 0.
    pub fn run_command(&mut self, command: Command) -> RequestRecord {
        self.command(0, command);
        self.settle();
        assert!(!self.is_busy(0));
        let record = self.records().pop().expect("a record for the command");
        assert_eq!(self.status(0), record.status);
        record
    }

    /// Runs without answering messages.
    pub fn run(&mut self) {
        for _ in 0..10_000 {
            let progress = self.engine.run(&mut self.bus, 4);
            self.events.extend(self.engine.take_events());
            if progress == Progress::Idle {
                return;
            }
        }
        panic!("the engine does not come to rest");
    }

    /// Runs and answers messages in order until nothing is left.
    pub fn settle(&mut self) {
        self.run();
        while let Some(message) = self.bus.messages.pop_front() {
            self.bus.answer(&mut self.engine, &message);
            self.run();
        }
    }

    pub fn records(&self) -> Vec<RequestRecord> {
        let record = |event: &EndpointEvent| match event {
            EndpointEvent::RequestDone(record) => Some((**record).clone()),
            _ => None,
        };
        self.events.iter().filter_map(record).collect()
    }

    /// Records of the guest's own requests, without the ring's upkeep.
    pub fn request_records(&self) -> Vec<RequestRecord> {
        let mut records = self.records();
        records.retain(|record| !record.origin.is_upkeep());
        records
    }

    /// What the engine found the driver doing wrong.
    pub fn findings(&self) -> Vec<Finding> {
        let finding = |event: &EndpointEvent| match event {
            EndpointEvent::Finding(finding) => Some((**finding).clone()),
            _ => None,
        };
        self.events.iter().filter_map(finding).collect()
    }

    pub fn vectors(&self) -> Vec<u16> {
        let vector = |event: &EndpointEvent| match event {
            EndpointEvent::Interrupt { vector } => Some(vector.number()),
            _ => None,
        };
        self.events.iter().filter_map(vector).collect()
    }

    /// Enables a ring of `entries` on a channel; the pages are the caller's to map.
    pub fn enable_ring(&mut self, channel: u64, base: u64, entries: u32) -> DriverRing {
        self.enable_ring_as(channel, base, entries, 0)
    }

    /// The same in a mode.
    pub fn enable_ring_as(
        &mut self,
        channel: u64,
        base: u64,
        entries: u32,
        mode: u32,
    ) -> DriverRing {
        let completion_base = base + u64::from(entries) * 64;
        self.bus.poke(base, &vec![0; entries as usize * 128]);
        self.write_64(register(channel, CH_RING_BASE), base);
        self.write_64(register(channel, CH_COMPLETION_BASE), completion_base);
        self.write_32(register(channel, CH_RING_ENTRIES), entries);
        self.write_32(register(channel, CH_RING_CONTROL), RING_ENABLE | mode);
        DriverRing {
            channel,
            base,
            completion_base,
            entries,
            tail: 0,
            next_completion: 0,
            phase: 1,
        }
    }

    /// Puts a descriptor into the ring without ringing.
    pub fn post(&mut self, ring: &mut DriverRing, descriptor: Descriptor) {
        let at = ring.base + u64::from(ring.tail) * 64;
        self.bus.poke(at, descriptor.as_bytes());
        ring.tail = (ring.tail + 1) % ring.entries;
    }

    pub fn ring_doorbell(&mut self, ring: &DriverRing) {
        self.write_32(register(ring.channel, CH_RING_TAIL), ring.tail);
    }

    /// The next completion entry, if its phase says that it is there.
    pub fn completion(&self, ring: &mut DriverRing) -> Option<CompletionEntry> {
        let at = ring.completion_base + u64::from(ring.next_completion) * 64;
        let bytes = self.bus.peek(at, 64);
        let entry = CompletionEntry::read_from_bytes(&bytes).expect("64 bytes");
        if entry.flags & completion::COMPLETION_FLAG_PHASE != ring.phase {
            return None;
        }
        ring.next_completion = (ring.next_completion + 1) % ring.entries;
        if ring.next_completion == 0 {
            ring.phase ^= 1;
        }
        Some(entry)
    }
}

pub fn register(channel: u64, offset: u64) -> u64 {
    CHANNEL_BASE + channel * CHANNEL_STRIDE + offset
}

pub fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    dmarig_abi::pattern::fill_pattern(seed, 0, &mut bytes);
    bytes
}

/// A descriptor that writes a pattern and asks for an interrupt.
pub fn write_descriptor(tag: u64, destination: u64, length_bytes: u64) -> Descriptor {
    Descriptor {
        opcode: descriptor::DMA_OP_WRITE_PATTERN,
        flags: descriptor::DESCRIPTOR_FLAG_INTERRUPT,
        tag,
        destination,
        length_bytes,
        seed: tag,
        ..Descriptor::default()
    }
}

pub fn has_message(record: &RequestRecord) -> bool {
    matches!(record.path, AccessPath::Message | AccessPath::Both)
}
