//! A remapping unit of the DUT's own: tables in guest memory, and what DMA becomes under them.

use crate::support::{Bench, Harness, MockQemu};
use control_api::FunctionName;
use control_api::iommu::{IommuInvalidation, IommuOrder, IommuSettings};
use control_api::request::{
    DmaOp, DmaPath, DmaSubmit, IommuDisable, IommuEnable, IommuFaults, IommuInvalidate, IommuWait,
};
use control_api::response::{self, DmaOutcome, DmaStatus};
use dmarig_abi::pattern::fill_pattern;
use dmarig_abi::{GuestPhysAddr, Iova, RequesterId};
use guest_memory::SharedMemory;

const FUNCTION: FunctionName = FunctionName::DUT0;
const RAM: usize = 0x10_0000;
const REQUESTER: RequesterId = RequesterId::from_raw(0x0100);
const DOMAIN: u16 = 3;

/// Where the tests' tables lie in memory, and the pages that they lead to.
const ROOT: u64 = 0x1000;
const CONTEXTS: u64 = 0x2000;
const LEAVES: u64 = 0x5000;
const TARGET: u64 = 0x4_0000;
/// What the tables map, read-write: two pages that are no neighbors in memory, and a read-only one.
const IOVA: u64 = 0x12_0000_0000;
const READ_ONLY: u64 = IOVA + 0x2000;
const UNMAPPED: u64 = IOVA + 0x3000;

struct Machine {
    bench: Bench,
    qemu: MockQemu,
    harness: Harness,
    ram: SharedMemory,
}

/// Memory from 0 on with tables of three levels in it, and a unit that walks them.
fn machine(settings: IommuSettings) -> Machine {
    let mut bench = Bench::new();
    let mut qemu = bench.connect(FUNCTION);
    let mut harness = bench.harness();
    let ram = SharedMemory::create_sealed("ram", RAM).expect("memory");
    qemu.map(&mut bench, &ram, 0, true);
    qemu.enable_bus_master(&mut bench);
    let index = |bits: u64| (IOVA >> bits & 511) * 8;
    let words = [
        (ROOT + 16, CONTEXTS | 1),
        (CONTEXTS, 0x3000 | 1),
        (CONTEXTS + 8, u64::from(DOMAIN) << 8 | 1),
        (0x3000 + index(30), 0x4000 | 3),
        (0x4000 + index(21), LEAVES | 3),
        (LEAVES, TARGET | 3),
        (LEAVES + 8, (TARGET + 0x8000) | 3),
        (LEAVES + 16, (TARGET + 0x1000) | 1),
    ];
    for (at, word) in words {
        set(&ram, at, word);
    }
    let ask = IommuEnable {
        function: FUNCTION,
        requester: REQUESTER,
        root: GuestPhysAddr::new(ROOT),
        settings: Some(settings),
    };
    harness.call(&mut bench, &ask);
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

fn bytes_at(ram: &SharedMemory, at: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ram.range(at, len).expect("in range").read_into(&mut bytes);
    bytes
}

fn pattern(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    fill_pattern(7, 0, &mut bytes);
    bytes
}

fn ask(op: DmaOp, path: DmaPath, iova: u64, length: u64) -> DmaSubmit {
    DmaSubmit {
        function: FUNCTION,
        op,
        path,
        iova: Iova::new(iova),
        destination: None,
        length,
        seed: 7,
    }
}

impl Machine {
    fn submit(&mut self, op: DmaOp, iova: u64, length: u64) -> DmaOutcome {
        let ask = ask(op, DmaPath::Default, iova, length);
        self.harness.call(&mut self.bench, &ask)
    }

    fn write(&mut self, iova: u64) -> DmaOutcome {
        self.submit(DmaOp::WritePattern, iova, 16)
    }

    fn faults(&mut self) -> response::IommuFaults {
        let ask = IommuFaults { function: FUNCTION };
        self.harness.call(&mut self.bench, &ask)
    }

    /// The records as text, so that a test can say what it expects in one line.
    fn fault_lines(&mut self) -> Vec<String> {
        let line = |fault: &control_api::iommu::IommuFault| {
            let access = if fault.write { "write" } else { "read" };
            let (requester, iova) = (fault.requester, fault.iova);
            format!(
                "{access} {iova} by {requester}: {:x}h {}",
                fault.reason, fault.text
            )
        };
        self.faults().faults.iter().map(line).collect()
    }

    fn invalidate(&mut self, order: IommuOrder) -> usize {
        let ask = IommuInvalidate {
            function: FUNCTION,
            order,
        };
        self.harness.call(&mut self.bench, &ask).pending
    }
}

#[test]
fn dma_goes_where_the_tables_in_guest_memory_lead() {
    let mut machine = machine(IommuSettings::default());
    let outcome = machine.submit(DmaOp::WritePattern, IOVA + 0xff0, 0x20);
    assert_eq!(
        (outcome.status, outcome.by_message),
        (DmaStatus::Success, false)
    );
    assert_eq!(
        bytes_at(&machine.ram, TARGET + 0xff0, 16),
        pattern(32)[..16]
    );
    assert_eq!(
        bytes_at(&machine.ram, TARGET + 0x8000, 16),
        pattern(32)[16..]
    );
    let outcome = machine.submit(DmaOp::VerifyPattern, IOVA + 0xff0, 0x20);
    assert_eq!(outcome.status, DmaStatus::Success);
    assert_eq!(machine.fault_lines(), Vec::<String>::new());
}

#[test]
fn refusal_is_a_status_and_one_record_and_reaches_no_platform() {
    let mut machine = machine(IommuSettings::default());
    for (iova, status, line) in [
        (
            UNMAPPED,
            DmaStatus::Unmapped,
            "write 0x1200003000 by 01:00.0: 5h no write permission",
        ),
        (
            READ_ONLY,
            DmaStatus::Permission,
            "write 0x1200002000 by 01:00.0: 5h no write permission",
        ),
        (
            1 << 40,
            DmaStatus::Unmapped,
            "write 0x10000000000 by 01:00.0: 4h the address is beyond the address width",
        ),
    ] {
        let outcome = machine.write(iova);
        assert_eq!(
            (outcome.status, outcome.fault_iova),
            (status, Some(Iova::new(iova)))
        );
        assert_eq!(machine.fault_lines(), [line]);
    }
    assert!(
        machine.qemu.waiting_dma().is_none(),
        "the platform was asked"
    );
}

#[test]
fn bytes_before_a_refused_page_move_and_the_refusal_is_recorded_once() {
    let mut machine = machine(IommuSettings::default());
    let outcome = machine.submit(DmaOp::WritePattern, IOVA + 0x1ff0, 0x20);
    assert_eq!(
        (outcome.status, outcome.done_bytes),
        (DmaStatus::Permission, 0x10)
    );
    assert_eq!(outcome.fault_iova, Some(Iova::new(READ_ONLY)));
    assert_eq!(machine.fault_lines().len(), 1);
}

#[test]
fn reserved_bit_in_the_tables_is_named() {
    let mut machine = machine(IommuSettings::default());
    set(&machine.ram, LEAVES, TARGET | 3 | 1 << 11);
    assert_eq!(machine.write(IOVA).status, DmaStatus::Unmapped);
    let line = "write 0x1200000000 by 01:00.0: ch a reserved bit is set in a page-table entry";
    assert_eq!(machine.fault_lines(), [line]);
}

#[test]
fn stale_entry_hurts_until_it_is_invalidated() {
    let mut machine = machine(IommuSettings::default());
    assert_eq!(machine.write(IOVA).status, DmaStatus::Success);
    // The driver frees the page, and gives it to somebody else without a word to the unit.
    set(&machine.ram, LEAVES, 0);
    let victim = machine.ram.range(TARGET, 16).expect("in range");
    victim.write_from(&[0xaa; 16]);
    assert_eq!(machine.write(IOVA).status, DmaStatus::Success);
    assert_eq!(bytes_at(&machine.ram, TARGET, 16), pattern(16));

    let order = IommuOrder::IotlbPages {
        domain: DOMAIN,
        iova: Iova::new(IOVA),
        address_mask: 0,
    };
    assert_eq!(machine.invalidate(order), 0);
    assert_eq!(machine.write(IOVA).status, DmaStatus::Unmapped);
}

#[test]
fn deferred_invalidation_takes_effect_at_the_wait() {
    let mut machine = machine(IommuSettings {
        invalidation: IommuInvalidation::Deferred { ticks: None },
        ..IommuSettings::default()
    });
    assert_eq!(machine.write(IOVA).status, DmaStatus::Success);
    set(&machine.ram, LEAVES, 0);
    assert_eq!(machine.invalidate(IommuOrder::IotlbGlobal), 1);
    assert_eq!(machine.write(IOVA).status, DmaStatus::Success);
    let wait = IommuWait { function: FUNCTION };
    assert_eq!(machine.harness.call(&mut machine.bench, &wait).pending, 0);
    assert_eq!(machine.write(IOVA).status, DmaStatus::Unmapped);
}

#[test]
fn probe_asks_the_unit_and_leaves_no_record() {
    let mut machine = machine(IommuSettings::default());
    for (iova, status) in [
        (IOVA, DmaStatus::Success),
        (READ_ONLY, DmaStatus::Permission),
        (UNMAPPED, DmaStatus::Unmapped),
        // Mapped by the platform, not by the tables.
        (TARGET, DmaStatus::Unmapped),
    ] {
        let ask = ask(DmaOp::Fill, DmaPath::Probe, iova, 16);
        let outcome = machine.harness.call(&mut machine.bench, &ask);
        assert_eq!(outcome.status, status, "{iova:#x}");
    }
    assert_eq!(machine.fault_lines(), Vec::<String>::new());
}

#[test]
fn message_carries_the_translated_address_and_is_cut_where_it_jumps() {
    let mut machine = machine(IommuSettings::default());
    let ask = ask(DmaOp::WritePattern, DmaPath::Message, IOVA + 0xff0, 0x20);
    let pending = machine
        .harness
        .client
        .send(&ask, crate::support::PATIENCE)
        .expect("send");
    machine.bench.pump();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let command = machine.qemu.next_dma();
        seen.push((command.iova, command.count));
        machine.qemu.answer_dma(&mut machine.bench, &command, &[]);
    }
    assert_eq!(seen, [(TARGET + 0xff0, 0x10), (TARGET + 0x8000, 0x10)]);
    let outcome = machine
        .harness
        .client
        .wait(pending, crate::support::PATIENCE);
    assert_eq!(outcome.expect("an answer").status, DmaStatus::Success);
}

#[test]
fn refused_message_is_recorded_and_not_sent() {
    let mut machine = machine(IommuSettings::default());
    let ask = ask(DmaOp::Crc, DmaPath::Message, UNMAPPED, 16);
    let outcome = machine.harness.call(&mut machine.bench, &ask);
    assert_eq!(outcome.status, DmaStatus::Unmapped);
    assert!(machine.qemu.waiting_dma().is_none());
    assert_eq!(
        machine.fault_lines(),
        ["read 0x1200003000 by 01:00.0: 6h no read permission"]
    );
}

#[test]
fn records_overflow_and_are_counted() {
    let mut machine = machine(IommuSettings {
        fault_records: 2,
        ..IommuSettings::default()
    });
    for _ in 0..3 {
        machine.write(UNMAPPED);
    }
    let faults = machine.faults();
    assert_eq!((faults.faults.len(), faults.overflow), (2, true));
    assert_eq!((faults.recorded, faults.lost), (2, 1));
    assert!(!machine.faults().overflow);
}

#[test]
fn without_the_unit_addresses_are_the_platforms_again() {
    let mut machine = machine(IommuSettings::default());
    assert_eq!(machine.write(TARGET).status, DmaStatus::Unmapped);
    let disable = IommuDisable { function: FUNCTION };
    machine.harness.call(&mut machine.bench, &disable);
    assert_eq!(machine.write(TARGET).status, DmaStatus::Success);
    let (_, text) = machine
        .harness
        .refused(&mut machine.bench, &IommuFaults { function: FUNCTION });
    assert!(text.contains("turn it on with iommu.enable"), "{text}");
}

#[test]
fn settings_and_orders_that_cannot_be_are_refused() {
    let mut machine = machine(IommuSettings::default());
    let enable = IommuEnable {
        function: FUNCTION,
        requester: REQUESTER,
        root: GuestPhysAddr::new(ROOT),
        settings: Some(IommuSettings {
            iotlb_entries: 3,
            ..IommuSettings::default()
        }),
    };
    let (_, text) = machine.harness.refused(&mut machine.bench, &enable);
    let expected = "iotlb_entries is 3; it must be 0, or a power of two up to 65536";
    assert!(text.contains(expected), "{text}");
    let order = IommuOrder::IotlbPages {
        domain: 1,
        iova: Iova::new(0x1000),
        address_mask: 4,
    };
    let ask = IommuInvalidate {
        function: FUNCTION,
        order,
    };
    let (_, text) = machine.harness.refused(&mut machine.bench, &ask);
    assert!(text.contains("no multiple"), "{text}");
}

#[test]
fn unit_goes_with_its_machine() {
    let machine = machine(IommuSettings::default());
    let Machine {
        mut bench,
        qemu,
        mut harness,
        ..
    } = machine;
    let _fresh = bench.reconnect(qemu);
    harness.refused(&mut bench, &IommuFaults { function: FUNCTION });
}
