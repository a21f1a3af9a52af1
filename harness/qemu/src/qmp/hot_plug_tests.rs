//! Unplugging and plugging against a fake QEMU.

use super::super::tests::{GREETING, LIMIT, OK, fake};
use super::*;

const DELETED: &str = r#"{"event":"DEVICE_DELETED","data":{"device":"dut0","path":"/x"}}"#;

fn dut(has_msix: bool) -> Plugged {
    Plugged {
        function: VfioUserFunction {
            id: "dut0".into(),
            socket: "/run/dut0".into(),
        },
        port: "port1".into(),
        has_msix,
    }
}

fn session(answers: &'static [&'static str]) -> Qmp {
    Qmp::start(fake(GREETING, answers), LIMIT).expect("started")
}

#[test]
fn device_with_msix_is_refused_before_qemu_is_asked() {
    // Any command would be answered by the end of the connection.
    let mut qmp = session(&[OK]);
    let error = qmp.press_attention_button(&dut(true)).expect_err("refused");
    assert!(matches!(error, QmpError::HasMsix { .. }));
    let text = error.to_string();
    assert!(
        text.contains("dut0 has MSI-X") && text.contains("help: "),
        "{text}"
    );
}

#[test]
fn removal_ends_with_the_event_of_that_device() {
    let other = r#"{"event":"DEVICE_DELETED","data":{"path":"/y"}}"#;
    let answers: &[&str] = Box::leak(Box::new([
        OK,
        Box::leak(format!("{other}\n{OK}\n{DELETED}").into_boxed_str()),
    ]));
    let mut qmp = session(answers);
    qmp.press_attention_button(&dut(false)).expect("asked");
    qmp.await_deleted(&dut(false), LIMIT).expect("gone");
    assert_eq!(qmp.take_events().len(), 1, "the other one is kept");
}

#[test]
fn device_that_stays_is_named_with_the_time() {
    let (ours, mut theirs) = std::os::unix::net::UnixStream::pair().expect("a socket pair");
    std::io::Write::write_all(&mut theirs, format!("{GREETING}\n{OK}\n").as_bytes())
        .expect("written");
    let mut qmp = Qmp::start(ours, LIMIT).expect("started");
    let error = qmp
        .await_deleted(&dut(false), Duration::from_millis(1))
        .expect_err("it stays");
    assert_eq!(error.to_string(), "waited 1 ms for QEMU to let go of dut0");
}

#[test]
fn absence_is_looked_for_by_name() {
    let mut qmp = session(&[
        OK,
        r#"{"return":[{"name":"control"},{"name":"dut0"}]}"#,
        r#"{"return":[{"name":"control"}]}"#,
    ]);
    qmp.await_absent(&dut(false), LIMIT).expect("gone");

    let mut qmp = session(&[OK, r#"{"return":[{"name":"dut0"}]}"#]);
    let error = qmp.await_absent(&dut(false), Duration::ZERO);
    assert!(
        matches!(error, Err(QmpError::StillThere { .. })),
        "{error:?}"
    );
    let mut qmp = session(&[OK, r#"{"return":7}"#]);
    let error = qmp.await_absent(&dut(false), Duration::ZERO);
    assert!(
        matches!(error, Err(QmpError::Malformed { .. })),
        "{error:?}"
    );
}

#[test]
fn refused_plug_carries_the_words_of_qemu() {
    let mut qmp = session(&[
        OK,
        r#"{"error":{"desc":"Failed to connect to '/run/dut0'"}}"#,
    ]);
    let error = qmp.add_device(&dut(false)).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "QEMU refused device_add: Failed to connect to '/run/dut0'"
    );
}
