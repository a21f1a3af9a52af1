//! A driver of the DUT's registers and rings, behind a mock QEMU, and a rule file.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use control_api::FunctionName;
use control_api::request::{FaultsLoad, FaultsStatus};
use control_api::response::{FaultRule, FaultRules};
use dmarig_abi::completion::{COMPLETION_SIZE_BYTES, CompletionEntry};
use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_INTERRUPT, DESCRIPTOR_SIZE_BYTES, DMA_OP_FILL, Descriptor,
};
use dmarig_abi::registers::*;
use dmarig_device::Options;
use guest_memory::SharedMemory;
use zerocopy::{FromBytes, IntoBytes};

use crate::support::{Bench, Harness, MockQemu, eventfd, take_count};

/// Where memory is mapped.
pub const BASE: u64 = 0x20_0000;
const RING: u64 = 0x8000;
const COMPLETIONS: u64 = 0x9000;
const TARGETS: u64 = 0x2000;
const ENTRIES: u32 = 8;

pub struct Driver {
    pub bench: Bench,
    pub qemu: MockQemu,
    pub harness: Harness,
    pub ram: SharedMemory,
    /// Vector 0, bound.
    pub vector: OwnedFd,
}

impl Driver {
    /// A device that has been set up by its driver, MSI-X on, with a committed rule file; without one
    /// for the negative control.
    pub fn new(rule_file: Option<&str>) -> Self {
        let text = rule_file.map(rule_text);
        Self::with_rules(text.as_deref())
    }

    pub fn with_rules(rules: Option<&str>) -> Self {
        Self::of_device(rules, |_| ())
    }

    /// The same with another device.
    pub fn of_device(rules: Option<&str>, change: impl FnOnce(&mut Options)) -> Self {
        let mut bench = Bench::with(|options| {
            options.no_message_dma = true;
            change(options);
        });
        let mut qemu = bench.connect(FunctionName::DUT0);
        let harness = bench.harness();
        let ram = SharedMemory::create_sealed("ram", 0x1_0000).expect("memory");
        qemu.map(&mut bench, &ram, BASE, true);
        qemu.enable_bus_master(&mut bench);
        let vector = eventfd();
        qemu.bind_vector(&mut bench, 0, &vector);
        let enable = [0xf, 0, 0, 0];
        qemu.write(&mut bench, 0, REG_INTERRUPT_ENABLE, &enable);
        let mut driver = Self {
            bench,
            qemu,
            harness,
            ram,
            vector,
        };
        if let Some(rules) = rules {
            driver.load(rules);
        }
        driver
    }

    pub fn load(&mut self, rules: &str) {
        let load = FaultsLoad {
            function: FunctionName::DUT0,
            rules: rules.into(),
        };
        self.harness.call(&mut self.bench, &load);
    }

    pub fn rules(&mut self) -> Vec<FaultRule> {
        let ask = FaultsStatus {
            function: FunctionName::DUT0,
            from: 0,
        };
        let FaultRules { rules, next } = self.harness.call(&mut self.bench, &ask);
        assert_eq!(next, None);
        rules
    }

    /// How often all rules have struck.
    pub fn fired(&mut self) -> u64 {
        self.rules().iter().map(|rule| rule.fired).sum()
    }

    /// Asks for a request of register mode on channel 0; addresses are offsets in memory.
    pub fn command(&mut self, opcode: u16, from: u64, to: u64, len: u64) {
        self.command_on(0, opcode, from, to, len);
    }

    /// The same on another channel.
    pub fn command_on(&mut self, channel: u64, opcode: u16, from: u64, to: u64, len: u64) {
        for (register, value) in [
            (CH_SOURCE, BASE + from),
            (CH_DESTINATION, BASE + to),
            (CH_LENGTH, len),
            (CH_SEED, 0xab),
        ] {
            let bench = &mut self.bench;
            self.qemu.channel_write(bench, channel, register, value);
        }
        let command = u32::from(opcode) | u32::from(DESCRIPTOR_FLAG_INTERRUPT) << 16;
        self.qemu.ring(&mut self.bench, channel, command);
    }

    /// The status register of channel 0, its status and its busy bit.
    pub fn status(&mut self) -> (u16, bool) {
        self.status_of(0)
    }

    /// The same of another channel.
    pub fn status_of(&mut self, channel: u64) -> (u16, bool) {
        let bench = &mut self.bench;
        let status = self.qemu.channel_read_u32(bench, channel, CH_STATUS);
        let [low, high, ..] = status.to_le_bytes();
        (
            u16::from_le_bytes([low, high]),
            status & CH_STATUS_BUSY != 0,
        )
    }

    pub fn done_bytes(&mut self) -> u32 {
        self.qemu
            .channel_read_u32(&mut self.bench, 0, CH_DONE_BYTES)
    }

    /// Enables the ring of channel 0 and rings for `n` descriptors, each of which fills 64 bytes and
    /// has the tag 0x100 and so on.
    pub fn ring(&mut self, n: u32) {
        for index in 0..u64::from(n) {
            let descriptor = Descriptor {
                opcode: DMA_OP_FILL,
                flags: DESCRIPTOR_FLAG_INTERRUPT,
                tag: 0x100 + index,
                destination: BASE + TARGETS + 64 * index,
                length_bytes: 64,
                seed: 0xab,
                ..Descriptor::default()
            };
            let at = RING + index * DESCRIPTOR_SIZE_BYTES as u64;
            self.poke(at, descriptor.as_bytes());
        }
        self.poke(COMPLETIONS, &[0; ENTRIES as usize * COMPLETION_SIZE_BYTES]);
        let channel = |register| CHANNEL_BASE + register;
        for (register, value) in [(CH_RING_BASE, RING), (CH_COMPLETION_BASE, COMPLETIONS)] {
            self.qemu
                .channel_write(&mut self.bench, 0, register, BASE + value);
        }
        for (register, value) in [
            (CH_RING_ENTRIES, ENTRIES),
            (CH_RING_CONTROL, RING_ENABLE),
            (CH_RING_TAIL, n),
        ] {
            let bytes = value.to_le_bytes();
            self.qemu
                .write(&mut self.bench, 0, channel(register), &bytes);
        }
    }

    pub fn ring_status(&mut self) -> u32 {
        self.qemu
            .channel_read_u32(&mut self.bench, 0, CH_RING_STATUS)
    }

    pub fn entry(&self, index: u64) -> CompletionEntry {
        let at = COMPLETIONS + index * COMPLETION_SIZE_BYTES as u64;
        let bytes = self.peek(at, COMPLETION_SIZE_BYTES);
        CompletionEntry::read_from_bytes(&bytes).expect("the sizes are equal")
    }

    pub fn peek(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let range = self.ram.range(offset, len).expect("in range");
        range.read_into(&mut bytes);
        bytes
    }

    pub fn poke(&mut self, offset: u64, data: &[u8]) {
        let range = self.ram.range(offset, data.len()).expect("in range");
        range.write_from(data);
    }

    /// Interrupts since the last look.
    pub fn interrupts(&self) -> u64 {
        take_count(&self.vector)
    }

    /// Lets so much time pass.
    pub fn pass(&mut self, microseconds: u64) {
        self.bench.pass(Duration::from_micros(microseconds));
    }

    /// Offsets of a range of memory that are not `0xab`.
    pub fn unfilled(&self, offset: u64, len: usize) -> Vec<usize> {
        let bytes = self.peek(offset, len);
        (0..len).filter(|at| bytes[*at] != 0xab).collect()
    }
}

/// The text of a committed rule file.
pub fn rule_text(name: &str) -> String {
    let path = folder().join(name).with_extension("toml");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Where the rule files are.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../harness/dmarig/faults")
}
