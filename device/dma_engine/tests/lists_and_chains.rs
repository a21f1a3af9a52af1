//! Scatter-gather lists, chains, fences, the interrupt operation, index mode, and address rules.

mod mock;

use dma_engine::{
    AddressRules, Breach, Crossing, EngineConfig, Extent, FindingKind, Origin, RequestRecord,
};
use dmarig_abi::completion::*;
use dmarig_abi::descriptor::*;
use dmarig_abi::registers::*;
use dmarig_abi::{CompletionEntry, Descriptor, Iova, ListElement};
use mock::{DriverRing, Permit, Rig, pattern, register, write_descriptor};
use proptest::prelude::*;
use zerocopy::IntoBytes;

const RING: u64 = 0x20_0000;
const DATA: u64 = 0x10_0000;
const LISTS: u64 = 0x30_0000;
const COPY_ELEMENTS: usize = 40;

fn rig() -> Rig {
    rig_with(EngineConfig::default())
}

fn rig_with(config: EngineConfig) -> Rig {
    let mut rig = Rig::with_config(config);
    rig.bus.map(DATA, 64, Permit::ReadWrite);
    rig.bus.map(RING, 256, Permit::ReadWrite);
    rig.bus.map(LISTS, 16, Permit::ReadWrite);
    rig
}

fn put_list(rig: &mut Rig, at: u64, elements: &[(u64, u64)]) -> u16 {
    for (index, (iova, length_bytes)) in elements.iter().enumerate() {
        let element = ListElement {
            iova: *iova,
            length_bytes: *length_bytes,
        };
        rig.bus.poke(at + index as u64 * 16, element.as_bytes());
    }
    u16::try_from(elements.len()).expect("a short list")
}

fn run(rig: &mut Rig, ring: &mut DriverRing, descriptor: Descriptor) -> CompletionEntry {
    rig.post(ring, descriptor);
    rig.ring_doorbell(ring);
    rig.settle();
    rig.completion(ring).expect("a completion entry")
}

fn last(rig: &Rig) -> RequestRecord {
    rig.request_records().pop().expect("a record")
}

fn extents(of: &[Extent]) -> Vec<(u64, u64)> {
    of.iter()
        .map(|run| (run.start.raw(), run.len_bytes))
        .collect()
}

#[test]
fn pattern_runs_on_over_the_elements_of_a_list() {
    let mut rig = rig();
    let mut ring = rig.enable_ring(0, RING, 8);
    let elements = [
        (DATA + 3, 5),
        (DATA + 0x2000, 0),
        (DATA + 0x4001, 4090),
        (DATA + 0x8000, 900),
    ];
    let count = put_list(&mut rig, LISTS, &elements);
    let entry = run(
        &mut rig,
        &mut ring,
        Descriptor {
            flags: DESCRIPTOR_FLAG_DESTINATION_LIST,
            destination_elements: count,
            ..write_descriptor(7, LISTS, 4900)
        },
    );
    let expected = pattern(7, 4900);
    assert_eq!((entry.status, entry.done_bytes), (DMA_STATUS_SUCCESS, 4900));
    assert_eq!(entry.crc32c, crc32c::crc32c(&expected));
    assert_eq!(rig.bus.peek(DATA + 3, 5), expected[..5]);
    assert_eq!(rig.bus.peek(DATA + 0x4001, 4090), expected[5..4095]);
    assert_eq!(rig.bus.peek(DATA + 0x8000, 805), expected[4095..]);
    assert_eq!(
        rig.bus.peek(DATA + 0x8000 + 805, 1),
        [0],
        "the list is longer than the request"
    );
    let record = last(&rig);
    let runs = record.runs.expect("a request with a list has runs");
    let written = [(DATA + 3, 5), (DATA + 0x4001, 4090), (DATA + 0x8000, 805)];
    assert_eq!(extents(&runs.destination), written);
    assert!(runs.source.is_empty());
    let origins: Vec<_> = rig.records().iter().map(|record| record.origin).collect();
    let index = 0;
    let expected = [
        Origin::DescriptorFetch { index },
        Origin::ListFetch { index },
        Origin::Ring { index },
        Origin::CompletionEntry { index },
    ];
    assert_eq!(origins, expected, "one record for the request");
}

#[test]
fn verify_over_a_list_names_the_offset_in_the_request() {
    let mut rig = rig();
    let mut ring = rig.enable_ring(0, RING, 8);
    let expected = pattern(9, 300);
    rig.bus.poke(DATA, &expected[..100]);
    rig.bus.poke(DATA + 0x3000, &expected[100..]);
    rig.bus.poke(DATA + 0x3000 + 50, &[expected[150] ^ 0x80]);
    let count = put_list(&mut rig, LISTS, &[(DATA, 100), (DATA + 0x3000, 200)]);
    let entry = run(
        &mut rig,
        &mut ring,
        Descriptor {
            opcode: DMA_OP_VERIFY_PATTERN,
            flags: DESCRIPTOR_FLAG_SOURCE_LIST,
            source: LISTS,
            source_elements: count,
            length_bytes: 300,
            seed: 9,
            ..Descriptor::default()
        },
    );
    assert_eq!(
        (entry.status, entry.mismatch_offset),
        (DMA_STATUS_MISMATCH, 150)
    );
    assert_eq!(
        (entry.expected, entry.seen),
        (expected[150], expected[150] ^ 0x80)
    );
    assert_eq!(entry.done_bytes, 300);
}

#[test]
fn wrong_lists_end_the_request_alone() {
    let mut rig = rig();
    let mut ring = rig.enable_ring(0, RING, 64);
    let count = put_list(&mut rig, LISTS, &[(DATA, 16), (DATA + 0x1000, 16)]);
    let mut check = |list: u64, elements: u16, length_bytes: u64, status: u16| {
        let entry = run(
            &mut rig,
            &mut ring,
            Descriptor {
                flags: DESCRIPTOR_FLAG_DESTINATION_LIST,
                destination_elements: elements,
                ..write_descriptor(1, list, length_bytes)
            },
        );
        assert_eq!(
            (entry.status, entry.done_bytes),
            (status, 0),
            "{list:#x} {elements}"
        );
    };
    check(LISTS, 0, 32, DMA_STATUS_LIST);
    check(LISTS, LIST_MAX_ELEMENTS + 1, 32, DMA_STATUS_LIST);
    check(LISTS + 8, count, 32, DMA_STATUS_LIST);
    check(LISTS, count, 33, DMA_STATUS_LIST);
    check(0x90_0000, count, 32, DMA_STATUS_UNMAPPED);
    check(LISTS, count, 0, DMA_STATUS_LENGTH);
    let good = Descriptor {
        flags: DESCRIPTOR_FLAG_DESTINATION_LIST,
        destination_elements: count,
        ..write_descriptor(1, LISTS, 32)
    };
    assert_eq!(run(&mut rig, &mut ring, good).status, DMA_STATUS_SUCCESS);
}

#[test]
fn fault_in_the_second_element_counts_the_bytes_of_the_first() {
    let mut rig = rig();
    let mut ring = rig.enable_ring(0, RING, 8);
    let count = put_list(
        &mut rig,
        LISTS,
        &[(DATA, 24), (0x90_0000, 24), (DATA + 0x1000, 24)],
    );
    let entry = run(
        &mut rig,
        &mut ring,
        Descriptor {
            flags: DESCRIPTOR_FLAG_DESTINATION_LIST,
            destination_elements: count,
            ..write_descriptor(1, LISTS, 72)
        },
    );
    assert_eq!((entry.status, entry.done_bytes), (DMA_STATUS_UNMAPPED, 24));
    assert_eq!(last(&rig).fault_iova, Some(Iova::new(0x90_0000)));
    assert_eq!(rig.bus.peek(DATA + 0x1000, 24), vec![0; 24]);
}

#[test]
fn list_flags_mean_nothing_to_the_registers() {
    let mut rig = rig();
    let record = rig.run_command(mock::Command {
        opcode: DMA_OP_FILL,
        flags: DESCRIPTOR_FLAG_DESTINATION_LIST,
        destination: LISTS,
        length_bytes: 16,
        ..mock::Command::default()
    });
    assert_eq!(record.status, DMA_STATUS_OPCODE);
}

#[test]
fn elements_and_list_are_live_while_they_may_be_accessed() {
    let mut rig = rig();
    let mut ring = rig.enable_ring(0, RING, 8);
    let count = put_list(&mut rig, LISTS, &[(DATA, 16), (DATA + 0x1000, 16)]);
    rig.bus.map(DATA, 1, Permit::MessageOnly);
    rig.post(
        &mut ring,
        Descriptor {
            flags: DESCRIPTOR_FLAG_DESTINATION_LIST,
            destination_elements: count,
            ..write_descriptor(1, LISTS, 32)
        },
    );
    rig.ring_doorbell(&ring);
    rig.run();
    let live = |rig: &Rig| -> Vec<_> {
        let references = rig.engine.live_references().into_iter();
        references
            .filter(|live| !live.register.starts_with("CH_"))
            .map(|live| (live.register.into_owned(), live.start.raw(), live.len_bytes))
            .collect()
    };
    let element = "destination element".to_owned();
    assert_eq!(
        live(&rig),
        [(element.clone(), DATA, 16), (element, DATA + 0x1000, 16)]
    );
    rig.settle();
    assert!(live(&rig).is_empty());
}

#[test]
fn chain_has_one_entry_with_all_bytes() {
    let mut rig = rig();
    let mut ring = rig.enable_ring(0, RING, 8);
    let chained = |tag: u64, at: u64, next: Option<u64>| Descriptor {
        flags: if next.is_some() {
            DESCRIPTOR_FLAG_CHAIN
        } else {
            0
        },
        next: next.unwrap_or(0),
        ..write_descriptor(tag, at, 100)
    };
    rig.bus.poke(
        LISTS,
        chained(21, DATA + 0x1000, Some(LISTS + 64)).as_bytes(),
    );
    rig.bus
        .poke(LISTS + 64, chained(22, DATA + 0x2000, None).as_bytes());
    let entry = run(&mut rig, &mut ring, chained(20, DATA, Some(LISTS)));
    assert_eq!((entry.tag, entry.status), (20, DMA_STATUS_SUCCESS));
    assert_eq!((entry.done_bytes, entry.chained), (300, 2));
    assert_eq!(
        entry.crc32c,
        crc32c::crc32c(&pattern(22, 100)),
        "the last one's"
    );
    for (seed, at) in [(20, DATA), (21, DATA + 0x1000), (22, DATA + 0x2000)] {
        assert_eq!(rig.bus.peek(at, 100), pattern(seed, 100));
    }
    assert!(rig.findings().is_empty());
    assert_eq!(rig.request_records().len(), 3);
}

#[test]
fn chain_that_fails_does_not_go_on() {
    let mut rig = rig();
    let mut ring = rig.enable_ring(0, RING, 8);
    rig.bus.poke(LISTS, write_descriptor(2, DATA, 8).as_bytes());
    let descriptor = Descriptor {
        flags: DESCRIPTOR_FLAG_CHAIN,
        next: LISTS,
        ..write_descriptor(1, 0x90_0000, 8)
    };
    let entry = run(&mut rig, &mut ring, descriptor);
    assert_eq!((entry.status, entry.chained), (DMA_STATUS_UNMAPPED, 0));
    assert_eq!(rig.request_records().len(), 1);
    let unmapped = Descriptor {
        next: 0x90_0000,
        destination: DATA,
        ..descriptor
    };
    let entry = run(&mut rig, &mut ring, unmapped);
    assert_eq!((entry.status, entry.done_bytes), (DMA_STATUS_UNMAPPED, 8));
    assert!(rig.findings().is_empty());
}

#[test]
fn loop_misaligned_and_endless_chains_are_found() {
    let check = |next: u64, prepare: &dyn Fn(&mut Rig), chained: u32, words: &str| {
        let mut rig = rig();
        let mut ring = rig.enable_ring(0, RING, 8);
        prepare(&mut rig);
        let entry = run(
            &mut rig,
            &mut ring,
            Descriptor {
                flags: DESCRIPTOR_FLAG_CHAIN,
                next,
                ..write_descriptor(1, DATA, 8)
            },
        );
        assert_eq!((entry.status, entry.chained), (DMA_STATUS_CHAIN, chained));
        let findings = rig.findings();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert_eq!(findings[0].kind, FindingKind::BadChain);
        assert!(findings[0].detail.contains(words), "{}", findings[0].detail);
    };
    let link = |at: u64, next: u64| {
        move |rig: &mut Rig| {
            let descriptor = Descriptor {
                flags: DESCRIPTOR_FLAG_CHAIN,
                next,
                ..write_descriptor(2, DATA, 8)
            };
            rig.bus.poke(at, descriptor.as_bytes());
        }
    };
    check(
        LISTS,
        &link(LISTS, LISTS),
        1,
        "IOVA 0x300000, which the chain has been at already",
    );
    check(
        LISTS,
        &link(LISTS, RING),
        1,
        "IOVA 0x200000, which the chain has been at already",
    );
    check(
        LISTS + 32,
        &|_| {},
        0,
        "IOVA 0x300020, which is not 64-byte aligned",
    );
    let long = |rig: &mut Rig| (0..80).for_each(|n| link(LISTS + n * 64, LISTS + n * 64 + 64)(rig));
    check(
        LISTS,
        &long,
        CHAIN_MAX_DESCRIPTORS,
        "but it has 64 descriptors already",
    );
}

#[test]
fn interrupt_operation_raises_before_the_chain_ends() {
    let mut rig = rig();
    let mut ring = rig.enable_ring(2, RING, 8);
    rig.bus.poke(LISTS, write_descriptor(2, DATA, 8).as_bytes());
    let entry = run(
        &mut rig,
        &mut ring,
        Descriptor {
            opcode: DMA_OP_INTERRUPT,
            flags: DESCRIPTOR_FLAG_CHAIN,
            next: LISTS,
            ..Descriptor::default()
        },
    );
    assert_eq!(entry.status, DMA_STATUS_SUCCESS);
    assert_eq!(
        rig.vectors(),
        [2, 2],
        "its own, and that of the chained descriptor's flag"
    );
    let positions: Vec<_> = rig
        .events
        .iter()
        .enumerate()
        .filter_map(|(at, event)| {
            matches!(event, dma_engine::EndpointEvent::Interrupt { .. }).then_some(at)
        })
        .collect();
    let entry_at = rig.events.iter().position(|event| {
        matches!(event,
        dma_engine::EndpointEvent::RequestDone(record)
            if matches!(record.origin, Origin::CompletionEntry { .. }))
    });
    assert!(positions[0] < entry_at.unwrap() && entry_at.unwrap() < positions[1]);
}

#[test]
fn index_mode_writes_the_index_behind_each_entry() {
    let mut rig = rig();
    let index = RING + 0x8000;
    rig.write_64(register(0, CH_INDEX_ADDRESS), index);
    let mut ring = rig.enable_ring_as(0, RING, 4, RING_INDEX_MODE);
    assert_eq!(
        rig.read_32(register(0, CH_RING_CONTROL)),
        RING_ENABLE | RING_INDEX_MODE
    );
    ring.phase = 0;
    for lap in 0..6_u32 {
        let entry = run(&mut rig, &mut ring, write_descriptor(lap.into(), DATA, 8));
        ring.phase = 0;
        assert_eq!((entry.tag, entry.flags), (lap.into(), 0));
        let written = rig.bus.peek(index, 4);
        assert_eq!(written, ((lap + 1) % 4).to_le_bytes());
    }
    assert_eq!(rig.vectors().len(), 6);
    let origins: Vec<_> = rig.records().iter().map(|record| record.origin).collect();
    assert_eq!(origins[3], Origin::ProducerIndex { index: 1 });
}

#[test]
fn index_that_cannot_be_written_stops_the_ring() {
    let mut rig = rig();
    rig.write_64(register(0, CH_INDEX_ADDRESS), 0x90_0000);
    let mut ring = rig.enable_ring_as(0, RING, 4, RING_INDEX_MODE);
    rig.post(&mut ring, write_descriptor(1, DATA, 8));
    rig.ring_doorbell(&ring);
    rig.settle();
    assert_eq!(
        rig.read_32(register(0, CH_RING_STATUS)),
        DMA_STATUS_UNMAPPED.into()
    );
    rig.write_64(register(1, CH_INDEX_ADDRESS), RING + 2);
    rig.enable_ring_as(1, RING, 4, RING_INDEX_MODE);
    assert_eq!(
        rig.read_32(register(1, CH_RING_STATUS)),
        DMA_STATUS_RING.into()
    );
}

#[test]
fn fence_waits_for_what_other_channels_were_rung_for() {
    let mut rig = rig();
    let message = Descriptor {
        flags: DESCRIPTOR_FLAG_MESSAGE,
        ..write_descriptor(1, DATA, 8)
    };
    let mut slow = rig.enable_ring(1, RING + 0x2000, 8);
    rig.post(&mut slow, message);
    rig.post(&mut slow, message);
    rig.ring_doorbell(&slow);
    let mut ring = rig.enable_ring(0, RING, 8);
    let fence = Descriptor {
        opcode: DMA_OP_FENCE,
        seed: FENCE_ALL_CHANNELS,
        ..Descriptor::default()
    };
    rig.post(&mut ring, fence);
    rig.ring_doorbell(&ring);
    rig.run();
    assert!(
        rig.completion(&mut ring).is_none(),
        "channel 1 waits for its message"
    );
    let first = rig.bus.messages.pop_front().expect("a write");
    rig.bus.answer(&mut rig.engine, &first);
    rig.run();
    assert!(
        rig.completion(&mut ring).is_none(),
        "its second descriptor was rung before, too"
    );
    rig.settle();
    assert!(rig.completion(&mut ring).is_some());
    let of_channel = Descriptor {
        seed: FENCE_CHANNEL,
        ..fence
    };
    assert_eq!(
        run(&mut rig, &mut ring, of_channel).status,
        DMA_STATUS_SUCCESS
    );
    let unknown = Descriptor { seed: 2, ..fence };
    assert_eq!(run(&mut rig, &mut ring, unknown).status, DMA_STATUS_OPCODE);
}

#[test]
fn fences_of_all_channels_at_once_do_not_wait_for_each_other() {
    let mut rig = rig();
    let mut rings: Vec<_> = (0..4)
        .map(|channel| rig.enable_ring(channel, RING + channel * 0x2000, 8))
        .collect();
    for ring in &mut rings {
        for tag in 0..5 {
            rig.post(
                ring,
                Descriptor {
                    opcode: DMA_OP_FENCE,
                    seed: FENCE_ALL_CHANNELS,
                    tag,
                    ..Descriptor::default()
                },
            );
        }
    }
    for ring in &rings {
        rig.ring_doorbell(ring);
    }
    rig.settle();
    for ring in &mut rings {
        assert_eq!(std::iter::from_fn(|| rig.completion(ring)).count(), 5);
    }
}

#[test]
fn fence_opens_when_the_other_ring_is_given_up() {
    let mut rig = rig();
    let mut slow = rig.enable_ring(1, RING + 0x2000, 8);
    rig.post(
        &mut slow,
        Descriptor {
            flags: DESCRIPTOR_FLAG_MESSAGE,
            ..write_descriptor(1, DATA, 8)
        },
    );
    rig.ring_doorbell(&slow);
    let mut ring = rig.enable_ring(0, RING, 8);
    rig.post(
        &mut ring,
        Descriptor {
            opcode: DMA_OP_FENCE,
            seed: FENCE_ALL_CHANNELS,
            ..Descriptor::default()
        },
    );
    rig.ring_doorbell(&ring);
    rig.run();
    rig.write_32(register(1, CH_RING_CONTROL), 0);
    rig.run();
    assert!(rig.completion(&mut ring).is_some());
}

fn truncating() -> EngineConfig {
    EngineConfig {
        addresses: AddressRules {
            alignment_bytes: 16,
            breach: Breach::Truncate,
            ..AddressRules::of_width(24)
        },
        ..EngineConfig::default()
    }
}

#[test]
fn truncating_device_writes_where_its_lines_lead() {
    let mut rig = rig_with(truncating());
    let record = rig.run_command(mock::Command {
        opcode: DMA_OP_WRITE_PATTERN,
        destination: 0x7_0000_0000 + DATA + 5,
        length_bytes: 64,
        seed: 3,
        ..mock::Command::default()
    });
    assert_eq!(record.status, DMA_STATUS_SUCCESS);
    assert_eq!(rig.bus.peek(DATA, 64), pattern(3, 64));
    let runs = record.runs.expect("the bytes went elsewhere");
    assert_eq!(extents(&runs.destination), [(DATA, 64)]);
    let mut ring = rig.enable_ring(0, RING, 8);
    rig.write_64(register(0, CH_RING_BASE), 0x5500_0000_0000 + RING);
    rig.write_32(register(0, CH_RING_CONTROL), RING_ENABLE);
    assert_eq!(
        run(&mut rig, &mut ring, write_descriptor(1, DATA, 8)).status,
        DMA_STATUS_SUCCESS
    );
}

#[test]
fn refusing_device_says_why() {
    let mut rig = rig_with(EngineConfig {
        addresses: AddressRules {
            alignment_bytes: 16,
            boundary_bytes: 0x1000,
            crossing: Crossing::Refuse,
            ..AddressRules::of_width(24)
        },
        ..EngineConfig::default()
    });
    let mut check = |destination, status| {
        let record = rig.run_command(mock::Command {
            opcode: DMA_OP_FILL,
            destination,
            length_bytes: 64,
            ..mock::Command::default()
        });
        assert_eq!(
            (record.status, record.done_bytes),
            (status, if status == 1 { 64 } else { 0 })
        );
    };
    check(DATA, DMA_STATUS_SUCCESS);
    check(DATA + 8, DMA_STATUS_ALIGNMENT);
    check(DATA + 0xff0, DMA_STATUS_BOUNDARY);
    check(0x100_0000 + DATA, DMA_STATUS_ADDRESS);
}

#[test]
fn wrapping_device_stays_in_its_block() {
    let mut rig = rig_with(EngineConfig {
        addresses: AddressRules {
            boundary_bytes: 0x1000,
            crossing: Crossing::Wrap,
            ..AddressRules::default()
        },
        ..EngineConfig::default()
    });
    let record = rig.run_command(mock::Command {
        opcode: DMA_OP_WRITE_PATTERN,
        destination: DATA + 0xff0,
        length_bytes: 64,
        seed: 8,
        ..mock::Command::default()
    });
    assert_eq!((record.status, record.done_bytes), (DMA_STATUS_SUCCESS, 64));
    let expected = pattern(8, 64);
    assert_eq!(rig.bus.peek(DATA + 0xff0, 16), expected[..16]);
    assert_eq!(rig.bus.peek(DATA, 48), expected[16..]);
    assert_eq!(rig.bus.peek(DATA + 0x1000, 48), vec![0; 48]);
    let written = extents(&record.runs.expect("it was cut").destination);
    assert_eq!(written, [(DATA + 0xff0, 16), (DATA, 48)]);
}

/// Elements that lie apart from each other, in slots of 0x400 bytes.
fn elements(base: u64) -> impl Strategy<Value = Vec<(u64, u64)>> {
    prop::collection::vec((0..0x100_u64, 0..0x300_u64), 1..COPY_ELEMENTS).prop_map(move |list| {
        let slots = list.into_iter().enumerate();
        slots
            .map(|(slot, (skip, len))| (base + slot as u64 * 0x400 + skip, len))
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// A copy from list to list moves the bytes that a copy between the joined runs would.
    #[test]
    fn copy_between_lists_keeps_every_byte(
        from in elements(DATA), to in elements(DATA + 0x2_0000), by_message in any::<bool>(),
    ) {
        let total = |list: &[(u64, u64)]| list.iter().map(|(_, len)| len).sum::<u64>();
        let len = total(&from).min(total(&to));
        prop_assume!(len > 0);
        let mut rig = rig();
        let mut ring = rig.enable_ring(0, RING, 8);
        for (seed, (at, len)) in from.iter().enumerate() {
            rig.bus.poke(*at, &pattern(seed as u64, usize::try_from(*len).unwrap()));
        }
        let source_elements = put_list(&mut rig, LISTS, &from);
        let destination_elements = put_list(&mut rig, LISTS + 0x4000, &to);
        let message = if by_message { DESCRIPTOR_FLAG_MESSAGE } else { 0 };
        let entry = run(&mut rig, &mut ring, Descriptor {
            opcode: DMA_OP_COPY,
            flags: DESCRIPTOR_FLAG_SOURCE_LIST | DESCRIPTOR_FLAG_DESTINATION_LIST | message,
            source: LISTS,
            source_elements,
            destination: LISTS + 0x4000,
            destination_elements,
            length_bytes: len,
            ..Descriptor::default()
        });
        let joined = |rig: &Rig, list: &[(u64, u64)]| -> Vec<u8> {
            let bytes = list.iter().flat_map(|(at, len)| rig.bus.peek(*at, usize::try_from(*len).unwrap()));
            bytes.take(usize::try_from(len).unwrap()).collect()
        };
        let (read, written) = (joined(&rig, &from), joined(&rig, &to));
        prop_assert_eq!((entry.status, entry.done_bytes), (DMA_STATUS_SUCCESS, len));
        prop_assert_eq!(entry.crc32c, crc32c::crc32c(&read));
        prop_assert!(read == written);
    }
}
