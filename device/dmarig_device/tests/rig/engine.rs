//! The engine through the whole device: lists and chains in the ledger, a ring that is polled, device
//! files with other channels and addresses.

use std::time::Duration;

use crate::support::{Bench, Harness, MockQemu, eventfd, take_count};
use control_api::FunctionName;
use control_api::ledger::{AccessDirection, LedgerPage, ViolationKind};
use control_api::request::LedgerRead;
use dmarig_abi::completion::{DMA_STATUS_ALIGNMENT, DMA_STATUS_CHAIN, DMA_STATUS_SUCCESS};
use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_CHAIN, DESCRIPTOR_FLAG_DESTINATION_LIST, DESCRIPTOR_FLAG_INTERRUPT,
    DESCRIPTOR_FLAG_MESSAGE, DESCRIPTOR_FLAG_OWNED, DMA_OP_FILL,
};
use dmarig_abi::registers::{
    CH_COMPLETION_BASE, CH_DESTINATION, CH_LENGTH, CH_RING_BASE, CH_RING_CONTROL, CH_RING_ENTRIES,
    CH_RING_TAIL, CH_SEED, CH_STATUS, CHANNEL_BASE, CHANNEL_STRIDE, REG_CAPABILITIES,
    REG_INTERRUPT_ENABLE_HIGH, RING_ENABLE, RING_PREFETCH,
};
use dmarig_abi::{CompletionEntry, Descriptor, ListElement};
use guest_memory::SharedMemory;
use zerocopy::{FromBytes, IntoBytes};

const BASE: u64 = 0x20_0000;
/// Where things lie in memory: the rings, a list, the data.
const COMPLETIONS: u64 = 0x1000;
const LIST: u64 = 0x2000;
const DATA: u64 = 0x8000;
/// Longer than the device waits between two looks at a ring.
const LOOK: Duration = Duration::from_millis(10);

struct Bed {
    bench: Bench,
    qemu: MockQemu,
    harness: Harness,
    ram: SharedMemory,
}

fn bed(device_file: &str) -> Bed {
    let mut bench = Bench::with(|options| {
        if !device_file.is_empty() {
            let path = options.socket[0].with_extension("toml");
            std::fs::write(&path, device_file).expect("device file");
            options.device = vec![path];
        }
    });
    let mut qemu = bench.connect(FunctionName::DUT0);
    let harness = bench.harness();
    let ram = SharedMemory::create_sealed("ram", 0x10_0000).expect("memory");
    qemu.map(&mut bench, &ram, BASE, true);
    qemu.enable_bus_master(&mut bench);
    Bed {
        bench,
        qemu,
        harness,
        ram,
    }
}

impl Bed {
    fn open_ring(&mut self, mode: u32) {
        let (bench, qemu) = (&mut self.bench, &mut self.qemu);
        qemu.channel_write(bench, 0, CH_RING_BASE, BASE);
        qemu.channel_write(bench, 0, CH_COMPLETION_BASE, BASE + COMPLETIONS);
        self.write_u32(CH_RING_ENTRIES, 4);
        self.write_u32(CH_RING_CONTROL, RING_ENABLE | mode);
    }

    fn write_u32(&mut self, register: u64, value: u32) {
        let offset = CHANNEL_BASE + register;
        self.qemu
            .write(&mut self.bench, 0, offset, &value.to_le_bytes());
        self.bench.pump();
    }

    fn put(&self, offset: u64, bytes: &[u8]) {
        let range = self.ram.range(offset, bytes.len()).expect("in range");
        range.write_from(bytes);
    }

    fn completion(&self) -> CompletionEntry {
        let mut bytes = [0; 64];
        let range = self.ram.range(COMPLETIONS, 64).expect("in range");
        range.read_into(&mut bytes);
        CompletionEntry::read_from_bytes(&bytes).expect("64 bytes")
    }

    fn page(&mut self) -> LedgerPage {
        let read = LedgerRead {
            function: FunctionName::DUT0,
            from: 0,
            limit: 80,
        };
        self.harness.call(&mut self.bench, &read)
    }
}

fn fill(destination: u64, length_bytes: u64, flags: u16) -> Descriptor {
    Descriptor {
        opcode: DMA_OP_FILL,
        flags,
        tag: 5,
        destination,
        length_bytes,
        seed: 0x5a,
        ..Descriptor::default()
    }
}

fn element(offset: u64, length_bytes: u64) -> ListElement {
    ListElement {
        iova: BASE + offset,
        length_bytes,
    }
}

#[test]
fn ledger_has_a_record_for_each_element_written() {
    let mut bed = bed("");
    bed.put(
        LIST,
        [element(DATA, 16), element(DATA + 0x1000, 48)].as_bytes(),
    );
    let descriptor = Descriptor {
        destination_elements: 2,
        ..fill(BASE + LIST, 64, DESCRIPTOR_FLAG_DESTINATION_LIST)
    };
    bed.put(0, descriptor.as_bytes());
    bed.open_ring(0);
    bed.write_u32(CH_RING_TAIL, 1);
    let entry = bed.completion();
    assert_eq!((entry.status, entry.done_bytes), (DMA_STATUS_SUCCESS, 64));
    let records = bed.page().records;
    let written: Vec<_> = records
        .iter()
        .filter(|record| record.direction == AccessDirection::Write)
        .map(|record| (record.iova.raw() - BASE, record.length))
        .collect();
    assert_eq!(
        written,
        [(DATA, 16), (DATA + 0x1000, 48), (COMPLETIONS, 64)]
    );
}

#[test]
fn element_unmapped_under_its_request_dangles() {
    let mut bed = bed("");
    bed.put(
        LIST,
        [element(DATA, 16), element(DATA + 0x1000, 48)].as_bytes(),
    );
    let flags = DESCRIPTOR_FLAG_DESTINATION_LIST | DESCRIPTOR_FLAG_MESSAGE;
    let descriptor = Descriptor {
        destination_elements: 2,
        ..fill(BASE + LIST, 64, flags)
    };
    bed.put(0, descriptor.as_bytes());
    bed.open_ring(0);
    bed.write_u32(CH_RING_TAIL, 1);
    let command = bed.qemu.next_dma();
    bed.qemu.unmap(&mut bed.bench, BASE + DATA + 0x1000, 0x1000);
    let found = bed.page().violations;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].kind, ViolationKind::Dangling);
    let expected = "destination element of channel 0 still points to IOVA 0x209000 (length 0x30)";
    assert!(found[0].detail.contains(expected), "{}", found[0].detail);
    bed.qemu.answer_dma(&mut bed.bench, &command, &[]);
    let command = bed.qemu.next_dma();
    bed.qemu.refuse_dma(&mut bed.bench, &command);
}

#[test]
fn chain_in_a_circle_is_a_violation() {
    let mut bed = bed("");
    let descriptor = Descriptor {
        next: BASE,
        ..fill(BASE + DATA, 8, DESCRIPTOR_FLAG_CHAIN)
    };
    bed.put(0, descriptor.as_bytes());
    bed.open_ring(0);
    bed.write_u32(CH_RING_TAIL, 1);
    assert_eq!(bed.completion().status, DMA_STATUS_CHAIN);
    let found = bed.page().violations;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        (found[0].kind, found[0].channel, found[0].iova.raw()),
        (ViolationKind::BadChain, Some(0), BASE)
    );
}

#[test]
fn polled_ring_takes_what_the_owner_bit_gives() {
    let mut bed = bed("");
    bed.open_ring(RING_PREFETCH);
    bed.bench.pass(LOOK);
    bed.put(0, fill(BASE + DATA, 8, DESCRIPTOR_FLAG_OWNED).as_bytes());
    bed.bench.pass(LOOK);
    bed.bench.pass(LOOK);
    let entry = bed.completion();
    assert_eq!((entry.tag, entry.status), (5, DMA_STATUS_SUCCESS));
    assert!(bed.page().violations.is_empty());
}

#[test]
fn descriptor_changed_behind_its_owner_bit_is_a_violation() {
    let mut bed = bed("");
    bed.open_ring(RING_PREFETCH);
    bed.bench.pass(LOOK);
    bed.put(0, fill(0, 8, DESCRIPTOR_FLAG_OWNED).as_bytes());
    bed.bench.pass(LOOK);
    bed.put(0, fill(BASE + DATA, 8, DESCRIPTOR_FLAG_OWNED).as_bytes());
    bed.bench.pass(LOOK);
    let found = bed.page().violations;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].kind, ViolationKind::DescriptorChanged);
    assert_eq!((found[0].iova.raw(), found[0].length), (BASE, 64));
    let expected = "descriptor 0 at IOVA 0x200000 changed between its owner bit and its fetch: \
                    bytes 0x19 to 0x1a were 00 00, now they are 80 20";
    assert_eq!(found[0].detail, expected);
    assert_eq!(bed.completion().status, DMA_STATUS_SUCCESS);
}

#[test]
fn last_of_64_channels_raises_the_last_vector() {
    for (vectors, vector) in [(64, 63), (8, 7)] {
        let file = format!("[interrupts]\nmsix_vectors = {vectors}\n[dma]\nchannels = 64\n");
        let mut bed = bed(&file);
        let (bench, qemu) = (&mut bed.bench, &mut bed.qemu);
        let capabilities = qemu.read(bench, 0, REG_CAPABILITIES, 4);
        assert_eq!(capabilities[..2], [64, 64]);
        let eventfd = eventfd();
        qemu.bind_vector(bench, vector, &eventfd);
        qemu.write(bench, 0, REG_INTERRUPT_ENABLE_HIGH, &u32::MAX.to_le_bytes());
        qemu.channel_write(bench, 63, CH_DESTINATION, BASE + DATA);
        qemu.channel_write(bench, 63, CH_LENGTH, 8);
        let command = u32::from(DMA_OP_FILL) | u32::from(DESCRIPTOR_FLAG_INTERRUPT) << 16;
        qemu.ring(bench, 63, command);
        bench.pump();
        let status = qemu.channel_read_u32(bench, 63, CH_STATUS);
        assert_eq!(status, u32::from(DMA_STATUS_SUCCESS));
        assert_eq!(take_count(&eventfd), 1, "{vectors} vectors");
        let behind = CHANNEL_BASE + 64 * CHANNEL_STRIDE;
        assert_eq!(qemu.read(bench, 0, behind + CH_STATUS, 4), [0; 4]);
    }
}

#[test]
fn address_rules_of_the_device_file_reach_the_engine() {
    let status_of = |file: &str, destination: u64| {
        let mut bed = bed(file);
        let (bench, qemu) = (&mut bed.bench, &mut bed.qemu);
        qemu.channel_write(bench, 0, CH_DESTINATION, destination);
        qemu.channel_write(bench, 0, CH_LENGTH, 8);
        qemu.channel_write(bench, 0, CH_SEED, 0x5a);
        qemu.ring(bench, 0, DMA_OP_FILL.into());
        bench.pump();
        let status = qemu.channel_read_u32(bench, 0, CH_STATUS);
        let mut byte = [0];
        bed.ram
            .range(DATA, 1)
            .expect("in range")
            .read_into(&mut byte);
        (status & 0xffff, byte[0])
    };
    let aligned = "[dma]\nalignment = 16\n";
    let success = u32::from(DMA_STATUS_SUCCESS);
    assert_eq!(
        status_of(aligned, BASE + DATA + 8),
        (DMA_STATUS_ALIGNMENT.into(), 0)
    );
    assert_eq!(status_of(aligned, BASE + DATA), (success, 0x5a));
    let narrow = "[dma]\naddress_width = 24\non_violation = \"truncate\"\n";
    assert_eq!(
        status_of(narrow, 0x77_0000_0000 + BASE + DATA),
        (success, 0x5a)
    );
}
