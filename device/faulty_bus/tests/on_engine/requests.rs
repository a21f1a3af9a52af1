//! Effects on whole requests, descriptor fetches and completion entries.

use crate::support::{Rig, rule};
use dmarig_abi::completion::*;
use dmarig_abi::descriptor::*;
use faulty_bus::Notice;

#[test]
fn descriptor_fetch_that_fails_stops_the_ring_and_says_so() {
    for (effect, status) in [
        ("unsupported-request", DMA_STATUS_UNSUPPORTED_REQUEST),
        ("completion-timeout", DMA_STATUS_TIMEOUT),
        ("poison", DMA_STATUS_POISONED),
    ] {
        let mut rig = Rig::new(&rule(
            "descriptor-fetch",
            &format!(" = \"{effect}\""),
            "nth = 2",
        ));
        rig.ring(3);
        rig.settle();
        assert_eq!(rig.entry(0).status, DMA_STATUS_SUCCESS);
        assert_eq!(rig.entry(1), CompletionEntry::default());
        let last = rig.records.last().expect("records");
        assert_eq!(last.status, status);
        assert_eq!(rig.interrupts, 2, "the driver is told");
    }
}

#[test]
fn descriptor_with_a_flipped_bit_is_another_descriptor() {
    // The lowest bit of the tag.
    let tag_bit = 8 * std::mem::offset_of!(Descriptor, tag);
    let rules = rule(
        "descriptor-fetch",
        &format!(".flip-bit.bit = {tag_bit}"),
        "times = 1",
    );
    let mut rig = Rig::new(&rules);
    rig.ring(1);
    rig.settle();
    assert_eq!(rig.entry(0).tag, 0x101);
}

#[test]
fn torn_entry_has_its_second_half_later() {
    let rules = rule(
        "completion-entry",
        ".torn = { bytes = 8, microseconds = 500 }",
        "times = 1",
    );
    let mut rig = Rig::new(&rules);
    rig.ring(1);
    rig.work();
    let torn = rig.entry(0);
    assert_eq!((torn.tag, torn.status, torn.flags), (0x100, 0, 0));
    assert_eq!(rig.interrupts, 1, "the interrupt does not wait");
    rig.settle();
    assert_eq!(rig.entry(0).status, DMA_STATUS_SUCCESS);
    assert_eq!(rig.now.as_micros(), 500);
}

#[test]
fn entry_changes_as_often_as_told_after_its_interrupt() {
    let status_bit = 8 * std::mem::offset_of!(CompletionEntry, status);
    let effect = format!(".mutate = {{ times = 3, microseconds = 100, bit = {status_bit} }}");
    let mut rig = Rig::new(&rule("completion-entry", &effect, "times = 1"));
    rig.ring(1);
    rig.work();
    assert_eq!(
        (rig.entry(0).status, rig.interrupts),
        (DMA_STATUS_SUCCESS, 1)
    );
    let mut seen = Vec::new();
    while let Some(tick) = rig.faults.next_tick() {
        rig.now = tick;
        rig.work();
        seen.push((tick.as_micros(), rig.entry(0).status));
    }
    assert_eq!(seen, [(100, 0), (200, 1), (300, 0)]);
}

#[test]
fn reordered_entry_comes_behind_the_next_one() {
    let mut rig = Rig::new(&rule("completion-entry", " = \"reorder\"", "times = 1"));
    rig.ring(2);
    rig.settle();
    let entries: Vec<_> = rig
        .bus
        .writes
        .iter()
        .filter(|write| write.0 >= 0x5000)
        .collect();
    assert_eq!(entries, [&(0x5000, 64), &(0x5040, 64)]);
    // The payload of the second request overtook the first entry.
    let order: Vec<_> = rig.bus.writes.iter().map(|write| write.0).collect();
    assert_eq!(order, [0x2000, 0x2040, 0x5000, 0x5040]);
}

#[test]
fn dropped_entry_never_comes_and_its_interrupt_does() {
    let mut rig = Rig::new(&rule("completion-entry", " = \"drop\"", "times = 1"));
    rig.ring(2);
    rig.settle();
    assert_eq!(rig.entry(0), CompletionEntry::default());
    assert_eq!((rig.entry(1).tag, rig.interrupts), (0x101, 2));
}

#[test]
fn early_interrupt_comes_before_entry_and_result() {
    let rules = rule(
        "completion-entry",
        ".early-interrupt.microseconds = 50",
        "times = 1",
    );
    let mut rig = Rig::new(&rules);
    rig.ring(1);
    rig.work();
    assert_eq!((rig.entry(0).tag, rig.interrupts), (0, 1));
    rig.settle();
    assert_eq!(
        (rig.entry(0).tag, rig.interrupts),
        (0x100, 1),
        "and not once more"
    );

    let mut rig = Rig::new(&rule("payload", ".early-interrupt.microseconds = 50", ""));
    rig.command(DMA_OP_FILL, DESCRIPTOR_FLAG_INTERRUPT, 0, 0x2000, 64);
    rig.work();
    assert_eq!((rig.records.len(), rig.interrupts), (0, 1));
    rig.settle();
    assert_eq!(
        (rig.record().status, rig.interrupts),
        (DMA_STATUS_SUCCESS, 1)
    );
}

#[test]
fn spurious_interrupt_and_lost_link_are_left_to_the_device() {
    for (effect, notice) in [
        (
            ".spurious-interrupt.vector = 3",
            Notice::SpuriousInterrupt { vector: 3 },
        ),
        (
            ".link-down.microseconds = 9",
            Notice::LinkDown {
                microseconds: Some(9),
            },
        ),
        (
            " = \"surprise-removal\"",
            Notice::LinkDown { microseconds: None },
        ),
    ] {
        let mut rig = Rig::new(&rule("payload", effect, "nth = 2"));
        rig.ring(2);
        rig.work();
        assert_eq!(rig.notices, [notice]);
        let has_ended = rig.entry(1).tag == 0x101;
        assert_eq!(has_ended, effect.contains("spurious"));
    }
}

#[test]
fn whole_requests_are_cut_dropped_and_changed_where_told() {
    let mut rig = Rig::new(&rule("payload", ".short.bytes = 300", ""));
    rig.command(DMA_OP_CRC, 0, 0x1000, 0, 0x1000);
    rig.settle();
    let record = rig.record();
    assert_eq!(
        (record.status, record.done_bytes),
        (DMA_STATUS_TIMEOUT, 300)
    );

    let mut rig = Rig::new(&rule("payload", " = \"drop\"", ""));
    rig.command(DMA_OP_FILL, 0, 0, 0x2000, 0x1000);
    rig.settle();
    assert_eq!(rig.record().status, DMA_STATUS_SUCCESS);
    assert!(!rig.bus.memory[0x2000..0x3000].contains(&0xab));

    let mut rig = Rig::new(&rule("payload", ".flip-bit.bit = 24000", ""));
    rig.command(DMA_OP_COPY, 0, 0x1000, 0x2000, 0x1000);
    rig.settle();
    let (from, to) = (
        &rig.bus.memory[0x1000..0x2000],
        &rig.bus.memory[0x2000..0x3000],
    );
    let wrong: Vec<_> = (0..0x1000).filter(|at| from[*at] != to[*at]).collect();
    assert_eq!(wrong, [3000]);
}

#[test]
fn point_is_counted_once_a_request_by_what_it_is_for() {
    let text = ["descriptor-fetch", "payload", "completion-entry"]
        .map(|point| {
            format!(
                "[[rule]]\nname = \"{point}\"\nevent = \"{point}\"\nnth = 99\neffect = \"hang\"\n"
            )
        })
        .concat();
    let mut rig = Rig::new(&text);
    rig.injector.start_census();
    rig.ring(3);
    rig.settle();
    let hits: Vec<_> = rig
        .injector
        .status()
        .iter()
        .map(|rule| rule.hits())
        .collect();
    assert_eq!(hits, [3, 3, 3]);
    let counts: Vec<_> = rig.injector.census().expect("begun above").iter().collect();
    let counts: Vec<_> = counts
        .iter()
        .map(|count| (count.point.name(), count.channel, count.hits))
        .collect();
    assert_eq!(
        counts,
        [
            ("translate", Some(0), 9),
            ("dma-read", Some(0), 3),
            ("dma-write", Some(0), 6),
            ("descriptor-fetch", Some(0), 3),
            ("payload", Some(0), 3),
            ("completion-entry", Some(0), 3),
        ]
    );
}
