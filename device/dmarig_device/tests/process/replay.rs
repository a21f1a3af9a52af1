//! `dmarig-device replay`: what it says, what it returns, and a recording that outlives a kill.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use control_api::request::Stop;
use rustix::process::Signal;
use vfio_user::client::{Client, QEMU_PROPOSAL, read_payload, version_payload};
use vfio_user::message::Command as Message;

use crate::child::{DeviceProcess, PATIENCE};

/// Several times what an event may wait to be written.
const LONG_ENOUGH: Duration = Duration::from_millis(200);

/// Starts a device that records, and reads its first registers.
fn recorded() -> (DeviceProcess, Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("folder");
    let record = folder.path().to_str().expect("text").to_owned();
    let process = DeviceProcess::start(&["--record", &record]);
    let mut qemu = Client::connect(process.path("dut")).expect("connect");
    let version = version_payload(0, 0, QEMU_PROPOSAL);
    let mut request = |message, payload: &[u8]| {
        qemu.send(message, payload, &[]).expect("send");
        qemu.receive().expect("reply");
    };
    request(Message::VERSION, &version);
    for offset in [0, 4, 8] {
        request(Message::REGION_READ, &read_payload(0, offset, 4));
    }
    thread::sleep(LONG_ENOUGH);
    (process, qemu, folder)
}

pub fn recording_of_a_stopped_device_replays_identically() {
    let (mut process, _qemu, folder) = recorded();
    process.harness().call(&Stop {}, PATIENCE).expect("answer");
    process.wait();
    let output = replay(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.starts_with("dut0: identical: "), "{text}");
    assert!(!text.contains("cut off"), "{text}");
    let json = replay(folder.path(), &["--json"]);
    let text = String::from_utf8_lossy(&json.stdout);
    assert!(text.contains("\"end\":\"whole\""), "{text}");
}

pub fn recording_of_a_killed_device_replays_up_to_the_kill() {
    let (mut process, _qemu, folder) = recorded();
    process.signal(Signal::KILL);
    process.wait();
    let output = replay(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("identical: 3 records"), "{text}");
    assert!(
        text.contains("cut off, as when the device process is killed"),
        "{text}"
    );
    assert!(text.contains("compared up to record 3"), "{text}");
}

pub fn changed_recordings_are_found_and_named() {
    let (mut process, _qemu, folder) = recorded();
    process.harness().call(&Stop {}, PATIENCE).expect("answer");
    process.wait();

    let trace = folder.path().join("dut0.trace.jsonl");
    let text = fs::read_to_string(&trace).expect("trace");
    let changed = text.replacen("\"offset\":\"0x4\"", "\"offset\":\"0x5\"", 1);
    fs::write(&trace, changed).expect("trace");
    let output = replay(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("dut0: different"), "{said}");
    assert!(said.contains("record 2"), "{said}");
    assert!(said.contains("expected: {\"record\":\"access\",\"region\":0,\"offset\":\"0x5\""));
    assert!(said.contains("seen:     {\"record\":\"access\",\"region\":0,\"offset\":\"0x4\""));
    fs::write(&trace, text).expect("trace");

    let log = folder.path().join("dut0.events");
    let mut bytes = fs::read(&log).expect("log");
    bytes[24] ^= 1;
    fs::write(&log, bytes).expect("log");
    let output = replay(folder.path(), &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("dut0.events"), "{said}");
    assert!(said.contains("damaged at byte 0xc (block 0)"), "{said}");
}

fn replay(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dmarig-device"))
        .arg("replay")
        .arg(folder)
        .args(arguments)
        .output()
        .expect("dmarig-device")
}
