//! `dmarig-device replay`: what it says, what it returns, and a recording that outlives a kill.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use control_api::FunctionName;
use control_api::request::{FaultsLoad, Stop};
use rustix::process::Signal;
use vfio_user::client::{Client, QEMU_PROPOSAL, read_payload, version_payload};
use vfio_user::message::Command as Message;

use crate::child::{DeviceProcess, PATIENCE};

/// Several times what an event may wait to be written.
const LONG_ENOUGH: Duration = Duration::from_millis(200);

/// Starts a device that records, and reads its first registers.
fn recorded() -> (DeviceProcess, Client, tempfile::TempDir) {
    recorded_after(|_| ())
}

/// The same, where something is done before.
fn recorded_after(
    prepare: impl FnOnce(&DeviceProcess),
) -> (DeviceProcess, Client, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("folder");
    let record = folder.path().to_str().expect("text").to_owned();
    let process = DeviceProcess::start(&["--record", &record]);
    prepare(&process);
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

/// The second read of a BAR gives all ones.
const ALL_ONES: &str = "[[rule]]\nname = \"ones\"\nevent = \"mmio-read\"\nnth = 2\ntimes = 1\n\
                        effect = \"all-ones\"\n";
/// The same at a read that never comes.
const NEVER: &str = "[[rule]]\nname = \"never\"\nevent = \"mmio-read\"\nmatch.offset = 0x666\n\
                     effect = \"all-ones\"\n";

pub fn recording_replays_under_the_faults_of_another_file() {
    let (mut process, _qemu, folder) = recorded();
    process.harness().call(&Stop {}, PATIENCE).expect("answer");
    process.wait();
    let with = |rules: &str| {
        let file = folder.path().join("other.toml");
        fs::write(&file, rules).expect("rule file");
        let file = file.to_str().expect("text");
        let output = replay(folder.path(), &["--faults", file]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code(), said, output)
    };
    let plain = replay(folder.path(), &[]);
    let plain = String::from_utf8_lossy(&plain.stdout).into_owned();
    let (code, said, _) = with("# Nothing.\n");
    assert_eq!((code, &said), (Some(0), &plain), "the empty plan");
    let (code, said, _) = with(NEVER);
    let rules = "  rule never: 0 hits, 0 strikes\n";
    assert_eq!((code, said), (Some(0), format!("{plain}{rules}")));
    let (code, said, _) = with(ALL_ONES);
    assert_eq!(code, Some(1), "{said}");
    for wanted in [
        "dut0: different\n  record 2\n",
        "    seen:     {\"record\":\"fault\",\"rule\":\"ones\"",
        "  rule ones: 2 hits, 1 strikes\n",
    ] {
        assert!(said.contains(wanted), "{wanted:?} is not in {said}");
    }
    let (code, _, output) = with("[[rule]]\nname = 1\n");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(code, Some(2), "{output:?}");
    assert!(said.contains("other.toml, line 2, column 8"), "{said}");
}

pub fn recorded_faults_give_way_to_those_of_the_file() {
    let load = FaultsLoad {
        function: FunctionName::DUT0,
        rules: ALL_ONES.into(),
    };
    let (mut process, _qemu, folder) = recorded_after(|process| {
        let answer = process.harness().call(&load, PATIENCE);
        answer.expect("faults");
    });
    process.harness().call(&Stop {}, PATIENCE).expect("answer");
    process.wait();
    let as_recorded = replay(folder.path(), &[]);
    assert_eq!(as_recorded.status.code(), Some(0), "{as_recorded:?}");
    let file = folder.path().join("none.toml");
    fs::write(&file, "# Nothing.\n").expect("rule file");
    let without = replay(folder.path(), &["--faults", file.to_str().expect("text")]);
    let said = String::from_utf8_lossy(&without.stdout);
    assert_eq!(without.status.code(), Some(1), "{said}");
    assert!(said.contains("expected: {\"record\":\"fault\""), "{said}");
}

fn replay(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_dmarig-device"))
        .arg("replay")
        .arg(folder)
        .args(arguments)
        .output()
        .expect("dmarig-device")
}
