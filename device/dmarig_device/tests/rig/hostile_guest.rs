//! A guest that does anything at all: the device answers, comes to rest, and serves the next one.

use control_api::FunctionName;
use control_api::request::{
    BufferDeclare, BufferDirection, LedgerRead, MappingsSummary, Sabotage, SabotageSet, Status,
};
use dmarig_abi::Iova;
use dmarig_abi::registers::{
    CH_COMMAND, CH_COMPLETION_BASE, CH_DESTINATION, CH_LENGTH, CH_RING_BASE, CH_RING_CONTROL,
    CH_RING_ENTRIES, CH_RING_TAIL, CH_SEED, CH_SOURCE, CHANNEL_BASE, CHANNEL_STRIDE, DUT_ID_VALUE,
    REG_CONTROL, REG_ID, REG_INTERRUPT_CAUSE, REG_INTERRUPT_ENABLE,
};
use guest_memory::SharedMemory;

use crate::support::{Bench, Harness, MockQemu};

const FUNCTION: FunctionName = FunctionName::DUT0;
const RAM: u64 = 0x10_0000;
const STEPS: usize = 1500;
const SEEDS: u64 = 4;

/// SplitMix64: the same steps for the same seed, everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        dmarig_abi::pattern::pattern_word(self.0, 0)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let index = self.below(choices.len() as u64);
        choices[usize::try_from(index).expect("in range")]
    }

    /// An address or length: in memory, at its edges, at the ends of the space, or anything.
    fn number(&mut self) -> u64 {
        let spread = self.below(0x3000);
        match self.below(6) {
            0 => spread,
            1 => RAM.wrapping_sub(0x1000).wrapping_add(spread),
            2 => 0_u64.wrapping_sub(spread),
            3 => 0xfee0_0000_u64.wrapping_sub(0x1000).wrapping_add(spread),
            4 => self.below(RAM) & !0xfff,
            _ => self.roll(),
        }
    }
}

struct Guest {
    bench: Bench,
    qemu: MockQemu,
    harness: Harness,
    ram: SharedMemory,
    dice: Dice,
}

impl Guest {
    fn new(seed: u64) -> Self {
        let mut bench = Bench::new();
        let qemu = bench.connect(FUNCTION);
        let harness = bench.harness();
        let size = usize::try_from(RAM).expect("1 MiB");
        let ram = SharedMemory::create_sealed("ram", size).expect("memory");
        Self {
            bench,
            qemu,
            harness,
            ram,
            dice: Dice(seed),
        }
    }

    fn step(&mut self) {
        match self.dice.below(16) {
            0..8 => self.write_register(),
            8 => self.write_anywhere(),
            9 => self.change_memory(),
            10 | 11 => self.change_mappings(),
            12 | 13 => self.answer_message(),
            14 => self.configure(),
            _ => self.be_judged(),
        }
    }

    fn write_register(&mut self) {
        const REGISTERS: [u64; 10] = [
            CH_COMMAND,
            CH_SOURCE,
            CH_DESTINATION,
            CH_LENGTH,
            CH_SEED,
            CH_RING_BASE,
            CH_COMPLETION_BASE,
            CH_RING_ENTRIES,
            CH_RING_CONTROL,
            CH_RING_TAIL,
        ];
        let register = self.dice.pick(&REGISTERS);
        let channel = self.dice.below(4);
        let offset = CHANNEL_BASE + channel * CHANNEL_STRIDE + register;
        let (value, length) = match register {
            CH_COMMAND => (self.dice.below(8) | self.dice.below(16) << 16, 4),
            CH_RING_ENTRIES => (1 << self.dice.below(14), 4),
            CH_RING_CONTROL => (1, 4),
            CH_RING_TAIL => (self.dice.below(64), 4),
            CH_RING_BASE | CH_COMPLETION_BASE => (self.dice.number() & !0x3f, 8),
            _ => (self.dice.number(), 8),
        };
        self.qemu
            .write(&mut self.bench, 0, offset, &value.to_le_bytes()[..length]);
    }

    fn write_anywhere(&mut self) {
        let registers = [REG_CONTROL, REG_INTERRUPT_ENABLE, REG_INTERRUPT_CAUSE];
        let any = self.dice.below(0xff00);
        let known = self.dice.pick(&registers);
        let offset = self.dice.pick(&[any, known]);
        let bytes = self.dice.roll().to_le_bytes();
        let length = 1 + usize::try_from(self.dice.below(8)).expect("small");
        self.qemu
            .write(&mut self.bench, 0, offset, &bytes[..length]);
    }

    /// Descriptors come out of this: words of small numbers and addresses.
    fn change_memory(&mut self) {
        let base = self.dice.below(RAM - 0x1000) & !0x3f;
        for word in 0..64 {
            let value = match word % 8 {
                0 => self.dice.below(7) | self.dice.below(8) << 16,
                6 | 7 => 0,
                _ => self.dice.number(),
            };
            let range = self.ram.range(base + word * 8, 8).expect("in memory");
            range.write_from(&value.to_le_bytes());
        }
    }

    fn change_mappings(&mut self) {
        let iova = self.dice.number() & !0xfff;
        let offset = self.dice.below(RAM) & !0xfff;
        let size = (1 + self.dice.below(0x40)) << 12;
        let size = size
            .min(RAM - offset)
            .min(0_u64.wrapping_sub(iova).wrapping_sub(1) & !0xfff);
        if size == 0 {
            return;
        }
        if self.dice.below(3) == 0 {
            self.qemu.unmap(&mut self.bench, iova, size);
            return;
        }
        let write = self.dice.below(4) != 0;
        let part = offset..offset + size;
        self.qemu
            .map_part(&mut self.bench, &self.ram, iova, part, write);
    }

    fn answer_message(&mut self) {
        let Some(command) = self.qemu.waiting_dma() else {
            return;
        };
        let length = usize::try_from(command.count).expect("at most 32 KiB");
        let data = vec![0x5a; if command.is_write { 0 } else { length }];
        match self.dice.below(4) {
            0 => self.qemu.refuse_dma(&mut self.bench, &command),
            1 => self.bench.pass(std::time::Duration::from_millis(700)),
            _ => self.qemu.answer_dma(&mut self.bench, &command, &data),
        }
    }

    fn configure(&mut self) {
        match self.dice.below(10) {
            0 => self.qemu.reset(&mut self.bench),
            1 => {
                let power = self.qemu.capability(&mut self.bench, 1) + 4;
                let state = self.dice.pick(&[0, 0, 0, 3]);
                self.qemu.write_config(&mut self.bench, power, &[state, 0]);
            }
            2 => {
                let offset = self.dice.below(0x1000 - 8);
                let bytes = self.dice.roll().to_le_bytes();
                self.qemu.write_config(&mut self.bench, offset, &bytes);
            }
            _ => self.qemu.enable_bus_master(&mut self.bench),
        }
    }

    fn be_judged(&mut self) {
        let name = self.dice.pick(&Sabotage::ALL);
        let times = Some(1 + u32::try_from(self.dice.below(3)).expect("small"));
        self.harness.call(
            &mut self.bench,
            &SabotageSet {
                function: FunctionName::DUT0,
                name,
                times,
            },
        );
        let buffer = BufferDeclare {
            function: FUNCTION,
            name: "any".into(),
            iova: Iova::new(self.dice.number()),
            length: self.dice.number(),
            direction: BufferDirection::ToDevice,
        };
        // A range that wraps is refused, and that is fine here.
        self.harness.try_call(&mut self.bench, &buffer).ok();
        let limit = u32::MAX;
        self.harness.call(
            &mut self.bench,
            &LedgerRead {
                function: FunctionName::DUT0,
                from: 0,
                limit,
            },
        );
        let function = FUNCTION;
        self.harness
            .call(&mut self.bench, &MappingsSummary { function });
    }
}

#[test]
fn any_guest_is_answered_and_leaves_the_device_usable() {
    for seed in 0..SEEDS {
        let mut guest = Guest::new(seed);
        for _ in 0..STEPS {
            guest.step();
        }
        let status = guest.harness.call(&mut guest.bench, &Status {});
        assert_eq!(status.counters.rejected_messages, 0, "seed {seed}");
        assert_eq!(status.counters.protocol_errors, 0, "seed {seed}");
        let mut next = guest.bench.reconnect(guest.qemu);
        let id = next.read(&mut guest.bench, 0, REG_ID, 4);
        assert_eq!(id, DUT_ID_VALUE.to_le_bytes(), "seed {seed}");
    }
}
