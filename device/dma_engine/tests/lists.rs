//! Scatter-gather lists.

mod mock;

use dma_engine::Origin;
use dmarig_abi::completion::*;
use dmarig_abi::descriptor::*;
use dmarig_abi::{Descriptor, Iova};
use mock::rings::{DATA, LISTS, RING, extents, last, put_list, rig, run};
use mock::{Permit, Rig, pattern, write_descriptor};
use proptest::prelude::*;

const COPY_ELEMENTS: usize = 40;

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
