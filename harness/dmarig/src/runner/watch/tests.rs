//! The state machine of a boot, driven without processes and without waiting.

use std::os::unix::process::ExitStatusExt;
use std::sync::mpsc::{Receiver, sync_channel};

use contract::{RigError, SUITES};
use qemu::process::StderrRecord;

use super::*;
use crate::event::Summary;
use crate::report::Reports;

const LIMIT: Duration = Duration::from_secs(60);

struct Bed {
    journal: Journal,
    pending: VecDeque<&'static Case>,
    now: Instant,
}

impl Bed {
    fn new() -> Self {
        Self {
            journal: Journal::new(Reports::default()),
            pending: SUITES[0].cases().take(2).collect(),
            now: Instant::now(),
        }
    }

    fn watch(&mut self) -> (Watch<'_>, Receiver<Notice>) {
        let (notices, noticed) = sync_channel(1);
        let watch = Watch::new(
            &mut self.journal,
            1,
            Remapping::On,
            LIMIT,
            &mut self.pending,
            notices,
            self.now,
        );
        (watch, noticed)
    }
}

fn exited(code: i32) -> ExitStatus {
    ExitStatus::from_raw(code << 8)
}

fn guest(json: &str) -> Happening {
    Happening::Console(ConsoleLine::Event(GuestEvent::parse(json)))
}

fn passed() -> Happening {
    ended(
        Ok(CaseReport {
            outcome: CaseOutcome::Passed,
            observations: Vec::new(),
        }),
        None,
    )
}

fn ended(report: Result<CaseReport, RigError>, trouble: Option<Trouble>) -> Happening {
    Happening::Worker(WorkerReport::CaseEnded {
        report,
        trouble,
        duration: Duration::from_millis(3),
    })
}

fn how(over: Option<Over>) -> Option<BootEnding> {
    match over {
        Some(Over::Ending(ending)) => Some(ending.how),
        _ => None,
    }
}

const STARTED: Happening = Happening::Worker(WorkerReport::CaseStarted);
const DONE: Happening = Happening::Worker(WorkerReport::Done);
const BUG_CHECK: &str = r#"{"event":"bugcheck","code":"0xe6","parameters":["0x1","0x0","0x0","0x0"],"location":"a.sys+0x1"}"#;

#[test]
fn work_done_ends_the_loop_with_a_verdict_for_each_case() {
    let mut bed = Bed::new();
    let now = bed.now;
    let (mut watch, _noticed) = bed.watch();
    for happening in [STARTED, passed(), STARTED, passed()] {
        watch.take(happening, now);
        assert_eq!(watch.over(now, None), None);
    }
    watch.take(DONE, now);
    assert_eq!(watch.over(now, None), Some(Over::WorkDone));
    assert!(bed.pending.is_empty());
    assert_eq!(bed.journal.summary().passed, 2);
}

#[test]
fn bug_check_under_a_case_blames_that_case_and_leaves_the_next() {
    let mut bed = Bed::new();
    let now = bed.now;
    let (mut watch, _noticed) = bed.watch();
    watch.take(STARTED, now);
    watch.take(guest(BUG_CHECK), now);
    assert_eq!(watch.over(now, None), None, "QEMU has still to end");
    watch.take(Happening::QemuExited(exited(0x23)), now);
    assert_eq!(watch.over(now, None), None, "the console has still to end");
    watch.take(Happening::ConsoleEnded, now);
    assert_eq!(watch.over(now, None), Some(Over::Qemu(exited(0x23))));

    let words = watch.last_words().expect("said").clone();
    assert_eq!(watch.blame(&words, None, now), Culprit::Case);
    // What the worker says when everything was killed changes nothing.
    watch.take(
        ended(Err(RigError("closed".into())), Some(Trouble::Device)),
        now,
    );
    assert_eq!(bed.pending.len(), 1);
    assert_eq!(bed.journal.summary().failed, 1);
}

const FINDING: &str = r#"{"event":"finding","id":"pages-freed-twice","detail":"0x1000"}"#;
const GOODBYE: &str = r#"{"event":"goodbye","reason":"pages-freed-twice"}"#;

/// How a case that expects `stop` ends when the guest says `lines` and its machine then ends.
fn stopped(stop: Stop, lines: &[&str]) -> (Culprit, Summary) {
    let mut bed = Bed::new();
    let case = Case {
        stop: Some(stop),
        ..*bed.pending[0]
    };
    bed.pending[0] = Box::leak(Box::new(case));
    let now = bed.now;
    let (mut watch, _noticed) = bed.watch();
    watch.take(STARTED, now);
    for line in lines {
        watch.take(guest(line), now);
    }
    let status = exited(0x23);
    let ending = Ending::from_qemu_exit(status, watch.last_words(), &StderrRecord::default());
    let culprit = watch.blame(&ending, None, now);
    (culprit, bed.journal.summary().clone())
}

#[test]
fn stop_that_a_case_expects_is_its_success() {
    let bug_check = |parameter_1| Stop::BugCheck {
        code: 0xe6,
        parameter_1,
    };
    let (culprit, summary) = stopped(bug_check(1), &[BUG_CHECK]);
    assert_eq!((culprit, summary.passed), (Culprit::ExpectedStop, 1));
    let finding = Stop::Finding("pages-freed-twice");
    let (culprit, summary) = stopped(finding, &[FINDING, GOODBYE]);
    assert_eq!((culprit, summary.passed), (Culprit::ExpectedStop, 1));

    let others: [(Stop, &[&str]); 4] = [
        (bug_check(2), &[BUG_CHECK]),
        (finding, &[BUG_CHECK]),
        (bug_check(1), &[FINDING, GOODBYE]),
        // A finding that did not stop the guest is no stop.
        (finding, &[FINDING]),
    ];
    for (stop, lines) in others {
        let (culprit, summary) = stopped(stop, lines);
        assert_eq!((culprit, summary.failed), (Culprit::Case, 1), "{stop}");
    }
}

#[test]
fn case_that_expects_a_stop_and_comes_to_its_end_is_red() {
    let mut bed = Bed::new();
    let case = Case {
        stop: Some(Stop::Finding("pages-freed-twice")),
        ..*bed.pending[0]
    };
    bed.pending[0] = Box::leak(Box::new(case));
    let now = bed.now;
    let (mut watch, _noticed) = bed.watch();
    watch.take(STARTED, now);
    watch.take(passed(), now);
    assert_eq!(bed.journal.summary().failed, 1);
}

#[test]
fn guest_that_says_its_last_words_and_does_not_end_is_ended() {
    let mut bed = Bed::new();
    let now = bed.now;
    let (mut watch, _noticed) = bed.watch();
    watch.take(guest(BUG_CHECK), now);
    assert_eq!(
        how(watch.over(now + EXIT_GRACE, None)),
        Some(BootEnding::BugCheck)
    );
}

#[test]
fn case_beyond_its_limit_is_a_hang_that_names_it() {
    let mut bed = Bed::new();
    let (now, id) = (bed.now, bed.pending[0].id);
    let (mut watch, _noticed) = bed.watch();
    watch.take(STARTED, now);
    assert_eq!(watch.over(now + LIMIT / 2, None), None);
    let Some(Over::Ending(ending)) = watch.over(now + LIMIT, None) else {
        panic!("not over");
    };
    assert_eq!(ending.how, BootEnding::GuestHung);
    assert!(ending.detail.contains(id), "{}", ending.detail);
}

#[test]
fn trouble_waits_for_its_cause() {
    let mut bed = Bed::new();
    let now = bed.now;
    let (mut watch, _noticed) = bed.watch();
    watch.take(STARTED, now);
    watch.take(
        ended(Err(RigError("silent".into())), Some(Trouble::GuestSilent)),
        now,
    );
    watch.take(DONE, now);
    assert_eq!(watch.over(now, None), None);
    assert_eq!(
        how(watch.over(now + TROUBLE_GRACE, None)),
        Some(BootEnding::GuestHung)
    );
    // The cause comes meanwhile.
    watch.take(Happening::DeviceExited(exited(101)), now);
    assert_eq!(watch.over(now, None), Some(Over::Device(exited(101))));
}

#[test]
fn kinds_of_trouble_are_told_apart() {
    let check = |trouble, expected| {
        let mut bed = Bed::new();
        let now = bed.now;
        let (mut watch, _noticed) = bed.watch();
        watch.take(STARTED, now);
        watch.take(ended(Err(RigError("x".into())), Some(trouble)), now);
        assert_eq!(how(watch.over(now + TROUBLE_GRACE, None)), Some(expected));
    };
    check(Trouble::GuestSilent, BootEnding::GuestHung);
    check(Trouble::DriverBusy, BootEnding::GuestHung);
    check(Trouble::GuestBrokeProtocol, BootEnding::ProtocolBroken);
    check(Trouble::Device, BootEnding::DeviceDied);
    check(Trouble::Ours, BootEnding::DeviceDied);
    check(Trouble::Unfit, BootEnding::EnvironmentMissing);
}

#[test]
fn driver_that_does_not_come_is_told_with_the_console() {
    let mut bed = Bed::new();
    let now = bed.now;
    let (mut watch, _noticed) = bed.watch();
    watch.take(
        guest(
            r#"{"event":"missing-import","image":"a.sys","dll":"ntoskrnl.exe","name":"ZwDance"}"#,
        ),
        now,
    );
    let waited = Duration::from_secs(5);
    let error = SetUpError::NotAttached { waited };
    watch.take(Happening::Worker(WorkerReport::SetUpFailed(error)), now);
    let Some(Over::Ending(ending)) = watch.over(now + TROUBLE_GRACE, None) else {
        panic!("not over");
    };
    assert!(ending.detail.contains("ZwDance"), "{}", ending.detail);
    assert_eq!(watch.blame(&ending, None, now), Culprit::Nobody);
}

#[test]
fn signal_wins_and_the_running_case_counts_as_not_run() {
    let mut bed = Bed::new();
    let now = bed.now;
    let (mut watch, _noticed) = bed.watch();
    watch.take(STARTED, now);
    watch.take(Happening::DeviceExited(exited(0)), now);
    let over = watch.over(now, Some(Exit::Interrupted));
    assert_eq!(how(over), Some(BootEnding::Interrupted));
    let ending = Ending::new(BootEnding::Interrupted, "interrupted by a signal");
    watch.blame(&ending, None, now);
    assert_eq!(bed.journal.summary().not_run, 1);
}

#[test]
fn qemu_that_closes_the_console_and_stays_is_ended() {
    let mut bed = Bed::new();
    let now = bed.now;
    let (mut watch, _noticed) = bed.watch();
    watch.take(Happening::ConsoleEnded, now);
    assert_eq!(watch.over(now, None), None);
    assert_eq!(
        how(watch.over(now + EXIT_GRACE, None)),
        Some(BootEnding::QemuDied)
    );
}

#[test]
fn fault_reaches_the_case_and_a_flood_does_not_block() {
    let mut bed = Bed::new();
    let now = bed.now;
    let (mut watch, noticed) = bed.watch();
    let fault = r#"{"event":"vtd-fault","reason":"0x6","requester":"02:00.0","iova":"0x1000","access":"read"}"#;
    for _ in 0..3 {
        watch.take(guest(fault), now);
    }
    let Ok(Notice::Fault(fault)) = noticed.try_recv() else {
        panic!("no fault came");
    };
    assert_eq!((fault.reason, fault.is_write), (6, false));
    assert_eq!(fault.requester.to_string(), "02:00.0");
    assert_eq!(fault.page, Iova::new(0x1000));
}

#[test]
fn malformed_machine_line_is_a_finding() {
    for line in [
        "{",
        r#"{"event":"vtd-fault","reason":"0x6","requester":"zz","iova":"0x0","access":"read"}"#,
    ] {
        let mut bed = Bed::new();
        let now = bed.now;
        let (mut watch, noticed) = bed.watch();
        watch.take(guest(line), now);
        assert!(
            matches!(noticed.try_recv(), Ok(Notice::Finding(_))),
            "{line}"
        );
    }
}

#[test]
fn requester_is_read_in_both_forms() {
    let check = |text, expected: Option<&str>| {
        let found = parse_requester(text).map(|requester| requester.to_string());
        assert_eq!(found.as_deref(), expected, "{text}");
    };
    check("02:00.0", Some("02:00.0"));
    check("0x0200", Some("02:00.0"));
    for bad in [
        "", "2", "0x10000", "02:20.0", "02:00.8", "02:00", "100:00.0",
    ] {
        check(bad, None);
    }
}
