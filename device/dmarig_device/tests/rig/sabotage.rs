//! Each sabotage changes exactly what it says, as often as it says, and nothing else.

use control_api::FunctionName;
use control_api::request::{
    DmaOp, DmaPath, DmaSubmit, Sabotage, SabotageClear, SabotageList, SabotageSet,
};
use control_api::response::{DmaOutcome, DmaStatus};
use control_api::rpc::CODE_BAD_PARAMS;
use dmarig_abi::Iova;
use dmarig_abi::pattern::fill_pattern;
use guest_memory::SharedMemory;

use crate::support::{Bench, Harness, MockQemu};

const BASE: u64 = 0x20_0000;
const LENGTH: usize = 0x300;
/// Bytes before and behind the buffer that must stay as they are.
const MARGIN: usize = 0x40;

struct Subject {
    bench: Bench,
    qemu: MockQemu,
    harness: Harness,
    ram: SharedMemory,
}

impl Subject {
    fn new() -> Self {
        let mut bench = Bench::with(|options| options.no_message_dma = true);
        let mut qemu = bench.connect(FunctionName::DUT0);
        let harness = bench.harness();
        let ram = SharedMemory::create_sealed("ram", 0x1_0000).expect("memory");
        qemu.map(&mut bench, &ram, BASE, true);
        qemu.enable_bus_master(&mut bench);
        Self {
            bench,
            qemu,
            harness,
            ram,
        }
    }

    fn sabotage(&mut self, name: Sabotage, times: Option<u32>) {
        let set = SabotageSet {
            function: FunctionName::DUT0,
            name,
            times,
        };
        self.harness.call(&mut self.bench, &set);
    }

    /// Writes the pattern and returns the outcome, and what stands in memory with its margins.
    fn write(&mut self, seed: u64) -> (DmaOutcome, Vec<u8>) {
        self.ram.whole().fill(0);
        let outcome = self.submit(DmaOp::WritePattern, seed);
        (outcome, self.memory())
    }

    fn submit(&mut self, op: DmaOp, seed: u64) -> DmaOutcome {
        let request = DmaSubmit {
            function: FunctionName::DUT0,
            op,
            path: DmaPath::Default,
            iova: Iova::new(BASE + MARGIN as u64),
            destination: None,
            length: LENGTH as u64,
            seed,
        };
        self.harness.call(&mut self.bench, &request)
    }

    fn memory(&self) -> Vec<u8> {
        let mut bytes = vec![0; LENGTH + 2 * MARGIN];
        self.ram.whole().read_into(&mut bytes);
        bytes
    }

    fn struck(&mut self) -> u64 {
        let list = self.harness.call(
            &mut self.bench,
            &SabotageList {
                function: FunctionName::DUT0,
            },
        );
        list.sabotages.iter().map(|one| one.struck).sum()
    }
}

/// The buffer with its margins, as an honest device leaves it.
fn honest(seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; LENGTH + 2 * MARGIN];
    fill_pattern(seed, 0, &mut bytes[MARGIN..MARGIN + LENGTH]);
    bytes
}

fn differing(left: &[u8], right: &[u8]) -> Vec<usize> {
    let pairs = left.iter().zip(right).enumerate();
    pairs
        .filter(|(_, (l, r))| l != r)
        .map(|(at, _)| at)
        .collect()
}

#[test]
fn flip_bit_changes_one_bit_and_no_status() {
    let mut subject = Subject::new();
    subject.sabotage(Sabotage::DeviceFlipBit, Some(1));
    let (outcome, memory) = subject.write(1);
    assert_eq!(outcome.status, DmaStatus::Success);
    let honest_bytes = honest(1);
    let places = differing(&memory, &honest_bytes);
    assert_eq!(places.len(), 1);
    assert!((MARGIN..MARGIN + LENGTH).contains(&places[0]));
    let flipped = memory[places[0]] ^ honest_bytes[places[0]];
    assert_eq!(flipped.count_ones(), 1);
    assert_eq!(subject.struck(), 1);
    assert_eq!(subject.write(2).1, honest(2), "it was for one time");
}

#[test]
fn skip_write_leaves_memory_and_claims_success() {
    let mut subject = Subject::new();
    subject.sabotage(Sabotage::DeviceSkipWrite, Some(1));
    let (outcome, memory) = subject.write(1);
    assert_eq!(
        (outcome.status, outcome.done_bytes),
        (DmaStatus::Success, LENGTH as u64)
    );
    assert_eq!(memory, vec![0; memory.len()]);
    assert_eq!(subject.write(2).1, honest(2));
}

#[test]
fn write_past_end_changes_the_one_byte_behind() {
    let mut subject = Subject::new();
    subject.sabotage(Sabotage::DeviceWritePastEnd, None);
    for seed in 1..3 {
        let (outcome, memory) = subject.write(seed);
        assert_eq!(outcome.status, DmaStatus::Success);
        assert_eq!(differing(&memory, &honest(seed)), [MARGIN + LENGTH]);
    }
    assert_eq!(subject.struck(), 2);
    subject.harness.call(&mut subject.bench, &SabotageClear {});
    assert_eq!(subject.write(3).1, honest(3));
}

#[test]
fn complete_early_reports_success_before_the_bytes_are_there() {
    let mut subject = Subject::new();
    subject.sabotage(Sabotage::DeviceCompleteEarly, Some(1));
    let (outcome, memory) = subject.write(1);
    assert_eq!(outcome.status, DmaStatus::Success);
    assert_ne!(memory, honest(1));
    subject.submit(DmaOp::Crc, 0);
    assert_eq!(
        subject.memory(),
        honest(1),
        "the next request lets the write through"
    );
}

#[test]
fn stale_mapping_reaches_memory_that_was_unmapped() {
    let mut subject = Subject::new();
    subject.sabotage(Sabotage::DeviceStaleMapping, Some(1));
    assert_eq!(subject.write(1).1, honest(1));
    subject.qemu.unmap(&mut subject.bench, BASE, 0x1_0000);
    let (outcome, memory) = subject.write(2);
    assert_eq!((outcome.status, memory), (DmaStatus::Success, honest(2)));
    assert_eq!(subject.struck(), 1);
    let (outcome, memory) = subject.write(3);
    assert_eq!(outcome.status, DmaStatus::Unmapped);
    assert_eq!(memory, vec![0; memory.len()]);
}

#[test]
fn without_sabotage_unmapped_memory_is_out_of_reach() {
    let mut subject = Subject::new();
    subject.qemu.unmap(&mut subject.bench, BASE, 0x1_0000);
    subject.sabotage(Sabotage::DeviceStaleMapping, None);
    let (outcome, _) = subject.write(2);
    assert_eq!(
        outcome.status,
        DmaStatus::Unmapped,
        "it was unmapped before"
    );
    assert_eq!(subject.struck(), 0);
}

#[test]
fn stale_mappings_end_with_the_connection_and_the_sabotage_goes_on() {
    let mut subject = Subject::new();
    subject.sabotage(Sabotage::DeviceStaleMapping, None);
    subject.qemu.unmap(&mut subject.bench, BASE, 0x1_0000);
    subject.qemu = subject.bench.reconnect(subject.qemu);
    subject.qemu.enable_bus_master(&mut subject.bench);
    assert_eq!(subject.write(1).0.status, DmaStatus::Unmapped);
    let ram = &subject.ram;
    subject.qemu.map(&mut subject.bench, ram, BASE, true);
    subject.qemu.unmap(&mut subject.bench, BASE, 0x1_0000);
    assert_eq!(subject.write(2).1, honest(2));
}

#[test]
fn zero_times_is_refused_and_every_name_is_listed() {
    let mut subject = Subject::new();
    let set = SabotageSet {
        function: FunctionName::DUT0,
        name: Sabotage::DeviceFlipBit,
        times: Some(0),
    };
    let (code, _) = subject.harness.refused(&mut subject.bench, &set);
    assert_eq!(code, CODE_BAD_PARAMS);
    for name in Sabotage::ALL {
        subject.sabotage(name, None);
        let list = subject.harness.call(
            &mut subject.bench,
            &SabotageList {
                function: FunctionName::DUT0,
            },
        );
        assert!(
            list.sabotages.iter().any(|one| one.name == name),
            "{name:?}"
        );
    }
}
