//! A board that a device file describes by its registers, driven as a driver would: the committed
//! example `nic-like.toml`.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;

use control_api::FunctionName;
use control_api::ledger::{AccessDirection, ViolationKind};
use control_api::registers::OddReason;
use control_api::request::{
    BufferDeclare, BufferDirection, BufferUndeclare, LedgerRead, RegistersCoverage,
};
use dmarig_abi::Iova;
use dmarig_abi::pattern::fill_pattern;
use dmarig_abi::registers::CH_SOURCE;
use guest_memory::SharedMemory;

use crate::support::{Bench, MockQemu, eventfd, take_count};

const BASE: u64 = 0x1_4000_0000;
const RAM_SIZE: usize = 0x1_0000;
/// Where in memory the rings and buffers lie.
const TX_RING: u64 = 0x1000;
const RX_RING: u64 = 0x2000;
const BUFFERS: u64 = 0x8000;
const ENTRIES: u64 = 8;

const CONTROL: u64 = 0x004;
const STATUS: u64 = 0x008;
const FLUSH: u64 = 0x00c;
const CAUSE: u64 = 0x010;
const CAUSE_ENABLE: u64 = 0x014;
const TX_BASE_LOW: u64 = 0x100;
const TX_BASE_HIGH: u64 = 0x104;
const TX_BYTES: u64 = 0x108;
const TX_HEAD: u64 = 0x10c;
const TX_TAIL: u64 = 0x110;
const TX_CONTROL: u64 = 0x114;
const RX_BASE: u64 = 0x200;
const RX_ENTRIES: u64 = 0x208;
const RX_KICK: u64 = 0x20c;
const FRAMES: u64 = 0x300;
const OCTETS: u64 = 0x308;
const UPTIME: u64 = 0x310;
const TEST_ADDRESS: u64 = 0x400;
const TEST_LENGTH: u64 = 0x408;
const TEST_START: u64 = 0x40c;
const TEST_STATUS: u64 = 0x410;
const TEST_CRC: u64 = 0x414;
const TEST_MOVED: u64 = 0x418;

/// The card, its memory, and its driver's view.
struct Card {
    bench: Bench,
    qemu: MockQemu,
    ram: SharedMemory,
    vectors: Vec<OwnedFd>,
}

impl Card {
    fn new() -> Self {
        let file =
            PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../device_file/devices/nic-like.toml");
        let mut bench = Bench::with(|options| options.device = vec![file]);
        let mut qemu = bench.connect(FunctionName::DUT0);
        let ram = SharedMemory::create_sealed("ram", RAM_SIZE).expect("memory");
        qemu.map(&mut bench, &ram, BASE, true);
        qemu.enable_bus_master(&mut bench);
        let vectors: Vec<_> = (0..3).map(|_| eventfd()).collect();
        for (number, vector) in (0..).zip(&vectors) {
            qemu.bind_vector(&mut bench, number, vector);
        }
        let mut card = Self {
            bench,
            qemu,
            ram,
            vectors,
        };
        card.write(CAUSE_ENABLE, 0xf);
        card
    }

    fn write(&mut self, offset: u64, value: u32) {
        self.qemu
            .write(&mut self.bench, 0, offset, &value.to_le_bytes());
    }

    fn write_64(&mut self, offset: u64, value: u64) {
        self.qemu
            .write(&mut self.bench, 0, offset, &value.to_le_bytes());
    }

    fn read(&mut self, offset: u64) -> u32 {
        let bytes = self.qemu.read(&mut self.bench, 0, offset, 4);
        u32::from_le_bytes(bytes.try_into().expect("4 bytes"))
    }

    fn poke(&self, at: u64, bytes: &[u8]) {
        let range = self.ram.range(at, bytes.len()).expect("inside");
        range.write_from(bytes);
    }

    fn peek(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.ram
            .range(at, len)
            .expect("inside")
            .read_into(&mut bytes);
        bytes
    }

    /// The vectors raised since the last look.
    fn raised(&self) -> Vec<u64> {
        self.vectors.iter().map(take_count).collect()
    }

    fn start_tx(&mut self) {
        self.write(
            TX_BASE_LOW,
            u32::try_from((BASE + TX_RING) & 0xffff_ffff).expect("masked"),
        );
        self.write(
            TX_BASE_HIGH,
            u32::try_from((BASE + TX_RING) >> 32).expect("shifted"),
        );
        self.write(TX_BYTES, u32::try_from(ENTRIES * 16).expect("small"));
        self.write(TX_CONTROL, 1);
    }

    fn tx_descriptor(&self, index: u64, address: u64, length: u16, interrupts: bool) {
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend([0, if interrupts { 8 } else { 0 }, 0, 0, 0, 0]);
        self.poke(TX_RING + index * 16, &bytes);
    }

    fn rx_descriptor(&self, index: u64, address: u64, length: u32) {
        let mut bytes = address.to_le_bytes().to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend(0x8000_0000_u32.to_le_bytes());
        self.poke(RX_RING + index * 16, &bytes);
    }

    fn start_rx(&mut self) {
        self.write_64(RX_BASE, BASE + RX_RING);
        self.write(RX_ENTRIES, u32::try_from(ENTRIES).expect("small"));
    }
}

#[test]
fn link_comes_up_after_its_delay_with_cause_and_vector() {
    let mut card = Card::new();
    card.write(CONTROL, 1);
    assert_eq!(card.read(STATUS), 2, "busy");
    card.bench.pass(Duration::from_micros(1999));
    assert_eq!((card.read(STATUS), card.read(CAUSE)), (2, 0), "not yet");
    card.bench.pass(Duration::from_micros(1));
    assert_eq!((card.read(STATUS), card.read(CAUSE)), (1, 1));
    assert_eq!(card.raised(), [1, 0, 0]);
    card.write(CAUSE, 0xe);
    assert_eq!(card.read(CAUSE), 1, "other bits clear nothing");
    card.write(CAUSE, 1);
    assert_eq!(card.read(CAUSE), 0);
    card.write(CONTROL, 0);
    assert_eq!(card.read(STATUS), 0);
}

#[test]
fn masked_cause_raises_its_vector_when_it_is_enabled() {
    let mut card = Card::new();
    card.write(CAUSE_ENABLE, 0);
    card.write(CONTROL, 1);
    card.bench.pass(Duration::from_millis(2));
    assert_eq!((card.read(CAUSE), card.raised()), (1, vec![0, 0, 0]));
    card.write(CAUSE_ENABLE, 1);
    assert_eq!(card.raised(), [1, 0, 0]);
    card.write(CAUSE_ENABLE, 1);
    assert_eq!(card.raised(), [0, 0, 0], "once");
}

#[test]
fn plain_registers_do_what_their_access_says() {
    let mut card = Card::new();
    card.write(0, 0);
    assert_eq!(card.read(0), 0x0001_0002, "const");
    card.write(CONTROL, 0xffff_fffe);
    assert_eq!(card.read(CONTROL), 2, "write mask");
    card.write(STATUS, 0xff);
    assert_eq!(card.read(STATUS), 0, "ro");
    card.write(RX_KICK, 7);
    assert_eq!(card.read(RX_KICK), 0, "wo");
    card.write(FLUSH, 1);
    assert_eq!(card.read(FLUSH), 1);
    card.bench.pass(Duration::from_micros(500));
    assert_eq!(card.read(FLUSH), 0, "self-clearing");
    let before = card.read(UPTIME);
    card.bench.pass(Duration::from_micros(77));
    assert_eq!(card.read(UPTIME) - before, 77);
    // A wrong width reads what is there and writes nothing; what is no register reads zero.
    assert_eq!(card.qemu.read(&mut card.bench, 0, 2, 2), [1, 0]);
    card.qemu.write(&mut card.bench, 0, CONTROL, &[1]);
    assert_eq!(card.read(CONTROL), 2);
    assert_eq!(card.read(0x8000), 0);
    // Halves of 64 bits.
    card.write(RX_BASE, 0x1111);
    card.write(RX_BASE + 4, 0x2222);
    let whole = card.qemu.read(&mut card.bench, 0, RX_BASE, 8);
    assert_eq!(whole, 0x2222_0000_1111_u64.to_le_bytes());
    card.qemu.reset(&mut card.bench);
    assert_eq!((card.read(CONTROL), card.read(RX_BASE)), (0, 0), "reset");
}

#[test]
fn transmit_ring_goes_from_head_to_tail_and_writes_status_back() {
    let mut card = Card::new();
    card.poke(BUFFERS, &[0x5a; 300]);
    card.start_tx();
    card.tx_descriptor(0, BASE + BUFFERS, 100, false);
    card.tx_descriptor(1, BASE + BUFFERS + 100, 200, true);
    assert_eq!(card.read(TX_HEAD), 0);
    card.write(TX_TAIL, 2);
    assert_eq!(card.read(TX_HEAD), 2);
    let status = |card: &Card, index: u64| card.peek(TX_RING + index * 16 + 12, 1)[0];
    assert_eq!([0, 1, 2].map(|index| status(&card, index)), [1, 1, 0]);
    assert_eq!(card.raised(), [0, 1, 0], "the second asked for it");
    assert_eq!(card.read(CAUSE), 2);
    assert_eq!((card.read(FRAMES), card.read(OCTETS)), (2, 300));

    // The ring wraps.
    for index in 2..9 {
        card.tx_descriptor(index % ENTRIES, BASE + BUFFERS, 10, false);
    }
    card.write(TX_TAIL, 1);
    assert_eq!((card.read(TX_HEAD), card.read(FRAMES)), (1, 9));
}

#[test]
fn transmit_of_an_unmapped_buffer_fails_and_names_the_error_cause() {
    let mut card = Card::new();
    card.start_tx();
    card.tx_descriptor(0, 0x10, 100, true);
    card.write(TX_TAIL, 1);
    // The miss is repeated as a message; QEMU refuses it.
    let message = card.qemu.next_dma();
    assert_eq!((message.iova, message.is_write), (0x10, false));
    assert_eq!(card.read(CAUSE), 0, "nothing shows before the answer");
    card.qemu.refuse_dma(&mut card.bench, &message);
    assert_eq!(card.peek(TX_RING + 12, 1), [0x81]);
    assert_eq!((card.read(CAUSE), card.raised()), (8, vec![1, 0, 0]));
    assert_eq!(card.read(TX_HEAD), 1, "and goes on");
}

#[test]
fn tail_beyond_the_ring_is_an_error_and_moves_nothing() {
    let mut card = Card::new();
    card.start_tx();
    card.write(TX_TAIL, 8);
    assert_eq!((card.read(CAUSE), card.read(FRAMES)), (8, 0));
}

#[test]
fn receive_ring_takes_what_it_owns_and_gives_it_back() {
    let mut card = Card::new();
    card.start_rx();
    card.rx_descriptor(0, BASE + BUFFERS, 64);
    card.rx_descriptor(1, BASE + BUFFERS + 64, 64);
    card.write(RX_KICK, 1);
    let word = |card: &Card, index: u64| card.peek(RX_RING + index * 16 + 12, 4);
    assert_eq!(word(&card, 0), [1, 0, 0, 0]);
    assert_eq!(word(&card, 1), [1, 0, 0, 0]);
    assert_eq!(word(&card, 2), [0; 4], "the driver's");
    for seed in 0..2 {
        let mut expected = vec![0; 64];
        fill_pattern(seed, 0, &mut expected);
        assert_eq!(card.peek(BUFFERS + 64 * seed, 64), expected);
    }
    assert_eq!(card.raised(), [0, 0, 2]);
    // All eight owned: one kick makes eight of them, not more.
    for index in 0..ENTRIES {
        card.rx_descriptor(index, BASE + BUFFERS, 16);
    }
    card.write(RX_KICK, 1);
    assert_eq!(card.read(FRAMES), 10);
}

#[test]
fn status_and_vector_wait_for_the_answers_to_all_writes() {
    let mut card = Card::new();
    // Memory that is mapped without a file: every access is a message.
    let far = 0x3_0000_0000;
    let payload = vfio_user::client::map_payload(3, 0, far, 0x1000);
    card.qemu.request(
        &mut card.bench,
        vfio_user::message::Command::DMA_MAP,
        &payload,
        &[],
    );
    card.start_rx();
    card.rx_descriptor(0, far, 64);
    card.write(RX_KICK, 1);
    let write = card.qemu.next_dma();
    assert_eq!((write.is_write, write.iova, write.count), (true, far, 64));
    assert_eq!(card.peek(RX_RING + 12, 4), 0x8000_0000_u32.to_le_bytes());
    assert_eq!((card.read(CAUSE), card.raised()), (0, vec![0, 0, 0]));
    card.qemu.answer_dma(&mut card.bench, &write, &[]);
    assert_eq!(card.peek(RX_RING + 12, 4), [1, 0, 0, 0]);
    assert_eq!((card.read(CAUSE), card.raised()), (4, vec![0, 0, 1]));
}

#[test]
fn self_test_moves_by_address_and_length_as_they_were_at_the_start() {
    let mut card = Card::new();
    card.poke(BUFFERS, b"123456789");
    card.write_64(TEST_ADDRESS, BASE + BUFFERS);
    card.write(TEST_LENGTH, 9);
    card.write(TEST_START, 1);
    assert_eq!(card.read(TEST_STATUS), 2);
    assert_eq!(
        (card.read(TEST_CRC), card.read(TEST_MOVED)),
        (0xe306_9283, 9)
    );
    // Without bus mastering it fails.
    card.qemu.write_config(&mut card.bench, 4, &[2, 0]);
    card.write(TEST_START, 1);
    assert_eq!((card.read(TEST_STATUS), card.read(TEST_MOVED)), (4, 0));
    assert_eq!(card.read(CAUSE), 8);
}

#[test]
fn ledger_knows_the_accesses_and_names_the_ring_that_dangles() {
    let mut card = Card::new();
    let mut harness = card.bench.harness();
    let declare = BufferDeclare {
        function: FunctionName::DUT0,
        name: "tx ring".into(),
        iova: Iova::new(BASE + TX_RING),
        length: ENTRIES * 16,
        direction: BufferDirection::Bidirectional,
    };
    let ring = harness.call(&mut card.bench, &declare).id;
    card.start_tx();
    card.tx_descriptor(0, BASE + BUFFERS, 100, true);
    card.write(TX_TAIL, 1);
    harness.call(
        &mut card.bench,
        &BufferUndeclare {
            function: FunctionName::DUT0,
            id: ring,
        },
    );
    let read = LedgerRead {
        function: FunctionName::DUT0,
        from: 0,
        limit: 80,
    };
    let page = harness.call(&mut card.bench, &read);
    let seen: Vec<_> = page
        .records
        .iter()
        .map(|record| {
            (
                record.iova.raw() - BASE,
                record.length,
                record.direction,
                record.channel,
            )
        })
        .collect();
    let expected = [
        (TX_RING, 16, AccessDirection::Read, Some(0)),
        (BUFFERS, 100, AccessDirection::Read, Some(0)),
        (TX_RING + 12, 1, AccessDirection::Write, Some(0)),
    ];
    assert_eq!(seen, expected);
    let dangling = page.violations.iter();
    let dangling: Vec<_> = dangling
        .filter(|one| one.kind == ViolationKind::Dangling)
        .collect();
    assert_eq!(dangling.len(), 1, "{:?}", page.violations);
    assert!(
        dangling[0].detail.contains("TX_BASE_LOW"),
        "{}",
        dangling[0].detail
    );
}

#[test]
fn coverage_tells_what_the_driver_touched_and_what_means_nothing() {
    let mut card = Card::new();
    card.write(CONTROL, 1);
    card.read(STATUS);
    card.read(STATUS);
    card.write(STATUS, 1);
    card.read(RX_KICK);
    card.qemu.read(&mut card.bench, 0, CONTROL, 2);
    card.qemu.read(&mut card.bench, 0, 0x8000, 4);
    card.qemu.read(&mut card.bench, 0, 0x8000, 4);
    let mut harness = card.bench.harness();
    let ask = RegistersCoverage {
        function: FunctionName::DUT0,
        from: 0,
    };
    let coverage = harness.call(&mut card.bench, &ask);
    assert_eq!((coverage.registers.len(), coverage.next), (26, None));
    let of = |name: &str| {
        let register = coverage.registers.iter().find(|one| one.name == name);
        register.expect("a register of that name")
    };
    assert_eq!((of("CONTROL").reads, of("CONTROL").writes), (0, 1));
    let fields = &of("CONTROL").fields;
    assert_eq!((fields[0].writes_set, fields[1].writes_set), (1, 0));
    assert_eq!((of("STATUS").reads, of("STATUS").writes), (2, 0));
    assert_eq!(
        (of("MAC_LOW").reads, of("MAC_LOW").access.as_str()),
        (0, "r")
    );
    let odd: Vec<_> = coverage
        .odd_accesses
        .iter()
        .map(|odd| (odd.offset, odd.width, odd.reason, odd.count))
        .collect();
    let expected = [
        (CONTROL, 16, OddReason::Width, 1),
        (STATUS, 32, OddReason::ReadOnly, 1),
        (RX_KICK, 32, OddReason::WriteOnly, 1),
        (0x8000, 32, OddReason::NoRegister, 2),
    ];
    assert_eq!(odd, expected);
}

#[test]
fn coverage_of_the_engine_comes_in_pages_with_channels_as_one() {
    let mut bench = Bench::new();
    let mut qemu = bench.connect(FunctionName::DUT0);
    let mut harness = bench.harness();
    for channel in 0..2 {
        qemu.channel_write(&mut bench, channel, CH_SOURCE, 0x1000);
    }
    let mut registers = Vec::new();
    let mut from = Some(0);
    while let Some(start) = from {
        let ask = RegistersCoverage {
            function: FunctionName::DUT0,
            from: start,
        };
        let page = harness.call(&mut bench, &ask);
        registers.extend(page.registers);
        from = page.next;
    }
    let sources: Vec<_> = registers
        .iter()
        .filter(|one| one.name == "CH_SOURCE")
        .collect();
    assert_eq!(sources.len(), 1);
    assert_eq!((sources[0].reads, sources[0].writes), (0, 2));
}
