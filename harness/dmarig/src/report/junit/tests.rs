//! The file's content, and its survival.

use super::*;
use crate::event::{Mode, Summary};

fn result(id: &str, remapping: Mode, verdict: Verdict) -> Record {
    Record {
        time_ms: 1500,
        event: Event::CaseEnded(CaseResult {
            boot: 1,
            id: id.into(),
            rule: "CM-1".into(),
            title: "what it does".into(),
            remapping,
            verdict,
            duration_ms: 12.5,
            observations: vec!["status 0xc00000bb".into()],
            buffer_history: None,
        }),
    }
}

fn finding() -> FindingRecord {
    FindingRecord {
        view: "device".into(),
        what: "the device reads <&> it back".into(),
        buffer: Some("pool MDL 1".into()),
        logical_address: Some("0x1_0000_1000".into()),
        expected: "byte 0x12 at offset 0x3".into(),
        seen: "0x\u{1b}13".into(),
    }
}

#[test]
fn every_verdict_has_its_form() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("junit.xml");
    let mut report = JunitReport::new(&path);
    let failed = Verdict::Failed {
        findings: vec![finding(), finding()],
    };
    let text = |reason: &str| reason.to_owned();
    let records = [
        result("CM-1/a", Mode::On, Verdict::Passed),
        result("CM-1/b", Mode::On, failed),
        result(
            "CM-1/c",
            Mode::Off,
            Verdict::Broken {
                reason: text("bug check 0xe6"),
            },
        ),
        result("CM-1/d", Mode::Off, Verdict::Skipped { reason: text("no") }),
        result(
            "CM-1/e",
            Mode::Off,
            Verdict::NotRun {
                reason: text("guest gone"),
            },
        ),
        Record {
            time_ms: 2000,
            event: Event::RunEnded(Summary::default()),
        },
    ];
    for record in &records {
        report.record(record).expect("written");
    }
    insta::assert_snapshot!(fs::read_to_string(&path).expect("there"));
}

#[test]
fn file_is_whole_whenever_it_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("junit.xml");
    let mut report = JunitReport::new(&path);
    let mut names_after = |id: &str, time_ms| {
        let mut record = result(id, Mode::On, Verdict::Passed);
        record.time_ms = time_ms;
        report.record(&record).expect("written");
        let text = fs::read_to_string(&path).expect("there");
        assert!(text.ends_with("</testsuites>\n"), "{text}");
        text.matches("<testcase ").count()
    };
    assert_eq!(names_after("a", 100), 1);
    assert_eq!(names_after("b", 200), 1, "too soon to write again");
    assert_eq!(names_after("c", 1100), 3);
}

#[test]
fn folder_that_is_gone_is_an_error() {
    let mut report = JunitReport::new(Path::new("/nonexistent/junit.xml"));
    let error = report
        .record(&result("a", Mode::On, Verdict::Passed))
        .expect_err("nowhere to write");
    assert_eq!(error.to_string(), "cannot write /nonexistent/junit.xml");
}
