//! Rings that the device polls: owner bit, findings, and when the engine wants to be called.

mod mock;

use dma_engine::{FindingKind, Origin, Tick};
use dmarig_abi::Descriptor;
use dmarig_abi::completion::*;
use dmarig_abi::descriptor::*;
use dmarig_abi::registers::*;
use mock::{DriverRing, Permit, Rig, pattern, register, write_descriptor};
use zerocopy::IntoBytes;

const RING: u64 = 0x20_0000;
const DATA: u64 = 0x10_0000;

fn rig() -> (Rig, DriverRing) {
    let mut rig = Rig::new();
    rig.bus.map(DATA, 16, Permit::ReadWrite);
    rig.bus.map(RING, 16, Permit::ReadWrite);
    let ring = rig.enable_ring_as(0, RING, 4, RING_PREFETCH);
    rig.settle();
    (rig, ring)
}

fn owned(tag: u64) -> Descriptor {
    let descriptor = write_descriptor(tag, DATA + tag * 0x1000, 100);
    Descriptor {
        flags: descriptor.flags | DESCRIPTOR_FLAG_OWNED,
        ..descriptor
    }
}

/// Lets time pass until the engine's next tick.
fn tick(rig: &mut Rig) {
    let next = rig.engine.next_tick().expect("the ring is polled");
    rig.engine.set_now(next);
    rig.settle();
}

fn flags(rig: &Rig, index: u64) -> u16 {
    let bytes = rig.bus.peek(RING + index * 64 + 2, 2);
    u16::from_le_bytes([bytes[0], bytes[1]])
}

#[test]
fn owner_bit_alone_starts_a_descriptor_and_is_cleared() {
    let (mut rig, mut ring) = rig();
    for tag in 0..6 {
        rig.post(&mut ring, owned(tag));
        for _ in 0..12 {
            tick(&mut rig);
        }
        let entry = rig.completion(&mut ring).expect("a completion entry");
        assert_eq!((entry.tag, entry.status), (tag, DMA_STATUS_SUCCESS));
        assert_eq!(flags(&rig, tag % 4) & DESCRIPTOR_FLAG_OWNED, 0);
        assert_eq!(rig.bus.peek(DATA + tag * 0x1000, 100), pattern(tag, 100));
    }
    assert!(rig.findings().is_empty());
    assert_eq!(rig.vectors().len(), 6);
}

#[test]
fn empty_ring_is_polled_ever_more_seldom_and_leaves_no_records() {
    let (mut rig, _) = rig();
    let mut last = Tick::ZERO;
    for _ in 0..20 {
        let next = rig.engine.next_tick().expect("the ring is polled");
        assert!(next > last, "no busy polling");
        last = next;
        tick(&mut rig);
    }
    assert!(last.as_micros() > 50_000, "{last}");
    assert!(rig.records().is_empty());
}

#[test]
fn engine_that_may_not_do_dma_wants_no_ticks() {
    let (mut rig, _) = rig();
    rig.engine.set_bus_master(false);
    assert_eq!(rig.engine.next_tick(), None);
    rig.engine.set_bus_master(true);
    assert!(rig.engine.next_tick().is_some());
    rig.write_32(register(0, CH_RING_CONTROL), 0);
    assert_eq!(rig.engine.next_tick(), None);
}

#[test]
fn doorbell_makes_the_device_look_at_once() {
    let (mut rig, mut ring) = rig();
    for _ in 0..10 {
        tick(&mut rig);
    }
    let now = rig.engine.next_tick().expect("polled");
    rig.post(&mut ring, owned(1));
    rig.ring_doorbell(&ring);
    rig.settle();
    tick(&mut rig);
    assert!(rig.completion(&mut ring).is_some());
    assert!(rig.engine.next_tick().is_some_and(|next| next <= now));
}

#[test]
fn descriptor_filled_behind_its_owner_bit_is_found() {
    let (mut rig, mut ring) = rig();
    let late = Descriptor {
        destination: 0,
        ..owned(1)
    };
    rig.post(&mut ring, late);
    tick(&mut rig);
    rig.bus.poke(RING, owned(1).as_bytes());
    tick(&mut rig);
    let findings = rig.findings();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(
        (findings[0].kind, findings[0].iova.raw()),
        (FindingKind::DescriptorChanged, RING)
    );
    assert_eq!(
        findings[0].detail,
        "descriptor 0 at IOVA 0x200000 changed between its owner bit and its fetch: \
         bytes 0x19 to 0x1a were 00 00, now they are 10 10"
    );
    assert!(
        rig.completion(&mut ring).is_some(),
        "it does what it fetched"
    );
}

#[test]
fn change_that_a_sabotage_overlooks_is_not_told() {
    let (mut rig, mut ring) = rig();
    rig.engine
        .set_sabotage(Some(dma_engine::Sabotage::OverlookChange), 1);
    rig.post(&mut ring, owned(1));
    tick(&mut rig);
    rig.bus.poke(RING + 0x38, &[1]);
    tick(&mut rig);
    assert!(rig.findings().is_empty());
    assert_eq!(rig.engine.sabotage_fired(), 1);
}

#[test]
fn descriptor_taken_back_is_found_and_not_done() {
    let (mut rig, mut ring) = rig();
    rig.post(&mut ring, owned(1));
    tick(&mut rig);
    rig.bus.poke(RING + 3, &[0]);
    for _ in 0..4 {
        tick(&mut rig);
    }
    assert_eq!(rig.findings().len(), 1);
    assert!(rig.request_records().is_empty());
    assert!(rig.completion(&mut ring).is_none());
}

#[test]
fn descriptor_reused_before_its_completion_is_found() {
    let (mut rig, mut ring) = rig();
    let mut slow = owned(1);
    slow.flags |= DESCRIPTOR_FLAG_MESSAGE;
    rig.post(&mut ring, slow);
    tick(&mut rig);
    let next = rig.engine.next_tick().expect("to fetch");
    rig.engine.set_now(next);
    rig.run();
    assert_eq!(rig.bus.messages.len(), 1, "the write is under way");
    rig.bus.poke(RING + 0x20, &[0x33]);
    rig.settle();
    let findings = rig.findings();
    assert_eq!(findings.len(), 1, "{findings:?}");
    let detail = &findings[0].detail;
    assert!(
        detail.contains("between its fetch and its completion"),
        "{detail}"
    );
    assert!(
        detail.contains("bytes 0x20 to 0x20 were 64, now they are 33"),
        "{detail}"
    );
    let origins: Vec<_> = rig.records().iter().map(|record| record.origin).collect();
    let index = 0;
    let expected = [
        Origin::DescriptorFetch { index },
        Origin::Ring { index },
        Origin::DescriptorFetch { index },
        Origin::DescriptorRelease { index },
        Origin::CompletionEntry { index },
    ];
    assert_eq!(origins, expected, "polls are not recorded");
}

#[test]
fn descriptor_that_was_seen_is_a_live_reference() {
    let (mut rig, mut ring) = rig();
    rig.post(&mut ring, owned(2));
    tick(&mut rig);
    let live = rig.engine.live_references();
    let element = live
        .iter()
        .find(|live| live.register == "destination element");
    assert_eq!(element.map(|live| live.start.raw()), Some(DATA + 0x2000));
}

#[test]
fn unmapped_ring_stops_and_is_polled_no_more() {
    let mut rig = Rig::new();
    rig.bus.map(RING, 1, Permit::Nothing);
    rig.write_64(register(0, CH_RING_BASE), 0x90_0000);
    rig.write_64(register(0, CH_COMPLETION_BASE), 0x90_1000);
    rig.write_32(register(0, CH_RING_ENTRIES), 4);
    rig.write_32(register(0, CH_RING_CONTROL), RING_ENABLE | RING_PREFETCH);
    rig.settle();
    assert_eq!(
        rig.read_32(register(0, CH_RING_STATUS)),
        DMA_STATUS_UNMAPPED.into()
    );
    assert_eq!(rig.engine.next_tick(), None);
    assert_eq!(rig.records().len(), 1, "a poll that fails is recorded");
}
