//! The remapping unit of a device file, programmed by its registers as a guest's driver does it.

use std::fs;
use std::path::Path;

use crate::support::{Bench, Harness, MockQemu};
use control_api::FunctionName;
use control_api::request::{DmaOp, DmaPath, DmaSubmit, IommuEnable};
use control_api::response::{DmaOutcome, DmaStatus};
use dmarig_abi::{GuestPhysAddr, Iova, RequesterId};
use guest_memory::SharedMemory;

const FUNCTION: FunctionName = FunctionName::DUT0;
const RAM: usize = 0x10_0000;
const DOMAIN: u64 = 3;

/// Where the example has the registers, and where they lie behind that.
const BAR: u32 = 0;
const WINDOW: u64 = 0x8000;
const CAP: u64 = 0x08;
const GCMD: u64 = 0x18;
const GSTS: u64 = 0x1c;
const RTADDR: u64 = 0x20;
const FSTS: u64 = 0x34;
const IVA: u64 = 0xf0;
const IOTLB: u64 = 0xf8;
const FAULTS: u64 = 0x400;
const SRTP: u32 = 1 << 30;
const TE: u32 = 1 << 31;
const BUSY: u64 = 1 << 63;

/// Where the tables lie, and the pages that they lead to.
const ROOT: u64 = 0x1000;
const CONTEXTS: u64 = 0x2000;
const LEAVES: u64 = 0x5000;
const OLD: u64 = 0x4_0000;
const NEW: u64 = 0x5_0000;
const IOVA: u64 = 0x12_0000_0000;
const READ_ONLY: u64 = IOVA + 0x1000;

struct Machine {
    bench: Bench,
    qemu: MockQemu,
    harness: Harness,
    ram: SharedMemory,
}

/// Memory with tables of three levels in it, and the device of the example that tells of the unit.
fn machine() -> Machine {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../device_file/devices/own-iommu.toml");
    let mut bench = Bench::with(|options| options.device = vec![file]);
    let mut qemu = bench.connect(FUNCTION);
    let harness = bench.harness();
    let ram = SharedMemory::create_sealed("ram", RAM).expect("memory");
    qemu.map(&mut bench, &ram, 0, true);
    qemu.enable_bus_master(&mut bench);
    let index = |bits: u64| (IOVA >> bits & 511) * 8;
    for (at, word) in [
        (ROOT, CONTEXTS | 1),
        (CONTEXTS, 0x3000 | 1),
        (CONTEXTS + 8, DOMAIN << 8 | 1),
        (0x3000 + index(30), 0x4000 | 3),
        (0x4000 + index(21), LEAVES | 3),
        (LEAVES, OLD | 3),
        (LEAVES + 8, OLD | 1),
    ] {
        set(&ram, at, word);
    }
    Machine {
        bench,
        qemu,
        harness,
        ram,
    }
}

fn set(ram: &SharedMemory, at: u64, word: u64) {
    let range = ram.range(at, 8).expect("in range");
    range.write_from(&word.to_le_bytes());
}

impl Machine {
    fn read(&mut self, register: u64) -> u64 {
        let at = WINDOW + register;
        let bytes = self.qemu.read(&mut self.bench, BAR, at, 8);
        u64::from_le_bytes(bytes.try_into().expect("eight bytes"))
    }

    fn read_32(&mut self, register: u64) -> u32 {
        let at = WINDOW + register;
        let bytes = self.qemu.read(&mut self.bench, BAR, at, 4);
        u32::from_le_bytes(bytes.try_into().expect("four bytes"))
    }

    fn write(&mut self, register: u64, value: u64) {
        let at = WINDOW + register;
        self.qemu
            .write(&mut self.bench, BAR, at, &value.to_le_bytes());
    }

    fn write_32(&mut self, register: u64, value: u32) {
        let at = WINDOW + register;
        self.qemu
            .write(&mut self.bench, BAR, at, &value.to_le_bytes());
    }

    fn turn_on(&mut self) {
        self.write(RTADDR, ROOT);
        self.write_32(GCMD, SRTP);
        self.write_32(GCMD, TE);
    }

    fn fill(&mut self, iova: u64, byte: u8) -> DmaOutcome {
        let ask = DmaSubmit {
            function: FUNCTION,
            op: DmaOp::Fill,
            path: DmaPath::Default,
            iova: Iova::new(iova),
            destination: None,
            length: 1,
            seed: byte.into(),
        };
        self.harness.call(&mut self.bench, &ask)
    }

    fn byte(&self, at: u64) -> u8 {
        let mut byte = [0];
        let range = self.ram.range(at, 1).expect("in range");
        range.read_into(&mut byte);
        byte[0]
    }

    /// The records of the canonical trace that tell of the unit.
    fn trace(&mut self) -> Vec<String> {
        self.bench.rig.shut_down();
        let trace = fs::read_to_string(self.bench.recording().join("dut0.trace.jsonl"));
        let lines = trace.expect("a trace").lines().map(str::to_owned).collect();
        let is_ours = |line: &String| line.contains("\"record\":\"remapping\"");
        Vec::into_iter(lines).filter(is_ours).collect()
    }
}

#[test]
fn unit_is_off_until_its_registers_turn_it_on() {
    let mut machine = machine();
    assert_eq!(machine.read_32(GSTS), 0);
    assert_eq!(machine.read(CAP) >> 40 & 0xff, 3, "four fault records");
    assert_eq!(machine.fill(OLD + 0x123, 1).status, DmaStatus::Success);
    assert_eq!(machine.byte(OLD + 0x123), 1, "untranslated");
    machine.turn_on();
    assert_eq!(machine.read_32(GSTS), SRTP | TE);
    assert_eq!(machine.fill(IOVA + 0x123, 2).status, DmaStatus::Success);
    assert_eq!(machine.byte(OLD + 0x123), 2);
    assert_eq!(machine.fill(OLD, 3).status, DmaStatus::Unmapped);
    machine.write_32(GCMD, 0);
    assert_eq!(machine.fill(OLD + 0x123, 4).status, DmaStatus::Success);
    assert_eq!(machine.byte(OLD + 0x123), 4);
}

#[test]
fn refused_access_is_in_a_fault_register_that_the_driver_frees() {
    let mut machine = machine();
    machine.turn_on();
    assert_eq!(
        machine.fill(READ_ONLY + 0x10, 1).status,
        DmaStatus::Permission
    );
    assert_eq!(machine.read_32(FSTS), 0b10);
    let (page, why) = (machine.read(FAULTS), machine.read(FAULTS + 8));
    // A write for reason 5h, by function 00:00.0.
    assert_eq!((page, why), (READ_ONLY, BUSY | 5 << 32));
    machine.write_32(FAULTS + 12, 1 << 31);
    assert_eq!((machine.read(FAULTS + 8), machine.read_32(FSTS)), (0, 0));
}

#[test]
fn page_stays_the_old_one_until_the_driver_has_looked_at_its_order() {
    let mut machine = machine();
    machine.turn_on();
    machine.fill(IOVA, 1);
    set(&machine.ram, LEAVES, NEW | 3);
    machine.fill(IOVA, 2);
    assert_eq!((machine.byte(OLD), machine.byte(NEW)), (2, 0), "stale");
    machine.write(IVA, IOVA);
    machine.write(IOTLB, BUSY | 3 << 60 | DOMAIN << 32);
    machine.fill(IOVA, 3);
    assert_eq!(
        (machine.byte(OLD), machine.byte(NEW)),
        (3, 0),
        "not awaited"
    );
    assert_ne!(machine.read(IOTLB) & BUSY, 0);
    assert_eq!(machine.read(IOTLB) >> 57, 3 << 3 | 3, "done: pages");
    machine.fill(IOVA, 4);
    assert_eq!((machine.byte(OLD), machine.byte(NEW)), (3, 4));
}

#[test]
fn trace_tells_what_was_ordered_and_what_was_refused() {
    let mut machine = machine();
    machine.turn_on();
    machine.fill(READ_ONLY, 1);
    machine.write(IOTLB, BUSY | 1 << 60);
    machine.write(IOTLB + 0x10, BUSY);
    machine.read(IOTLB);
    machine.write(IOTLB, BUSY);
    machine.write_32(GCMD, 0);
    let expected = [
        "{\"record\":\"remapping\",\"what\":\"root-table\",\"root\":\"0x1000\"}",
        "{\"record\":\"remapping\",\"what\":\"enabled\",\"root\":\"0x1000\",\"requester\":\"00:00.0\"}",
        "{\"record\":\"remapping\",\"what\":\"fault\",\"fault\":{\"requester\":\"00:00.0\",\
         \"iova\":\"0x1200001000\",\"write\":true,\"reason\":\"0x5\",\"text\":\"no write permission\",\
         \"domain\":3},\"fate\":\"recorded\"}",
        "{\"record\":\"remapping\",\"what\":\"ordered\",\"order\":{\"kind\":\"iotlb_global\"}}",
        "{\"record\":\"remapping\",\"what\":\"order-ignored\"}",
        "{\"record\":\"remapping\",\"what\":\"disabled\"}",
    ];
    assert_eq!(machine.trace(), expected);
}

#[test]
fn bus_reset_turns_the_unit_off_and_a_function_reset_leaves_it() {
    let mut machine = machine();
    machine.turn_on();
    let pcie = machine.qemu.capability(&mut machine.bench, 0x10);
    let control = machine.qemu.read_config(&mut machine.bench, pcie + 8, 2);
    let reset = [control[0], control[1] | 0x80];
    machine
        .qemu
        .write_config(&mut machine.bench, pcie + 8, &reset);
    assert_eq!(machine.read_32(GSTS), SRTP | TE);
    machine.qemu.reset(&mut machine.bench);
    assert_eq!((machine.read_32(GSTS), machine.read(RTADDR)), (0, 0));
}

#[test]
fn control_socket_turns_the_same_unit_on() {
    let mut machine = machine();
    let ask = IommuEnable {
        function: FUNCTION,
        requester: RequesterId::default(),
        root: GuestPhysAddr::new(ROOT),
        settings: None,
    };
    machine.harness.call(&mut machine.bench, &ask);
    assert_eq!(machine.read_32(GSTS), SRTP | TE);
    assert_eq!(machine.read(RTADDR), ROOT);
    assert_eq!(machine.read(CAP) >> 40 & 0xff, 3, "as the file has it");
    machine.fill(IOVA, 1);
    assert_eq!(machine.byte(OLD), 1);
}

#[test]
fn tables_of_noise_end_in_a_fault_and_never_hang() {
    let mut machine = machine();
    machine.turn_on();
    for seed in 0_u64..64 {
        for at in (ROOT..0x6000).step_by(8) {
            let word = (seed ^ at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            set(&machine.ram, at, word & 0xf_ffff | seed & 1);
        }
        machine.write(IOTLB, BUSY | 1 << 60);
        machine.read(IOTLB);
        machine.fill(seed << 32 | 0x1234, 1);
        machine.write(seed * 0x44, u64::MAX);
        machine.write_32(GCMD, TE);
    }
    machine.write_32(GCMD, 0);
    assert_eq!(machine.fill(0x8000, 1).status, DmaStatus::Success);
}
