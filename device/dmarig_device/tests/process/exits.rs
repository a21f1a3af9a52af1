//! Exit codes, messages, and what is left behind.

use std::fs;
use std::process::{Command, Output};

use control_api::request::{Hello, Stop};
use rustix::process::Signal;

use crate::child::{DeviceProcess, PATIENCE, command, wait_until};

pub fn stop_and_signals_end_it_with_zero_and_leave_no_socket() {
    let mut process = DeviceProcess::start(&[]);
    process.harness().call(&Stop {}, PATIENCE).expect("answer");
    assert_eq!(process.wait().code(), Some(0));
    assert!(process.files().is_empty());
    for signal in [Signal::TERM, Signal::INT] {
        let mut process = DeviceProcess::start(&[]);
        process.signal(signal);
        assert_eq!(process.wait().code(), Some(0));
        assert!(process.files().is_empty());
    }
}

pub fn killed_process_leaves_sockets_that_the_next_one_replaces() {
    let mut process = DeviceProcess::start(&[]);
    process.signal(Signal::KILL);
    assert_eq!(process.wait().code(), None);
    assert_eq!(process.files().len(), 3);
    let mut next = command(process.folder.path()).spawn().expect("start");
    wait_until("the next process", || {
        control_api::Client::connect(&process.path("control"))
            .is_ok_and(|mut client| client.call(&Hello {}, PATIENCE).is_ok())
    });
    next.kill().expect("kill");
    next.wait().expect("end");
}

pub fn killed_parent_takes_the_process_and_its_sockets_along() {
    let folder = tempfile::tempdir().expect("folder");
    let device = command(folder.path());
    let mut parent = Command::new("sh")
        .args(["-c", "\"$@\"; true", "sh"])
        .arg(device.get_program())
        .args(device.get_args())
        .spawn()
        .expect("sh");
    let control = folder.path().join("control");
    wait_until("the control socket", || control.exists());
    parent.kill().expect("kill");
    parent.wait().expect("end");
    wait_until("the end of the device", || {
        fs::read_dir(folder.path()).expect("folder").count() == 0
    });
}

pub fn taken_socket_is_an_environment_error() {
    let process = DeviceProcess::start(&[]);
    let output = run(&mut command(process.folder.path()));
    assert_eq!(output.status.code(), Some(3));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("another process is listening"), "{text}");
    assert!(text.contains("help: "), "{text}");
    assert_eq!(process.files().len(), 3, "the sockets are the first one's");
}

pub fn wrong_use_and_wrong_device_file_are_usage_errors() {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("device.toml");
    fs::write(&file, "[interrupts]\nmsix_vectors = 9999\n").expect("file");
    let output = run(command(folder.path()).arg("--device").arg(&file));
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("line 2, column 16"), "{text}");
    assert!(text.contains("0 to 2048"), "{text}");

    let missing = folder.path().join("missing.toml");
    let output = run(command(folder.path()).arg("--device").arg(missing));
    assert_eq!(output.status.code(), Some(2));
    let output = run(command(folder.path()).args(["--log", "a=b=c"]));
    assert_eq!(output.status.code(), Some(2));
    let output = run(command(folder.path()).arg("--nonsense"));
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(fs::read_dir(folder.path()).expect("folder").count(), 1);
}

fn run(command: &mut Command) -> Output {
    command.output().expect("dmarig-device")
}
