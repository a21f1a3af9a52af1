//! QMP against a fake QEMU at the other end of a socket pair.

use std::io::{BufRead, BufReader};
use std::thread;

use super::*;

pub(super) const GREETING: &str =
    r#"{"QMP":{"version":{"qemu":{"micro":3,"minor":1,"major":11}},"capabilities":[]}}"#;
pub(super) const LIMIT: Duration = Duration::from_secs(5);

/// Sends `first`, then one of `answers` for each line that comes, then closes.
pub(super) fn fake(first: &'static str, answers: &'static [&'static str]) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().expect("a socket pair");
    thread::spawn(move || {
        let mut output = theirs.try_clone().expect("cloned");
        let mut input = BufReader::new(theirs);
        let _ = writeln!(output, "{first}");
        for answer in answers {
            let mut line = String::new();
            if input.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let _ = writeln!(output, "{answer}");
        }
    });
    ours
}

pub(super) const OK: &str = r#"{"return":{}}"#;

#[test]
fn session_starts_and_knows_the_version() {
    let qmp = Qmp::start(fake(GREETING, &[OK]), LIMIT).expect("started");
    assert_eq!(qmp.version().to_string(), "11.1.3");
}

#[test]
fn old_qemu_is_refused_with_the_mend() {
    let old = r#"{"QMP":{"version":{"qemu":{"micro":0,"minor":2,"major":10}}}}"#;
    let error = Qmp::start(fake(old, &[]), LIMIT).expect_err("too old");
    assert!(matches!(error, QmpError::TooOld { .. }));
    assert!(error.to_string().contains("help: "));
}

#[test]
fn private_memory_is_refused() {
    let answers: &[&str] = &[OK, r#"{"return":[{"id":"ram","share":false}]}"#];
    let mut qmp = Qmp::start(fake(GREETING, answers), LIMIT).expect("started");
    let error = qmp.check_memory_is_shared().expect_err("private");
    assert!(matches!(error, QmpError::MemoryNotShared { id } if id == "ram"));
}

#[test]
fn event_before_the_answer_is_kept() {
    let answers: &[&str] = &[OK, "{\"event\":\"STOP\"}\n{\"return\":[{\"share\":true}]}"];
    let mut qmp = Qmp::start(fake(GREETING, answers), LIMIT).expect("started");
    qmp.check_memory_is_shared().expect("shared");
    assert_eq!(qmp.take_events(), [json!({"event": "STOP"})]);
}

#[test]
fn refusal_carries_the_words_of_qemu() {
    let answers: &[&str] = &[OK, r#"{"error":{"class":"X","desc":"no such thing"}}"#];
    let mut qmp = Qmp::start(fake(GREETING, answers), LIMIT).expect("started");
    let error = qmp.execute("dance", json!({})).expect_err("refused");
    assert_eq!(error.to_string(), "QEMU refused dance: no such thing");
}

#[test]
fn closed_connection_answers_quit() {
    let mut qmp = Qmp::start(fake(GREETING, &[OK]), LIMIT).expect("started");
    qmp.quit().expect("gone is what we wanted");
}

#[test]
fn nonsense_is_an_error() {
    for first in [
        "hello",
        "{}",
        r#"{"QMP":{"version":{"qemu":{"major":-1}}}}"#,
    ] {
        let error = Qmp::start(fake(first, &[]), LIMIT).expect_err("nonsense");
        assert!(matches!(error, QmpError::Malformed { .. }), "{first}");
    }
}

#[test]
fn silence_names_what_was_awaited() {
    let (ours, _theirs) = UnixStream::pair().expect("a socket pair");
    let error = Qmp::start(ours, Duration::from_millis(1)).expect_err("silence");
    assert_eq!(
        error.to_string(),
        "waited 1 ms for QEMU to answer its greeting"
    );
}

#[test]
fn endless_answer_is_an_error() {
    let (ours, mut theirs) = UnixStream::pair().expect("a socket pair");
    thread::spawn(move || while theirs.write_all(&[b'x'; 4096]).is_ok() {});
    let error = Qmp::start(ours, LIMIT).expect_err("endless");
    assert!(matches!(error, QmpError::Malformed { .. }));
}
