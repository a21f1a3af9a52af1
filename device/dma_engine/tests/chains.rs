//! Chains, fences, the interrupt operation, and index mode.

mod mock;

use dma_engine::{FindingKind, Origin};
use dmarig_abi::Descriptor;
use dmarig_abi::completion::*;
use dmarig_abi::descriptor::*;
use dmarig_abi::registers::*;
use mock::rings::{DATA, LISTS, RING, rig, run};
use mock::{Rig, pattern, register, write_descriptor};
use zerocopy::IntoBytes;

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
