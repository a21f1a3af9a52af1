//! The sandbox from outside: what the kernel says of the process, and what it may not do.
//!
//! Each negative control is a run of the whole start that then tries something; the same with
//! `--no-sandbox` succeeds, so that a probe which could not work anyway is noticed.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Output};

use control_api::request::{Hello, Status, Stop};
use control_api::response::{LandlockState, SandboxState};

use crate::child::{DeviceProcess, PATIENCE, command};

/// Exit code of a probe that was denied.
const PROBE_DENIED: i32 = 4;
/// Exit code of a panic.
const PANICKED: i32 = 101;

pub fn kernel_and_status_say_that_the_process_is_sandboxed() {
    let process = DeviceProcess::start(&[]);
    let mut harness = process.harness();
    let sandbox = harness.call(&Status {}, PATIENCE).expect("status").sandbox;
    assert!(sandbox.seccomp);
    let pid = harness.call(&Hello {}, PATIENCE).expect("hello").pid;
    assert_eq!(proc_status(pid, "Seccomp"), "2");
    assert_eq!(proc_status(pid, "NoNewPrivs"), "1");
    assert_eq!(proc_status(pid, "Threads"), "1");
}

pub fn process_holds_sockets_memory_and_standard_streams_only() {
    let process = DeviceProcess::start(&[]);
    let mut harness = process.harness();
    let pid = harness.call(&Hello {}, PATIENCE).expect("hello").pid;
    // What the test itself holds was handed down: the standard streams, and what cargo leaves open.
    let inherited = fd_kinds(std::process::id());
    let mut kinds = fd_kinds(pid);
    kinds.retain(|kind| !inherited.contains(kind));
    let count = |prefix: &str| kinds.iter().filter(|kind| kind.starts_with(prefix)).count();
    let known = [
        // 3 listeners, 1 control client, and of the signals' pair one end twice and the other.
        (count("socket:"), 7),
        (count("/memfd:dmarig-mailbox"), 1),
        (count("anon_inode:[eventpoll]"), 1),
    ];
    for (seen, expected) in known {
        assert_eq!(seen, expected, "{kinds:?}");
    }
    assert_eq!(kinds.len(), 9, "{kinds:?}");
}

pub fn without_sandbox_both_say_so() {
    let process = DeviceProcess::start(&["--no-sandbox"]);
    let mut harness = process.harness();
    let sandbox = harness.call(&Status {}, PATIENCE).expect("status").sandbox;
    assert_eq!(sandbox, SandboxState::default());
    assert_eq!(sandbox.landlock, LandlockState::Off);
    let pid = harness.call(&Hello {}, PATIENCE).expect("hello").pid;
    assert_eq!(proc_status(pid, "Seccomp"), "0");
    harness.call(&Stop {}, PATIENCE).expect("stop");
}

pub fn opening_a_file_is_denied() {
    for what in ["open-file", "make-file"] {
        let denied = probe(what, &[]);
        assert_eq!(denied.status.code(), Some(PROBE_DENIED), "{denied:?}");
        let text = String::from_utf8_lossy(&denied.stderr);
        assert!(text.contains("Permission denied"), "{text}");
        assert_eq!(probe(what, &["--no-sandbox"]).status.code(), Some(0));
    }
}

pub fn removing_a_file_elsewhere_is_denied_by_landlock() {
    let folder = tempfile::tempdir().expect("folder");
    let inner = folder.path().join("sockets");
    fs::create_dir(&inner).expect("folder");
    let victim = folder.path().join("probe");
    fs::write(&victim, "").expect("file");
    let run = |arguments: &[&str]| {
        let output = command(&inner)
            .args(["--sandbox-probe", "remove-outside"])
            .args(arguments)
            .output();
        output.expect("dmarig-device")
    };
    let denied = run(&[]);
    if landlock() != LandlockState::Off {
        assert_eq!(denied.status.code(), Some(PROBE_DENIED), "{denied:?}");
        assert!(victim.exists());
    }
    fs::write(&victim, "").expect("file");
    assert_eq!(run(&["--no-sandbox"]).status.code(), Some(0));
    assert!(!victim.exists());
}

pub fn threads_programs_and_sockets_end_the_process() {
    for what in ["start-thread", "start-program", "make-socket"] {
        let ended = probe(what, &[]);
        assert_eq!(
            ended.status.signal(),
            Some(libc::SIGSYS),
            "{what}: {ended:?}"
        );
        let status = probe(what, &["--no-sandbox"]).status;
        assert_eq!(status.code(), Some(0), "{what}");
    }
}

pub fn panic_with_a_backtrace_ends_as_a_panic_and_removes_the_sockets() {
    let folder = tempfile::tempdir().expect("folder");
    let output = command(folder.path())
        .args(["--sandbox-probe", "panic"])
        .env("RUST_BACKTRACE", "full")
        .output()
        .expect("dmarig-device");
    assert_eq!(output.status.code(), Some(PANICKED), "{output:?}");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("asked for by --sandbox-probe"), "{text}");
    assert!(text.contains("stack backtrace"), "{text}");
    assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 0);
}

pub fn other_parent_than_the_one_named_ends_the_start() {
    let folder = tempfile::tempdir().expect("folder");
    let run = |pid: u32| -> ExitStatus {
        let output = command(folder.path())
            .arg(format!("--die-with-parent={pid}"))
            .args(["--sandbox-probe", "open-file"])
            .output()
            .expect("dmarig-device");
        output.status
    };
    assert_eq!(run(1).code(), Some(3));
    assert_eq!(run(std::process::id()).code(), Some(PROBE_DENIED));
}

fn landlock() -> LandlockState {
    let process = DeviceProcess::start(&[]);
    let status = process.harness().call(&Status {}, PATIENCE);
    status.expect("status").sandbox.landlock
}

fn probe(what: &str, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("folder");
    command(folder.path())
        .args(["--sandbox-probe", what])
        .args(arguments)
        .output()
        .expect("dmarig-device")
}

/// One field of `/proc/PID/status`.
fn proc_status(pid: u32, field: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).expect("status");
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    let value = lines.find_map(|(name, value)| (name == field).then(|| value.trim().to_owned()));
    value.unwrap_or_else(|| panic!("no {field} in {text}"))
}

/// What the open descriptors are, in their order.
fn fd_kinds(pid: u32) -> Vec<String> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).expect("descriptors");
    let mut fds: Vec<(u32, String)> = entries
        .map(|entry| {
            let entry = entry.expect("entry");
            let number = entry.file_name().to_string_lossy().parse().expect("number");
            let target = fs::read_link(entry.path()).expect("link");
            (number, target.to_string_lossy().into_owned())
        })
        .collect();
    fds.sort();
    fds.into_iter().map(|(_, kind)| kind).collect()
}
