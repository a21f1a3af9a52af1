//! The targets that turn on a board: one that a device file describes, and `edu`.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::time::{Duration, Instant};

use arbitrary::{Arbitrary, Unstructured};
use board::BoardEndpoint;
use device_file::DeviceDescription;
use dmarig_device::{Dut, MessageDma};
use edu::Edu;
use endpoint::Tick;
use guest_memory::{MappedRange, SharedMemory};
use pci_function::ResetKind;
use vfio_user::{DeviceModel as _, DmaMap, DmaPermissions, DmaUnmap, RegionIndex};

use crate::script::{MEMORY_BYTES, MEMORY_IOVA, Value};

/// Operations of one input.
const MAX_OPS: usize = 96;
/// Slices of work in a row; a ring may keep a board busy for longer.
const MAX_SLICES: usize = 64;
/// Longest time that passes at once, in microseconds.
const MAX_STEP_US: u32 = 20_000;
/// Where the registers are.
const BAR0: RegionIndex = RegionIndex::BAR0;
/// Bus master and memory enable.
const COMMAND: [u8; 2] = [6, 0];
const COMMAND_OFFSET: u64 = 4;

/// What a driver, and time, do to a board.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Op {
    /// A read of 1, 2, 4 or 8 bytes of BAR 0.
    Read {
        offset: u16,
        size: u8,
    },
    /// A write.
    Write {
        offset: u16,
        size: u8,
        value: Value,
    },
    /// A write of a whole register of 4 bytes, among the first 128.
    Register {
        number: u8,
        value: Value,
    },
    /// Words in the guest's memory: descriptors, or what a transfer reads.
    Memory {
        page: u8,
        word: u8,
        value: Value,
    },
    /// Time, and work.
    Pass {
        us: u32,
    },
    /// Memory that goes and comes.
    Map {
        is_there: bool,
    },
    Reset {
        is_bus_reset: bool,
    },
}

/// A board, the memory that it reaches, and the time.
struct Stage {
    dut: Dut,
    memory: SharedMemory,
    now: Tick,
    start: Instant,
}

/// A board described by its registers: the example that a reader of docs/registers.md sees.
pub fn board(data: &[u8]) {
    let text = include_str!("../../device_file/devices/nic-like.toml");
    let description = parse(text);
    let dut = Dut::new(&description, MessageDma::Off).expect("memory for the BARs");
    run(dut, data);
}

/// The `edu` device.
pub fn edu(data: &[u8]) {
    let description = parse(include_str!("../../edu/edu.toml"));
    let endpoint = Box::new(BoardEndpoint::new(Edu::new()));
    let dut = Dut::with_endpoint(&description, MessageDma::Off, endpoint);
    run(dut.expect("memory for the BARs"), data);
}

fn parse(text: &str) -> DeviceDescription {
    device_file::parse(Path::new("board.toml"), text).expect("a device file of ours")
}

fn run(dut: Dut, data: &[u8]) {
    let mut stage = Stage::new(dut);
    let mut input = Unstructured::new(data);
    for _ in 0..MAX_OPS {
        if input.is_empty() {
            break;
        }
        let Ok(op) = Op::arbitrary(&mut input) else {
            break;
        };
        stage.act(op);
    }
    stage.check_rest();
}

impl Stage {
    fn new(dut: Dut) -> Self {
        let mut stage = Self {
            dut,
            memory: SharedMemory::create_sealed("fuzz", MEMORY_BYTES).expect("a little memory"),
            now: Tick::ZERO,
            start: Instant::now(),
        };
        stage.enable();
        stage.map();
        stage
    }

    fn act(&mut self, op: Op) {
        match op {
            Op::Read { offset, size } => self.read(offset.into(), 1 << (size % 4)),
            Op::Write {
                offset,
                size,
                value,
            } => self.write(offset.into(), 1 << (size % 4), value),
            Op::Register { number, value } => self.write(u64::from(number % 128) * 4, 4, value),
            Op::Memory { page, word, value } => {
                let offset = (usize::from(page) << 12 | usize::from(word) << 3) % MEMORY_BYTES;
                let word = self.memory.whole();
                let stored = word.store_u64(offset, value.get());
                stored.expect("a whole word in our memory");
            }
            Op::Pass { us } => self.pass(u64::from(us % MAX_STEP_US)),
            Op::Map { is_there: true } => self.map(),
            Op::Map { is_there: false } => {
                let gone = self.dut.dma_unmap(DmaUnmap::All);
                gone.expect("an unmap finds what it finds");
            }
            Op::Reset { is_bus_reset } => {
                self.dut.reset_function(if is_bus_reset {
                    ResetKind::Conventional
                } else {
                    ResetKind::FunctionLevel
                });
                self.enable();
            }
        }
    }

    /// An access that the server lets through: within the region, and not empty.
    fn fits(&self, offset: u64, size: u64) -> bool {
        offset + size <= self.dut.region_info(BAR0).size
    }

    fn read(&mut self, offset: u64, size: usize) {
        if self.fits(offset, size as u64) {
            let mut data = vec![0; size];
            // Refused or not, it must not panic.
            let _ = self.dut.read_region(BAR0, offset, &mut data);
        }
    }

    fn write(&mut self, offset: u64, size: usize, value: Value) {
        if self.fits(offset, size as u64) {
            let data = &value.get().to_le_bytes()[..size];
            let _ = self.dut.write_region(BAR0, offset, data);
        }
    }

    fn enable(&mut self) {
        let written = self
            .dut
            .write_region(RegionIndex::CONFIG, COMMAND_OFFSET, &COMMAND);
        written.expect("the command register is always there");
    }

    /// The guest's memory; twice in the same place it is refused.
    fn map(&mut self) {
        let fd = self.memory.as_fd().try_clone_to_owned();
        let _ = self.dut.dma_map(DmaMap {
            iova: MEMORY_IOVA,
            size: MEMORY_BYTES as u64,
            permissions: DmaPermissions {
                read: true,
                write: true,
            },
            fd: Some(fd.expect("a descriptor")),
            file_offset: 0,
        });
    }

    fn pass(&mut self, us: u64) {
        self.now = self.now.after(Duration::from_micros(us));
        self.dut.set_now(self.now);
        for _ in 0..MAX_SLICES {
            if !self.dut.work(None, self.start) {
                break;
            }
        }
    }

    /// After a reset nothing is left of what the driver has set off: with time nothing changes any more.
    fn check_rest(mut self) {
        self.dut.reset_function(ResetKind::Conventional);
        self.enable();
        self.map();
        let whole = self.memory.whole();
        let before = crc(&whole);
        for _ in 0..MAX_SLICES {
            self.pass(MAX_STEP_US.into());
        }
        let whole = self.memory.whole();
        assert_eq!(before, crc(&whole), "a board that was reset writes memory");
        assert_eq!(self.dut.next_tick(), None, "a board that was reset waits");
    }
}

fn crc(memory: &MappedRange<'_>) -> u32 {
    let mut crc = 0;
    memory.visit(|bytes| crc = crc32c::crc32c_append(crc, bytes));
    crc
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The seeds must set something off, or the targets look at registers alone.
    #[test]
    fn board_moves_bytes_that_the_check_would_see() {
        let description = parse(include_str!("../../edu/edu.toml"));
        let endpoint = Box::new(BoardEndpoint::new(Edu::new()));
        let dut = Dut::with_endpoint(&description, MessageDma::Off, endpoint);
        let mut stage = Stage::new(dut.expect("memory"));
        let before = crc(&stage.memory.whole());
        // From the buffer of the device, which holds a factorial's traces of nothing, to memory full of ones.
        stage.memory.whole().fill(0xff);
        assert_ne!(before, crc(&stage.memory.whole()));
        let filled = crc(&stage.memory.whole());
        for (register, value) in [(0x80, 0x40000), (0x88, MEMORY_IOVA), (0x90, 64), (0x98, 3)] {
            let written = stage.dut.write_region(BAR0, register, &value.to_le_bytes());
            written.expect("a register of edu");
        }
        for _ in 0..MAX_SLICES {
            stage.pass(MAX_STEP_US.into());
        }
        assert_ne!(
            filled,
            crc(&stage.memory.whole()),
            "edu has written nothing"
        );
    }
}
