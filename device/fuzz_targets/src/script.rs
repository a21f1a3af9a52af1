//! [`Op`]: what hostile peers do, decoded from a fuzzer's bytes, and how it is done.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use arbitrary::Arbitrary;
use control_api::request::METHOD_NAMES;
use dmarig_abi::registers::{CHANNEL_BASE, CHANNEL_STRIDE, DUT_REGISTER_BAR};
use guest_memory::SharedMemory;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use vfio_user::client::{
    encode, map_payload, read_payload, set_irqs_payload, unmap_payload, write_payload,
};
use vfio_user::message::{Command, FLAG_ERROR, FLAG_NO_REPLY, TYPE_REPLY};

use crate::bed::Bed;
use crate::engine::{self, Ring, Work};
use crate::faults::{self, Rule};

/// Where the guest's memory begins on the bus.
pub const MEMORY_IOVA: u64 = 0x10_0000;
/// Size of the guest's memory.
pub const MEMORY_BYTES: usize = 16 << 12;
/// Operations of one input; more says nothing new.
pub const MAX_OPS: usize = 64;
/// Words of one write to memory or registers.
const MAX_WORDS: usize = 16;
/// Messages of the device that one operation answers.
const MAX_ANSWERS: usize = 8;

/// A number that means something more often than a random one.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Value {
    /// An address in the guest's memory.
    Iova(u16),
    /// A small number.
    Small(u8),
    /// Two small halves: opcode and flags, length and the like.
    Halves(u8, u8),
    /// Any number.
    Any(u64),
    /// All ones.
    Ones,
}

impl Value {
    /// The number.
    pub fn get(self) -> u64 {
        match self {
            Self::Iova(offset) => MEMORY_IOVA + u64::from(offset),
            Self::Small(value) => value.into(),
            Self::Halves(low, high) => u64::from(low) | u64::from(high) << 32,
            Self::Any(value) => value,
            Self::Ones => u64::MAX,
        }
    }
}

/// A descriptor that goes with a message.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Fd {
    /// None.
    None,
    /// The guest's memory, sealed as QEMU seals it.
    Memory,
    /// Memory that could be shrunk under us.
    Unsealed,
    /// An eventfd.
    Event,
}

/// How a DMA message is answered.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Answer {
    /// As asked, with bytes of this value.
    Data(u8),
    /// With an error.
    Refused(u8),
    /// With so many bytes, whatever was asked.
    Short(u8),
    /// Never.
    Withheld,
}

/// One thing that a peer does.
#[derive(Arbitrary, Clone, Debug)]
pub enum Op {
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// A message of any kind.
    Message {
        command: u8,
        flags: u8,
        payload: Vec<u8>,
        fd: Fd,
    },
    /// A read of a region.
    Read { region: u8, offset: u16, count: u16 },
    /// A write to a region.
    Write {
        region: u8,
        offset: u16,
        words: Vec<Value>,
        cut: u8,
        is_posted: bool,
    },
    /// A write to a register of a channel.
    Channel {
        channel: u8,
        register: u8,
        value: Value,
        is_wide: bool,
    },
    /// A whole request by registers.
    Request { channel: u8, work: Work },
    /// A whole ring.
    Ring(Ring),
    /// A remapping unit of the device's own.
    Remap { is_deferred: bool },
    /// Rules of fault injection.
    Faults(Vec<Rule>),
    /// Bytes in the guest's memory change.
    Memory { offset: u16, words: Vec<Value> },
    /// A mapping.
    Map {
        page: u8,
        n_pages: u8,
        file_page: u8,
        flags: u8,
        fd: Fd,
    },
    /// An end of mappings.
    Unmap { page: u8, n_pages: u8, flags: u8 },
    /// Interrupts are bound, masked or triggered.
    Irqs {
        flags: u8,
        index: u8,
        start: u8,
        count: u8,
        fd: Fd,
    },
    /// DMA messages of the device are answered.
    Answer(Answer),
    /// The function is reset.
    Reset,
    /// Time passes.
    Pass { milliseconds: u16 },
    /// QEMU ends, and another comes.
    Reconnect,
    /// A line for the control socket.
    Line(Line),
}

/// A line of the control socket.
#[derive(Arbitrary, Clone, Debug)]
pub enum Line {
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// A known method with any parameters.
    Call { method: u8, params: String },
    /// A DMA request.
    Submit {
        op: u8,
        path: u8,
        iova: Value,
        length: Value,
        destination: Option<Value>,
    },
    /// A mailbox call.
    Mailbox { program: [u8; 12], timeout_ms: u8 },
    /// A declared buffer.
    Declare {
        iova: Value,
        length: Value,
        direction: u8,
    },
}

/// The peers' own things.
pub struct Peers {
    /// The guest's memory.
    pub memory: SharedMemory,
    unsealed: OwnedFd,
    event: OwnedFd,
    next_id: u16,
}

impl Peers {
    /// Memory that is all zero, and an eventfd.
    pub fn new() -> Self {
        let unsealed = memfd_create("fuzz-unsealed", MemfdFlags::CLOEXEC).expect("memory");
        ftruncate(&unsealed, MEMORY_BYTES as u64).expect("memory");
        Self {
            memory: SharedMemory::create_sealed("fuzz", MEMORY_BYTES).expect("memory"),
            unsealed,
            event: eventfd(0, EventfdFlags::NONBLOCK).expect("eventfd"),
            next_id: 0,
        }
    }

    /// Does one thing.
    pub fn act(&mut self, bed: &mut Bed, op: &Op) {
        match op {
            Op::Raw(bytes) => bed.send(bytes, &[]),
            Op::Message {
                command,
                flags,
                payload,
                fd,
            } => {
                self.send(
                    bed,
                    Command(u16::from(*command)),
                    u32::from(*flags),
                    payload,
                    *fd,
                );
            }
            Op::Read {
                region,
                offset,
                count,
            } => {
                let payload = read_payload(
                    u32::from(*region % 10),
                    u64::from(*offset),
                    u32::from(*count),
                );
                self.send(bed, Command::REGION_READ, 0, &payload, Fd::None);
            }
            Op::Write {
                region,
                offset,
                words,
                cut,
                is_posted,
            } => {
                let mut data = bytes_of(words);
                data.truncate(data.len().saturating_sub(usize::from(*cut % 8)));
                let flags = if *is_posted { FLAG_NO_REPLY } else { 0 };
                let payload = write_payload(u32::from(*region % 10), u64::from(*offset), &data);
                self.send(bed, Command::REGION_WRITE, flags, &payload, Fd::None);
            }
            Op::Channel {
                channel,
                register,
                value,
                is_wide,
            } => {
                let offset = CHANNEL_BASE
                    + u64::from(*channel % 6) * CHANNEL_STRIDE
                    + u64::from(*register % 32) * 4;
                let bytes = value.get().to_le_bytes();
                let bytes = if *is_wide { &bytes[..] } else { &bytes[..4] };
                let payload = write_payload(DUT_REGISTER_BAR, offset, bytes);
                self.send(
                    bed,
                    Command::REGION_WRITE,
                    FLAG_NO_REPLY,
                    &payload,
                    Fd::None,
                );
            }
            Op::Request { channel, work } => engine::request(self, bed, *channel, work),
            Op::Ring(ring) => engine::ring(self, bed, ring),
            Op::Remap { is_deferred } => engine::remap(self, bed, *is_deferred),
            Op::Faults(rules) => faults::load(bed, rules),
            Op::Memory { offset, words } => self.write_bytes((*offset).into(), &bytes_of(words)),
            Op::Map {
                page,
                n_pages,
                file_page,
                flags,
                fd,
            } => {
                self.map(bed, [*page, *n_pages, *file_page], *flags, *fd);
            }
            Op::Unmap {
                page,
                n_pages,
                flags,
            } => {
                let payload =
                    unmap_payload(u32::from(*flags), iova_of(*page), u64::from(*n_pages) << 12);
                self.send(bed, Command::DMA_UNMAP, 0, &payload, Fd::None);
            }
            Op::Irqs {
                flags,
                index,
                start,
                count,
                fd,
            } => {
                let number = |byte: u8| u32::from(byte);
                let payload = set_irqs_payload(
                    number(*flags),
                    number(*index),
                    number(*start),
                    number(*count),
                    &[],
                );
                self.send(bed, Command::DEVICE_SET_IRQS, 0, &payload, *fd);
            }
            Op::Answer(answer) => answer_dma(bed, *answer),
            Op::Reset => self.send(bed, Command::DEVICE_RESET, 0, &[], Fd::None),
            Op::Pass { milliseconds } => bed.pass(Duration::from_millis(u64::from(*milliseconds))),
            Op::Reconnect => bed.connect(),
            Op::Line(line) => bed.say(&line_bytes(line)),
        }
    }

    /// Maps pages: where, how many, from which page of the file.
    pub fn map(&mut self, bed: &mut Bed, [page, n_pages, file_page]: [u8; 3], flags: u8, fd: Fd) {
        let size = u64::from(n_pages) << 12;
        let payload = map_payload(
            u32::from(flags),
            u64::from(file_page) << 12,
            iova_of(page),
            size,
        );
        self.send(bed, Command::DMA_MAP, 0, &payload, fd);
    }

    /// Sends a message with a fresh number.
    pub fn send(&mut self, bed: &mut Bed, command: Command, flags: u32, payload: &[u8], fd: Fd) {
        self.next_id = self.next_id.wrapping_add(1);
        let message = encode(self.next_id, command, flags, payload);
        match fd {
            Fd::None => bed.send(&message, &[]),
            Fd::Memory => bed.send(&message, &[self.memory.as_fd()]),
            Fd::Unsealed => bed.send(&message, &[self.unsealed.as_fd()]),
            Fd::Event => bed.send(&message, &[self.event.as_fd()]),
        }
    }

    /// Writes to the guest's memory; beyond its end nothing happens.
    pub fn write_bytes(&self, offset: u64, data: &[u8]) {
        if let Ok(range) = self.memory.range(offset, data.len()) {
            range.write_from(data);
        }
    }
}

fn iova_of(page: u8) -> u64 {
    MEMORY_IOVA + (u64::from(page) << 12)
}

fn bytes_of(words: &[Value]) -> Vec<u8> {
    let words = words.iter().take(MAX_WORDS);
    words.flat_map(|word| word.get().to_le_bytes()).collect()
}

fn answer_dma(bed: &mut Bed, answer: Answer) {
    for _ in 0..MAX_ANSWERS {
        let Some(asked) = bed.take_dma() else {
            return;
        };
        let command = Command(asked.command);
        let is_read = command == Command::DMA_READ;
        let count = usize::try_from(asked.count).unwrap_or(0);
        let (flags, mut payload) = (TYPE_REPLY, asked.access.to_vec());
        let (flags, payload) = match answer {
            Answer::Data(byte) => {
                payload.resize(payload.len() + if is_read { count } else { 0 }, byte);
                (flags, payload)
            }
            Answer::Short(n_bytes) => {
                payload.resize(payload.len() + usize::from(n_bytes), 0);
                (flags, payload)
            }
            Answer::Refused(_) => (flags | FLAG_ERROR, Vec::new()),
            Answer::Withheld => continue,
        };
        let mut message = encode(asked.message_id, command, flags, &payload);
        if let Answer::Refused(errno) = answer {
            // The last word of the header.
            message[12] = errno;
        }
        bed.send(&message, &[]);
    }
}

fn line_bytes(line: &Line) -> Vec<u8> {
    let call = |method: &str, params: String| {
        format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{params}}}"#).into_bytes()
    };
    let pick = |words: &[&'static str], number: u8| words[usize::from(number) % words.len()];
    match line {
        Line::Raw(bytes) => bytes.clone(),
        Line::Call { method, params } => call(pick(METHOD_NAMES, *method), params.clone()),
        Line::Submit {
            op,
            path,
            iova,
            length,
            destination,
        } => {
            let op = pick(
                &["write_pattern", "verify_pattern", "crc", "fill", "copy"],
                *op,
            );
            let path = pick(&["default", "message", "probe"], *path);
            let destination = destination.map_or(String::new(), |to| {
                format!(r#","destination":"{:#x}""#, to.get())
            });
            let (iova, length) = (iova.get(), length.get());
            call(
                "dma.submit",
                format!(
                    r#"{{"function":"dut0","op":"{op}","path":"{path}","iova":"{iova:#x}","length":"{length:#x}","seed":"0x7"{destination}}}"#
                ),
            )
        }
        Line::Mailbox {
            program,
            timeout_ms,
        } => {
            // Four letters of Base64 are three bytes; any letters will do.
            const LETTERS: &[u8; 64] =
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let text: String = program
                .iter()
                .map(|byte| char::from(LETTERS[usize::from(*byte % 64)]))
                .collect();
            call(
                "mailbox.call",
                format!(r#"{{"program":"{text}","timeout_ms":{timeout_ms}}}"#),
            )
        }
        Line::Declare {
            iova,
            length,
            direction,
        } => {
            let direction = pick(&["to_device", "from_device", "bidirectional"], *direction);
            let (iova, length) = (iova.get(), length.get());
            call(
                "buffer.declare",
                format!(
                    r#"{{"function":"dut0","name":"b","iova":"{iova:#x}","length":"{length:#x}","direction":"{direction}"}}"#
                ),
            )
        }
    }
}
