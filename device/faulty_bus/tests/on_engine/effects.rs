//! Each effect on each path: the status, what arrived, and the same without the rule.

use crate::support::{Rig, STALE_BYTE, UNMAPPED, rule};
use dmarig_abi::completion::*;
use dmarig_abi::descriptor::*;
use faulty_bus::{BusError, Notice};

const MAPPED: u16 = 0;
const BY_MESSAGE: u16 = DESCRIPTOR_FLAG_MESSAGE;
const LEN: u64 = 0x1000;

/// Reads a page by `DMA_OP_CRC`: the status and the bytes done.
fn read(rules: &str, flags: u16) -> (u16, u64, Rig) {
    let mut rig = Rig::new(rules);
    rig.command(DMA_OP_CRC, flags, 0x1000, 0, LEN);
    rig.settle();
    let (status, done) = (rig.record().status, rig.record().done_bytes);
    (status, done, rig)
}

/// Fills a page with `0xab`.
fn fill(rules: &str, flags: u16) -> (u16, Rig) {
    let mut rig = Rig::new(rules);
    rig.command(DMA_OP_FILL, flags, 0, 0x2000, LEN);
    rig.settle();
    (rig.record().status, rig)
}

#[test]
fn nth_read_tlp_ends_as_the_rule_says_on_both_paths() {
    for flags in [MAPPED, BY_MESSAGE] {
        for (effect, status, error) in [
            (
                "unsupported-request",
                DMA_STATUS_UNSUPPORTED_REQUEST,
                BusError::UnsupportedRequest,
            ),
            (
                "completer-abort",
                DMA_STATUS_COMPLETER_ABORT,
                BusError::CompleterAbort,
            ),
            (
                "completion-timeout",
                DMA_STATUS_TIMEOUT,
                BusError::CompletionTimeout,
            ),
            ("poison", DMA_STATUS_POISONED, BusError::PoisonedTlp),
        ] {
            let rules = rule(
                "dma-read",
                &format!(" = \"{effect}\""),
                "nth = 3\ntimes = 1",
            );
            let (seen, done, rig) = read(&rules, flags);
            assert_eq!((seen, done), (status, 2 * 512), "{effect} {flags:#x}");
            let iova = dmarig_abi::Iova::new(0x1400);
            assert_eq!(rig.notices, [Notice::Error { error, iova }]);
            assert_eq!(rig.injector.status()[0].fired(), 1);
        }
        assert_eq!(read("", flags).0, DMA_STATUS_SUCCESS);
    }
}

#[test]
fn refused_translation_is_a_refusal_although_mapped() {
    for flags in [MAPPED, BY_MESSAGE] {
        let (status, done, rig) = read(&rule("translate", " = \"iommu-fault\"", "nth = 2"), flags);
        assert_eq!((status, done), (DMA_STATUS_REFUSED, 512));
        assert_eq!(rig.record().fault_iova.map(|iova| iova.raw()), Some(0x1200));
    }
}

#[test]
fn flipped_bit_changes_one_byte_on_both_paths_and_directions() {
    for flags in [MAPPED, BY_MESSAGE] {
        let rules = rule("dma-write", ".flip-bit.bit = 9", "nth = 2\ntimes = 1");
        let (status, rig) = fill(&rules, flags);
        assert_eq!(status, DMA_STATUS_SUCCESS, "the device does not notice");
        let wrong: Vec<_> = (0x2000..0x3000)
            .filter(|at| rig.bus.memory[*at] != 0xab)
            .collect();
        assert_eq!(wrong, [0x2101]);
        assert_eq!(rig.bus.memory[0x2101], 0xab ^ 2);

        let rules = rule("dma-read", ".flip-bit.bit = 0", "nth = 1\ntimes = 1");
        let clean = read("", flags).2.record().crc32c;
        assert_ne!(read(&rules, flags).2.record().crc32c, clean);
    }
}

#[test]
fn short_read_ends_with_a_time_out_and_short_write_is_not_noticed() {
    let rules = rule("dma-read", ".short.bytes = 100", "nth = 2");
    let (status, done, _) = read(&rules, MAPPED);
    assert_eq!((status, done), (DMA_STATUS_TIMEOUT, 512 + 100));
    // A message brings all its bytes or none.
    let (status, done, _) = read(&rules, BY_MESSAGE);
    assert_eq!((status, done), (DMA_STATUS_TIMEOUT, 512));
    for flags in [MAPPED, BY_MESSAGE] {
        let (status, rig) = fill(
            &rule("dma-write", ".short.bytes = 8", "nth = 2\ntimes = 1"),
            flags,
        );
        assert_eq!(status, DMA_STATUS_SUCCESS);
        assert_eq!(rig.bus.memory[0x2107], 0xab);
        assert_eq!(rig.bus.memory[0x2108], 0x21);
        assert_eq!(rig.bus.memory[0x2200], 0xab);
    }
}

#[test]
fn dropped_write_is_claimed_and_not_made() {
    for flags in [MAPPED, BY_MESSAGE] {
        let (status, rig) = fill(
            &rule("dma-write", " = \"drop\"", "nth = 2\ntimes = 1"),
            flags,
        );
        assert_eq!((status, rig.record().done_bytes), (DMA_STATUS_SUCCESS, LEN));
        let kept: Vec<_> = (0x2000..0x3000)
            .filter(|at| rig.bus.memory[*at] != 0xab)
            .collect();
        assert_eq!(kept, (0x2100..0x2200).collect::<Vec<_>>());
    }
}

#[test]
fn duplicate_comes_again_behind_the_next_write_and_reordered_write_behind_it() {
    for flags in [MAPPED, BY_MESSAGE] {
        for (effect, expected) in [
            ("duplicate", vec![0x2000, 0x2100, 0x2200, 0x2100]),
            ("reorder", vec![0x2000, 0x2200, 0x2100, 0x2300]),
        ] {
            let rules = rule(
                "dma-write",
                &format!(" = \"{effect}\""),
                "nth = 2\ntimes = 1",
            );
            let (status, rig) = fill(&rules, flags);
            assert_eq!(status, DMA_STATUS_SUCCESS);
            // What went by other ways than single TLPs has other lengths.
            let order: Vec<_> = rig.bus.writes.iter().map(|write| write.0).collect();
            assert_eq!(order[..4], expected, "{effect} {flags:#x}");
            assert!(
                rig.bus.memory[0x2000..0x3000]
                    .iter()
                    .all(|byte| *byte == 0xab)
            );
        }
    }
}

#[test]
fn delayed_access_keeps_the_request_from_ending() {
    for (event, opcode) in [("dma-read", DMA_OP_CRC), ("dma-write", DMA_OP_FILL)] {
        for flags in [MAPPED, BY_MESSAGE] {
            let mut rig = Rig::new(&rule(
                event,
                ".delay.microseconds = 700",
                "nth = 2\ntimes = 1",
            ));
            rig.command(
                opcode,
                flags | DESCRIPTOR_FLAG_INTERRUPT,
                0x1000,
                0x2000,
                LEN,
            );
            rig.work();
            assert!(
                rig.records.is_empty() && rig.interrupts == 0,
                "{event} {flags:#x}"
            );
            let due = rig.faults.next_tick().expect("something is due");
            assert_eq!(due.as_micros(), 700);
            rig.settle();
            assert_eq!(rig.record().status, DMA_STATUS_SUCCESS);
            assert_eq!(rig.interrupts, 1);
        }
    }
}

#[test]
fn hung_request_ends_with_the_reset_alone() {
    for flags in [MAPPED, BY_MESSAGE] {
        let mut rig = Rig::new(&rule("payload", " = \"hang\"", "times = 1"));
        rig.command(DMA_OP_CRC, flags, 0x1000, 0, LEN);
        rig.settle();
        assert!(rig.records.is_empty());
        rig.engine.reset(1);
        rig.faults.reset();
        rig.settle();
        assert_eq!(rig.record().status, DMA_STATUS_ABORTED);
        rig.records.clear();
        rig.command(DMA_OP_CRC, flags, 0x1000, 0, LEN);
        rig.settle();
        assert_eq!(
            rig.record().status,
            DMA_STATUS_SUCCESS,
            "the channel lives again"
        );
    }
}

#[test]
fn unmapped_access_is_allowed_and_told_as_a_fall_back() {
    let rules = rule("translate", " = \"allow-unmapped\"", "");
    for (rules, status) in [
        (rules.as_str(), DMA_STATUS_SUCCESS),
        ("", DMA_STATUS_UNMAPPED),
    ] {
        let mut rig = Rig::new(rules);
        rig.command(DMA_OP_FILL, MAPPED, 0, UNMAPPED, 64);
        rig.settle();
        assert_eq!(rig.record().status, status);
        let has_fallen_back = rig.record().fallback.is_some();
        assert_eq!(has_fallen_back, status == DMA_STATUS_SUCCESS);
    }
}

#[test]
fn stale_translation_reads_other_memory() {
    for flags in [MAPPED, BY_MESSAGE] {
        let mut rig = Rig::new(&rule("translate", " = \"stale-translation\"", "times = 1"));
        rig.bus.has_stale = true;
        rig.command(DMA_OP_COPY, flags, 0x1000, 0x2000, 512);
        rig.settle();
        assert_eq!(rig.record().status, DMA_STATUS_SUCCESS);
        assert!(
            rig.bus.memory[0x2000..0x2100]
                .iter()
                .all(|byte| *byte == STALE_BYTE)
        );
    }
}

#[test]
fn access_that_finds_no_room_counts_once() {
    let mut rig = Rig::new(&rule("dma-read", " = \"poison\"", "nth = 1000"));
    rig.bus.room = 1;
    rig.command(DMA_OP_CRC, BY_MESSAGE, 0x1000, 0, LEN);
    rig.settle();
    assert_eq!(rig.record().status, DMA_STATUS_SUCCESS);
    assert_eq!(rig.injector.status()[0].hits(), LEN / 512);
}

#[test]
fn tlps_are_cut_only_where_a_rule_looks_and_counted_alike_on_both_paths() {
    let elsewhere = rule(
        "dma-read",
        " = \"poison\"",
        "match.iova.min = 0x8000\noptional = true",
    );
    let (_, _, rig) = read(&elsewhere, MAPPED);
    assert_eq!(rig.bus.reads, [(0x1000, 0x1000)], "one copy");
    for (from, len) in [(0x1000, 0x1000), (0x11f0, 0x420), (0x3, 0x8801)] {
        let hits = [MAPPED, BY_MESSAGE].map(|flags| {
            let mut rig = Rig::new(&rule("dma-read", " = \"poison\"", "nth = 100000"));
            rig.command(DMA_OP_CRC, flags, from, 0, len);
            rig.settle();
            rig.injector.status()[0].hits()
        });
        let tlps = (from + len).div_ceil(512) - from / 512;
        assert_eq!(hits, [tlps; 2], "{from:#x} {len:#x}");
    }
}

#[test]
fn copy_is_cut_on_both_sides_and_each_tlp_counts_once() {
    let both = "[[rule]]\nname = \"r\"\nevent = \"dma-read\"\nnth = 9999\neffect = \"poison\"\n\
         [[rule]]\nname = \"w\"\nevent = \"dma-write\"\nnth = 9999\neffect = \"drop\"\n\
         [[rule]]\nname = \"t\"\nevent = \"translate\"\nnth = 9999\neffect = \"iommu-fault\"\n";
    for flags in [MAPPED, BY_MESSAGE] {
        let mut rig = Rig::new(both);
        rig.command(DMA_OP_COPY, flags, 0x1000, 0x2000, LEN);
        rig.settle();
        assert_eq!(rig.record().status, DMA_STATUS_SUCCESS);
        let hits: Vec<_> = rig
            .injector
            .status()
            .iter()
            .map(|rule| rule.hits())
            .collect();
        assert_eq!(hits, [8, 16, 24], "{flags:#x}");
    }
}
