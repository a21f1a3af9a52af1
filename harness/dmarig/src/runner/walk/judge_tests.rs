//! Each verdict from what was seen, and how a verdict turns when one thing is otherwise.

use std::collections::BTreeSet;
use std::time::Duration;

use contract::Finding;
use qemu::console::GuestEvent;

use super::super::super::ending::Ending;
use super::super::point_log::TrialCase;
use super::*;
use crate::event::FindingRecord;

const STRUCK: &str = r#"{"event":"call-failed","routine":"A","location":"d.sys+0x1"}"#;
const NO_LEAKS: &str = r#"{"event":"leaks","mdls":"0x0"}"#;

fn finding(view: &'static str, seen: &str) -> Finding {
    Finding {
        view,
        what: "AllocateCommonBuffer".into(),
        buffer: None,
        logical_address: None,
        expected: "success".into(),
        seen: seen.into(),
    }
}

fn case(findings: Vec<Finding>) -> TrialCase {
    let outcome = if findings.is_empty() {
        CaseOutcome::Passed
    } else {
        CaseOutcome::Failed(findings)
    };
    TrialCase {
        outcome,
        refusals: BTreeSet::from(["NULL".to_owned()]),
    }
}

/// A point whose cases were these.
fn point(cases: Vec<TrialCase>) -> Vec<PointLog> {
    vec![PointLog {
        strikes: 0,
        n_cases: 2,
        cases,
    }]
}

/// A trial in which the driver reports the failure and works afterwards.
fn sound() -> Trial {
    Trial {
        ending: Ending::new(BootEnding::Clean, "done"),
        guest: guest(&[STRUCK, NO_LEAKS]),
        points: point(vec![
            case(vec![finding("driver", "NULL")]),
            case(Vec::new()),
        ]),
        strikes_of_start: 0,
        is_of_start: false,
        is_of_enumeration: false,
        early_findings: Vec::new(),
        unload: Some(Verdict::Passed),
        duration: Duration::ZERO,
    }
}

fn guest(lines: &[&str]) -> Vec<GuestEventKind> {
    lines
        .iter()
        .map(|line| GuestEvent::parse(line).kind)
        .collect()
}

fn check(trial: &Trial, verdict: WalkVerdict, words: &str) {
    let (seen, detail) = judge(trial).expect("a verdict");
    assert_eq!(seen, verdict, "{detail}");
    assert!(detail.contains(words), "{detail}");
}

#[test]
fn reported_failure_and_a_case_that_passes_afterwards_is_survived() {
    check(
        &sound(),
        WalkVerdict::Survived,
        "reported: AllocateCommonBuffer: NULL",
    );
    let went_on = Trial {
        points: point(vec![case(Vec::new()), case(Vec::new())]),
        ..sound()
    };
    check(&went_on, WalkVerdict::Survived, "went on");
}

#[test]
fn failure_that_another_view_shows_is_detected() {
    for other in [finding("iommu", "NULL"), finding("driver", "byte 0xa2")] {
        let trial = Trial {
            points: point(vec![case(vec![other]), case(Vec::new())]),
            ..sound()
        };
        check(&trial, WalkVerdict::Detected, "AllocateCommonBuffer");
    }
    let both = vec![finding("driver", "NULL"), finding("iommu", "1 page left")];
    let trial = Trial {
        points: point(vec![case(both), case(Vec::new())]),
        ..sound()
    };
    check(&trial, WalkVerdict::Detected, "1 page left");
}

#[test]
fn driver_that_does_not_work_afterwards_is_unusable() {
    let trial = Trial {
        points: point(vec![
            case(Vec::new()),
            case(vec![finding("driver", "NULL")]),
        ]),
        ..sound()
    };
    check(&trial, WalkVerdict::Unusable, "fails without a fault, too");
}

#[test]
fn device_that_the_platform_knows_wrongly_does_not_speak_against_the_driver() {
    let trial = Trial {
        points: point(vec![
            case(Vec::new()),
            case(vec![finding("driver", "NULL")]),
        ]),
        is_of_enumeration: true,
        ..sound()
    };
    check(&trial, WalkVerdict::Detected, "fails without a fault, too");
    let none = Trial {
        points: Vec::new(),
        ..trial
    };
    check(&none, WalkVerdict::Survived, "no device was found");
    let dead = Trial {
        ending: Ending::new(BootEnding::QemuDied, "it died"),
        is_of_start: true,
        ..none
    };
    check(&dead, WalkVerdict::Broken, "it died");
    let silent = Trial {
        guest: Vec::new(),
        ..dead
    };
    check(&silent, WalkVerdict::Detected, "it died");
}

#[test]
fn what_is_left_allocated_is_leaked() {
    let trial = Trial {
        guest: guest(&[STRUCK, r#"{"event":"leaks","mdls":"0x2"}"#]),
        ..sound()
    };
    check(&trial, WalkVerdict::Leaked, "2 mdls");
}

#[test]
fn findings_of_guest_and_unload_are_detected() {
    let early = Trial {
        early_findings: vec!["irp-pending-rule: x".into()],
        ..sound()
    };
    check(&early, WalkVerdict::Detected, "irp-pending-rule");
    let record = FindingRecord::from(&finding("ledger", "dangling"));
    let unload = Trial {
        unload: Some(Verdict::Failed {
            findings: vec![record],
        }),
        ..sound()
    };
    check(&unload, WalkVerdict::Detected, "dangling");
}

#[test]
fn refusal_to_start_is_survived_unless_something_is_left() {
    let refused = r#"{"event":"pnp","device":"dut0","irp":"AddDevice","status":"0xc000009a"}"#;
    let trial = Trial {
        guest: guest(&[STRUCK, refused, NO_LEAKS]),
        points: Vec::new(),
        ..sound()
    };
    check(
        &trial,
        WalkVerdict::Survived,
        "AddDevice of dut0 ended with 0xc000009a",
    );
    let entry = r#"{"event":"pnp","device":"","irp":"DriverEntry","status":"0xc000009a"}"#;
    let goodbye = r#"{"event":"goodbye","reason":"DriverEntry failed"}"#;
    let left = r#"{"event":"leaks","pool_bytes":"0x20"}"#;
    let no_driver = |leaks| Trial {
        ending: Ending::new(BootEnding::GuestFailed, "shut down unasked"),
        guest: guest(&[STRUCK, entry, leaks, goodbye]),
        points: Vec::new(),
        unload: None,
        ..sound()
    };
    check(
        &no_driver(NO_LEAKS),
        WalkVerdict::Survived,
        "DriverEntry ended with",
    );
    check(&no_driver(left), WalkVerdict::Leaked, "32 pool bytes");
}

#[test]
fn endings_of_the_boot_have_their_verdict() {
    let ended = |how| Trial {
        ending: Ending::new(how, "it ended"),
        ..sound()
    };
    check(
        &ended(BootEnding::BugCheck),
        WalkVerdict::BugChecked,
        "it ended",
    );
    check(
        &ended(BootEnding::GuestFailed),
        WalkVerdict::BugChecked,
        "it ended",
    );
    check(&ended(BootEnding::GuestHung), WalkVerdict::Hung, "it ended");
    check(
        &ended(BootEnding::QemuDied),
        WalkVerdict::Broken,
        "it ended",
    );
    assert_eq!(judge(&ended(BootEnding::Interrupted)), None);
    let panic = Trial {
        guest: guest(&[r#"{"event":"panic","message":"x"}"#]),
        ..ended(BootEnding::GuestFailed)
    };
    check(&panic, WalkVerdict::Broken, "it ended");
}

#[test]
fn fault_that_does_not_strike_shows_nothing() {
    let trial = Trial {
        guest: guest(&[NO_LEAKS]),
        ..sound()
    };
    let mut by_the_device = trial.clone();
    by_the_device.points[0].strikes = 1;
    check(&by_the_device, WalkVerdict::Survived, "reported");
    check(&trial, WalkVerdict::Missed, "not reached again");
}
