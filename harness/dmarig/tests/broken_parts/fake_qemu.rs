//! A QEMU that connects its consoles and QMP as the real one does, and plays the guest, too.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{abort, exit};
use std::thread;
use std::time::Duration;

use super::bed::{leave_pid, raise_flag, scenario};

/// How long the guest lives before it breaks; long enough for the ping, and nothing depends on it.
const LIFE: Duration = Duration::from_millis(700);
/// How long it takes to die at its start.
const DYING: Duration = Duration::from_millis(100);

/// Plays QEMU with a guest.
pub fn serve() -> ! {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|word| word == "--version") {
        println!("QEMU emulator version 11.1.3 (fake)");
        exit(0);
    }
    leave_pid();
    if scenario() == "qemu-refuses" {
        eprintln!("qemu: -device vfio-user-pci: 'vfio-user-pci' is not a valid device model name");
        exit(1);
    }
    let mut console = connect(&arguments, "debugcon");
    let com1 = connect(&arguments, "com1");
    let qmp = connect(&arguments, "qmp");
    if scenario() == "qemu-dies-at-start" {
        drop(qmp);
        // As a killed one does: its sockets are closed before its end can be seen.
        thread::sleep(DYING);
        abort();
    }
    thread::spawn(move || serve_qmp(qmp));
    say(
        &mut console,
        r#"@{"event":"boot","remapping":"off","memory_bytes":"0x1","version":"0"}"#,
    );
    match scenario().as_str() {
        "bug-check" | "bug-check-silent-ledger" => {
            thread::sleep(LIFE);
            say(
                &mut console,
                r#"@{"event":"bugcheck","code":"0xe6","parameters":["0x26","0x1","0x2","0x3"],"location":"dmarig.sys+0x1234"}"#,
            );
            exit(0x23);
        }
        "qemu-dies" => {
            thread::sleep(LIFE);
            eprintln!("qemu: vfio: DMA mapping failed, unable to continue");
            abort();
        }
        _ => serve_com1(com1, &mut console),
    }
}

fn connect(arguments: &[String], id: &str) -> UnixStream {
    let start = format!("socket,id={id},path=");
    let path = arguments
        .iter()
        .find_map(|word| word.strip_prefix(&start)?.split(',').next())
        .expect("a chardev of that name");
    UnixStream::connect(path).expect("the harness listens")
}

fn say(console: &mut UnixStream, line: &str) {
    let _ = writeln!(console, "{line}");
}

fn serve_qmp(stream: UnixStream) {
    let mut output = stream.try_clone().expect("cloned");
    let _ = writeln!(
        output,
        r#"{{"QMP":{{"version":{{"qemu":{{"major":11,"minor":1,"micro":3}}}}}}}}"#
    );
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { return };
        let answer = if line.contains("query-memdev") {
            r#"{"return":[{"id":"ram","share":true}]}"#
        } else {
            r#"{"return":{}}"#
        };
        let _ = writeln!(output, "{answer}");
        if line.contains("quit") {
            exit(0);
        }
    }
}

fn serve_com1(stream: UnixStream, console: &mut UnixStream) -> ! {
    for line in BufReader::new(stream).lines() {
        let Ok(line) = line else { break };
        if line != "shutdown" {
            continue;
        }
        match scenario().as_str() {
            "reset" => exit(0),
            "late-finding" => {
                say(
                    console,
                    r#"@{"event":"finding","id":"canary","detail":"overrun while removing"}"#,
                );
                say(
                    console,
                    r#"@{"event":"vtd-fault","reason":"0x6","requester":"02:00.0","iova":"0x7000","access":"write"}"#,
                );
                say(console, r#"@{"event":"leaks","mdls":"0x0"}"#);
            }
            "late-violation" => {
                raise_flag();
                say(console, r#"@{"event":"leaks","mdls":"0x0"}"#);
            }
            "leak" => say(console, r#"@{"event":"leaks","mdls":"0x2"}"#),
            _ => say(console, r#"@{"event":"leaks","mdls":"0x0"}"#),
        }
        say(console, r#"@{"event":"goodbye","reason":"shutdown"}"#);
        exit(0x21);
    }
    exit(0)
}
