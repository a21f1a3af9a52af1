//! Descriptor rings from the driver's side.

mod mock;

use dma_engine::{Origin, PowerState};
use dmarig_abi::completion::*;
use dmarig_abi::descriptor::*;
use dmarig_abi::registers::*;
use mock::{DriverRing, Permit, Rig, pattern, register, write_descriptor};

const RING: u64 = 0x20_0000;
const DATA: u64 = 0x10_0000;

fn rig() -> Rig {
    let mut rig = Rig::new();
    rig.bus.map(DATA, 64, Permit::ReadWrite);
    rig.bus.map(RING, 256, Permit::ReadWrite);
    rig
}

fn ring_status(rig: &Rig, channel: u64) -> u16 {
    u16::try_from(rig.read_32(register(channel, CH_RING_STATUS))).expect("a status")
}

#[test]
fn descriptors_complete_in_order_over_many_laps() {
    for entries in [2, 8, 4096] {
        let mut rig = rig();
        let mut ring = rig.enable_ring(1, RING, entries);
        let mut tag = 0;
        for batch in [1, entries - 1, entries / 2, entries - 1, 1, entries - 1] {
            let first = tag;
            for _ in 0..batch {
                rig.post(&mut ring, write_descriptor(tag, DATA + tag % 1000 * 8, 8));
                tag += 1;
            }
            rig.ring_doorbell(&ring);
            rig.settle();
            for expected in first..tag {
                let entry = rig.completion(&mut ring).expect("a completion entry");
                assert_eq!((entry.tag, entry.status), (expected, DMA_STATUS_SUCCESS));
                assert_eq!((entry.done_bytes, entry.mismatch_offset), (8, u64::MAX));
                assert_eq!(entry.crc32c, crc32c::crc32c(&pattern(expected, 8)));
            }
            assert_eq!(rig.completion(&mut ring), None);
        }
        assert_eq!(rig.read_32(register(1, CH_RING_HEAD)), ring.tail);
        assert_eq!(rig.vectors(), vec![1; usize::try_from(tag).expect("small")]);
    }
}

#[test]
fn one_bad_descriptor_fails_alone() {
    let mut rig = rig();
    let mut ring = rig.enable_ring(0, RING, 8);
    rig.post(&mut ring, write_descriptor(1, DATA, 0));
    rig.post(
        &mut ring,
        Descriptor {
            opcode: 99,
            ..write_descriptor(2, DATA, 8)
        },
    );
    rig.post(&mut ring, write_descriptor(3, DATA, u64::MAX));
    rig.post(&mut ring, write_descriptor(4, 0x5_0000_0000, 8));
    rig.post(&mut ring, write_descriptor(5, DATA, 8));
    rig.ring_doorbell(&ring);
    rig.settle();
    let statuses: Vec<_> = std::iter::from_fn(|| rig.completion(&mut ring))
        .map(|entry| entry.status)
        .collect();
    let expected = [
        DMA_STATUS_LENGTH,
        DMA_STATUS_OPCODE,
        DMA_STATUS_ADDRESS,
        DMA_STATUS_UNMAPPED,
        DMA_STATUS_SUCCESS,
    ];
    assert_eq!(statuses, expected);
    assert_eq!(ring_status(&rig, 0), DMA_STATUS_SUCCESS);
}

#[test]
fn no_entry_before_the_writes_and_no_vector_before_the_entry_is_answered() {
    let mut rig = rig();
    // The completion ring, too, can only be reached by message.
    rig.bus.map(RING, 1, Permit::MessageOnly);
    let mut ring = rig.enable_ring(0, RING, 4);
    let mut descriptor = write_descriptor(7, DATA, 100_000);
    descriptor.flags |= DESCRIPTOR_FLAG_MESSAGE;
    rig.post(&mut ring, descriptor);
    rig.ring_doorbell(&ring);
    rig.run();
    let fetch = rig.bus.messages.pop_front().expect("the descriptor fetch");
    rig.bus.answer(&mut rig.engine, &fetch);
    rig.run();

    assert_eq!(rig.bus.messages.len(), 4, "the payload");
    for _ in 0..4 {
        let is_payload = |sent: &mock::Message| sent.iova < RING;
        assert!(
            rig.bus.messages.iter().all(is_payload),
            "no entry is sent yet"
        );
        let message = rig.bus.messages.pop_back().expect("a write");
        rig.bus.answer(&mut rig.engine, &message);
        rig.run();
    }
    let entry = rig.bus.messages.pop_front().expect("the completion entry");
    assert_eq!((entry.iova, entry.len), (ring.completion_base, 64));
    assert!(rig.vectors().is_empty());
    assert_eq!(rig.read_32(REG_INTERRUPT_CAUSE), 0);
    rig.bus.answer(&mut rig.engine, &entry);
    rig.run();
    assert_eq!(rig.vectors(), [0]);
    let entry = rig.completion(&mut ring).expect("the entry is there");
    assert_ne!(entry.flags & COMPLETION_FLAG_MESSAGE, 0);
    assert_eq!(rig.bus.peek(DATA, 100_000), pattern(7, 100_000));
}

#[test]
fn wrong_ring_registers_refuse_to_enable() {
    let check = |base: u64, completion_base: u64, entries: u32| {
        let mut rig = rig();
        rig.write_64(register(0, CH_RING_BASE), base);
        rig.write_64(register(0, CH_COMPLETION_BASE), completion_base);
        rig.write_32(register(0, CH_RING_ENTRIES), entries);
        rig.write_32(register(0, CH_RING_CONTROL), RING_ENABLE);
        assert_eq!(ring_status(&rig, 0), DMA_STATUS_RING);
        assert_eq!(rig.read_32(register(0, CH_RING_CONTROL)), 0);
        rig.write_32(register(0, CH_RING_TAIL), 1);
        rig.settle();
        assert!(rig.events.is_empty());
    };
    check(RING + 32, RING + 0x1000, 8);
    check(RING, RING + 1, 8);
    check(RING, RING + 0x1000, 3);
    check(RING, RING + 0x1000, 0);
    check(RING, RING + 0x1000, u32::MAX);
    check(u64::MAX - 63, RING, 2);
}

#[test]
fn ring_that_is_not_mapped_stops_and_tells_the_driver() {
    let mut rig = rig();
    let mut ring = rig.enable_ring(3, 0x9000_0000, 8);
    rig.post(&mut ring, write_descriptor(1, DATA, 8));
    rig.ring_doorbell(&ring);
    rig.settle();
    assert_eq!(ring_status(&rig, 3), DMA_STATUS_UNMAPPED);
    assert_eq!(rig.vectors(), [3]);
    let records = rig.records().len();
    rig.ring_doorbell(&ring);
    rig.settle();
    assert_eq!(
        rig.records().len(),
        records,
        "a stopped ring fetches nothing"
    );
}

#[test]
fn completion_ring_that_is_not_mapped_stops_the_ring() {
    let mut rig = rig();
    let mut ring = rig.enable_ring(0, RING, 64);
    rig.bus.map(RING + 0x1000, 1, Permit::Read);
    rig.post(&mut ring, write_descriptor(1, DATA, 8));
    rig.post(&mut ring, write_descriptor(2, DATA, 8));
    rig.ring_doorbell(&ring);
    rig.settle();
    assert_eq!(ring_status(&rig, 0), DMA_STATUS_PERMISSION);
    assert_eq!(
        rig.request_records().len(),
        1,
        "the second descriptor is not fetched"
    );
}

#[test]
fn tail_beyond_the_ring_or_for_a_disabled_ring_is_a_ring_error() {
    let mut rig = rig();
    let ring = rig.enable_ring(0, RING, 8);
    rig.write_32(register(0, CH_RING_TAIL), 8);
    rig.settle();
    assert_eq!(ring_status(&rig, 0), DMA_STATUS_RING);
    assert_eq!(rig.read_32(register(0, CH_RING_TAIL)), 8);
    rig.write_32(register(1, CH_RING_TAIL), 1);
    assert_eq!(ring_status(&rig, 1), DMA_STATUS_RING);

    let mut again = rig.enable_ring(0, ring.base, 8);
    rig.post(&mut again, write_descriptor(1, DATA, 8));
    rig.ring_doorbell(&again);
    rig.settle();
    assert!(
        rig.completion(&mut again).is_some(),
        "enabling anew mends it"
    );
}

#[test]
fn register_values_written_after_enabling_do_not_move_the_ring() {
    let mut rig = rig();
    let mut ring = rig.enable_ring(0, RING, 8);
    rig.write_64(register(0, CH_RING_BASE), 0xdead_0000);
    rig.write_32(register(0, CH_RING_ENTRIES), 4096);
    rig.post(&mut ring, write_descriptor(1, DATA, 8));
    rig.ring_doorbell(&ring);
    rig.settle();
    assert!(rig.completion(&mut ring).is_some());
}

#[test]
fn disabling_half_way_aborts_without_an_entry() {
    let mut rig = rig();
    let mut ring = rig.enable_ring(0, RING, 8);
    let mut descriptor = write_descriptor(1, DATA, 8);
    descriptor.flags |= DESCRIPTOR_FLAG_MESSAGE;
    rig.post(&mut ring, descriptor);
    rig.ring_doorbell(&ring);
    rig.run();
    rig.write_32(register(0, CH_RING_CONTROL), 0);
    rig.settle();
    let record = rig.request_records().pop().expect("a record of the abort");
    assert_eq!(
        (record.status, record.origin),
        (DMA_STATUS_ABORTED, Origin::Ring { index: 0 })
    );
    assert_eq!(rig.completion(&mut ring), None);
    assert!(rig.vectors().is_empty());
}

#[test]
fn bus_master_off_stops_the_ring_with_that_status() {
    let mut rig = rig();
    let mut ring = rig.enable_ring(0, RING, 8);
    rig.engine.set_bus_master(false);
    rig.post(&mut ring, write_descriptor(1, DATA, 8));
    rig.ring_doorbell(&ring);
    rig.settle();
    assert_eq!(ring_status(&rig, 0), DMA_STATUS_BUS_MASTER_OFF);
    rig.engine.set_bus_master(true);
    rig.engine.set_power_state(PowerState::Low);
    let mut ring = rig.enable_ring(1, RING, 8);
    rig.post(&mut ring, write_descriptor(1, DATA, 8));
    rig.ring_doorbell(&ring);
    rig.settle();
    assert_eq!(ring_status(&rig, 1), DMA_STATUS_POWER_STATE);
}

#[test]
fn busy_rings_share_the_device_with_other_channels() {
    let mut rig = rig();
    let mut endless = rig.enable_ring(0, RING, 8);
    rig.bus.default_permit = Permit::ReadWrite;
    let verify = Descriptor {
        opcode: DMA_OP_CRC,
        source: 0,
        length_bytes: 1 << 62,
        ..Descriptor::default()
    };
    rig.post(&mut endless, verify);
    rig.ring_doorbell(&endless);
    let mut ring = rig.enable_ring(1, RING + 0x2000, 8);
    for tag in 0..7 {
        rig.post(&mut ring, write_descriptor(tag, DATA, 64));
    }
    rig.ring_doorbell(&ring);
    for _ in 0..4 {
        rig.engine.run(&mut rig.bus, 1);
    }
    assert_eq!(std::iter::from_fn(|| rig.completion(&mut ring)).count(), 7);
    rig.engine.reset(0);
    rig.settle();
}

#[test]
fn live_references_are_the_latched_values_not_the_registers() {
    let mut rig = rig();
    assert!(rig.engine.live_references().is_empty());
    rig.enable_ring(1, RING, 8);
    rig.write_64(register(1, CH_RING_BASE), 0);
    let command = mock::Command {
        opcode: DMA_OP_WRITE_PATTERN,
        flags: DESCRIPTOR_FLAG_MESSAGE,
        destination: DATA,
        length_bytes: 16,
        ..mock::Command::default()
    };
    let live = |rig: &Rig| -> Vec<_> {
        let found = rig.engine.live_references().into_iter();
        found
            .map(|live| (live.register.to_string(), live.start.raw(), live.len_bytes))
            .collect()
    };
    rig.command(0, command);
    rig.write_64(register(0, CH_DESTINATION), 0);
    let expected = [
        ("CH_DESTINATION".to_owned(), DATA, 16),
        ("CH_RING_BASE".to_owned(), RING, 512),
        ("CH_COMPLETION_BASE".to_owned(), RING + 512, 512),
    ];
    assert_eq!(live(&rig), expected, "latched");
    rig.run();
    assert_eq!(live(&rig), expected, "under way");
    rig.settle();
    assert_eq!(live(&rig), expected[1..], "over");
    rig.write_32(register(1, CH_RING_CONTROL), 0);
    assert!(live(&rig).is_empty());
}

#[test]
fn every_access_of_a_ring_has_a_record_in_order() {
    let mut rig = rig();
    let mut ring: DriverRing = rig.enable_ring(0, RING, 4);
    rig.post(&mut ring, write_descriptor(5, DATA, 16));
    rig.ring_doorbell(&ring);
    rig.settle();
    let records = rig.records();
    let origins: Vec<_> = records.iter().map(|record| record.origin).collect();
    let expected = [
        Origin::DescriptorFetch { index: 0 },
        Origin::Ring { index: 0 },
        Origin::CompletionEntry { index: 0 },
    ];
    assert_eq!(origins, expected);
    assert_eq!(records[0].source.map(|iova| iova.raw()), Some(RING));
    assert_eq!(records[1].request.tag, 5);
    let written = records[2].destination.map(|iova| iova.raw());
    assert_eq!(written, Some(ring.completion_base));
}
