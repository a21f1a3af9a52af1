//! What a person reads.

use super::*;
use crate::event::{FindingRecord, Mode, PeakMemory};

fn shown(events: Vec<Event>) -> String {
    let mut bytes = Vec::new();
    let mut report = HumanReport::plain(&mut bytes);
    for event in events {
        report
            .record(&Record { time_ms: 0, event })
            .expect("written");
    }
    String::from_utf8(bytes).expect("text")
}

fn case(id: &str, verdict: Verdict) -> Event {
    Event::CaseEnded(CaseResult {
        boot: 1,
        id: id.into(),
        rule: "CM-9".into(),
        title: "64 scattered pages are contiguous for the device".into(),
        remapping: Mode::On,
        verdict,
        duration_ms: 3.25,
        observations: Vec::new(),
        buffer_history: None,
    })
}

#[test]
fn red_case_names_rule_buffer_address_and_both_bytes() {
    let finding = FindingRecord {
        view: "device".into(),
        what: "the device reads the buffer".into(),
        buffer: Some("scattered MDL 3".into()),
        logical_address: Some("0x100001003".into()),
        expected: "byte 0x12 at offset 0x3".into(),
        seen: "0x13".into(),
    };
    let findings = vec![finding];
    insta::assert_snapshot!(shown(vec![
        case("CM-9/scattered-mapped", Verdict::Passed),
        case("CM-9/scattered-mapped", Verdict::Failed { findings }),
        case(
            "CM-9/x",
            Verdict::Broken {
                reason: "bug check 0xe6\nat dmarig.sys+0x12".into()
            }
        ),
        case(
            "CM-9/y",
            Verdict::Skipped {
                reason: "no scattered pages".into()
            }
        ),
        case(
            "CM-9/z",
            Verdict::NotRun {
                reason: "the guest ended".into()
            }
        ),
        Event::BootEnded {
            boot: 1,
            how: BootEnding::BugCheck,
            detail: "told at its case".into()
        },
        Event::RunEnded(Summary {
            passed: 1,
            failed: 2,
            skipped: 1,
            boots: 2,
            first_verdict_ms: Some(312),
            total_ms: Some(2005),
            peak_memory: PeakMemory {
                qemu_kib: Some(98_000),
                device_kib: Some(6_400),
            },
            exit_code: 1,
            problems: vec!["the guest stopped with bug check 0xe6".into()],
            ..Summary::default()
        }),
    ]));
}

#[test]
fn sabotage_that_never_struck_is_told() {
    let event = |struck| Event::Sabotage {
        boot: 1,
        name: "device-flip-bit".into(),
        device: Some("dut1".into()),
        struck,
    };
    assert!(shown(vec![event(0)]).contains("never struck on dut1"));
    assert_eq!(shown(vec![event(3)]), "");
}

#[test]
fn color_goes_round_the_verdict_alone() {
    assert_eq!(
        Paint(true).paint(Color::Red, "FAIL"),
        "\u{1b}[31mFAIL\u{1b}[0m"
    );
    assert_eq!(Paint(false).paint(Color::Red, "FAIL"), "FAIL");
}
