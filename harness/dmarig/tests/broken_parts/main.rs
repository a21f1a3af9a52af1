//! The whole program against parts that break: a guest that hangs or stops, a QEMU or device process
//! that dies, nonsense in the mailbox, Ctrl-C, kill -9.
//!
//! The fake parts are this very binary, started by a small script that sets [`ROLE_VARIABLE`]. They
//! serve with remapping off, and break as [`SCENARIO_VARIABLE`] says.

mod bed;
mod fake_device;
mod fake_qemu;

use std::time::Duration;

use bed::{Bed, Outcome};
use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::Signal;

const ROLE_VARIABLE: &str = "DMARIG_FAKE_ROLE";
const SCENARIO_VARIABLE: &str = "DMARIG_FAKE_SCENARIO";
/// Folder in which each fake part leaves its process id.
const PIDS_VARIABLE: &str = "DMARIG_FAKE_PIDS";

fn main() {
    match std::env::var(ROLE_VARIABLE).as_deref() {
        Ok("device") => fake_device::serve(),
        Ok("qemu") => fake_qemu::serve(),
        _ => {
            let arguments = Arguments::from_args();
            libtest_mimic::run(&arguments, trials()).exit();
        }
    }
}

fn trials() -> Vec<Trial> {
    let trial = |name: &str, body: fn() -> Result<(), Failed>| Trial::test(name, body);
    vec![
        trial("parts_that_serve_end_clean_and_leave_nothing", parts_serve),
        trial(
            "silent_guest_is_a_hang_and_the_next_case_gets_a_new_boot",
            guest_hangs,
        ),
        trial("bug_check_is_told_with_code_and_place", guest_bug_checks),
        trial(
            "bug_check_is_told_with_the_buffers_history",
            history_is_told,
        ),
        trial(
            "ledger_that_cannot_be_read_hides_no_bug_check",
            ledger_is_silent,
        ),
        trial("death_of_qemu_is_our_bug", qemu_dies),
        trial(
            "death_of_qemu_at_its_start_is_told_by_how_it_ended",
            qemu_dies_at_start,
        ),
        trial("death_of_the_device_process_is_our_bug", device_dies),
        trial("malformed_response_breaks_the_case", response_is_malformed),
        trial(
            "qemu_that_does_not_start_is_the_environments_fault",
            qemu_refuses,
        ),
        trial("leaks_are_red", guest_leaks),
        trial(
            "finding_and_fault_while_the_driver_goes_are_red",
            guest_finds_late,
        ),
        trial(
            "violation_while_the_driver_goes_is_red",
            device_violates_late,
        ),
        trial(
            "report_that_cannot_be_written_is_the_environments_fault",
            disk_is_full,
        ),
        trial(
            "report_that_is_taken_away_is_the_environments_fault",
            report_is_taken_away,
        ),
        trial("logs_of_older_runs_are_removed", older_logs),
        trial("hangup_ends_like_sigterm", hung_up),
        trial(
            "guest_that_does_not_shut_down_after_a_reset_is_red",
            guest_resets,
        ),
        trial(
            "interrupt_keeps_the_results_and_leaves_nothing",
            interrupted,
        ),
        trial("kill_9_leaves_no_process_and_no_socket", killed),
    ]
}

fn expect(condition: bool, what: &str, outcome: &Outcome) -> Result<(), Failed> {
    if condition {
        return Ok(());
    }
    Err(format!(
        "expected: {what}\nseen: exit {:?}\n{}",
        outcome.exit, outcome.output
    )
    .into())
}

/// Runs a scenario with two cases and checks the exit code, a text in the report, and tidiness.
fn check(scenario: &str, exit: i32, expected: &[&str]) -> Result<(), Failed> {
    let bed = Bed::new(scenario);
    let outcome = bed.run();
    expect(outcome.exit == Some(exit), "exit code", &outcome)?;
    for text in expected {
        expect(outcome.junit.contains(text), text, &outcome)?;
    }
    expect(
        outcome.junit.contains("</testsuites>"),
        "whole JUnit",
        &outcome,
    )?;
    bed.expect_tidy()
}

fn parts_serve() -> Result<(), Failed> {
    // The fake driver knows no operation but the ping, so the cases themselves are red.
    check(
        "serve",
        1,
        &[
            r#"<testcase name="RIG/unload" classname="common-buffer.remapping-off""#,
            "operation unknown",
        ],
    )
}

fn guest_hangs() -> Result<(), Failed> {
    check("hang", 1, &["no response", r#"errors="2""#])
}

fn guest_bug_checks() -> Result<(), Failed> {
    check(
        "bug-check",
        1,
        &["bug check 0xe6 (0x26, 0x1, 0x2, 0x3) at dmarig.sys+0x1234"],
    )
}

fn history_is_told() -> Result<(), Failed> {
    let lines = [
        "the device's ledger, of the declared buffers:",
        "  common buffer 1: 0x2000 bytes at 0x8000, from_device",
        "  #5 write of 0x40 bytes at 0x8040, path mapped, success, mapping epoch 1 (common buffer 1)",
    ];
    let bed = Bed::new("bug-check");
    let outcome = bed.run();
    expect(outcome.exit == Some(1), "exit code", &outcome)?;
    for line in lines {
        expect(outcome.output.contains(line), line, &outcome)?;
        let in_xml = line.replace('\'', "&apos;");
        expect(outcome.junit.contains(&in_xml), &in_xml, &outcome)?;
    }
    let access = r#""accesses":[{"seq":5,"direction":"write","logical_address":"0x8040""#;
    expect(outcome.events.contains(access), access, &outcome)?;
    bed.expect_tidy()
}

fn ledger_is_silent() -> Result<(), Failed> {
    check(
        "bug-check-silent-ledger",
        1,
        &[
            "bug check 0xe6 (0x26, 0x1, 0x2, 0x3) at dmarig.sys+0x1234",
            "the ledger could not be read: buffer.list: no answer of the device within",
        ],
    )
}

fn qemu_dies() -> Result<(), Failed> {
    check(
        "qemu-dies",
        5,
        &["QEMU ended by itself with signal 6", "gave up"],
    )
}

fn qemu_dies_at_start() -> Result<(), Failed> {
    check(
        "qemu-dies-at-start",
        5,
        &["QEMU ended by itself with signal 6"],
    )
}

fn device_dies() -> Result<(), Failed> {
    check(
        "device-dies",
        5,
        &[
            "device process ended by itself with exit status 101",
            "fake panic",
        ],
    )
}

fn response_is_malformed() -> Result<(), Failed> {
    check("malformed", 1, &["malformed response of the driver"])
}

fn qemu_refuses() -> Result<(), Failed> {
    check(
        "qemu-refuses",
        3,
        &["QEMU does not start", "does not know an option"],
    )
}

fn guest_leaks() -> Result<(), Failed> {
    check(
        "leak",
        1,
        &["after the driver was unloaded, 2 mdls are left"],
    )
}

fn guest_finds_late() -> Result<(), Failed> {
    check(
        "late-finding",
        1,
        &[
            "canary: overrun while removing",
            "logical address 0x7000: expected no fault",
        ],
    )
}

fn device_violates_late() -> Result<(), Failed> {
    check(
        "late-violation",
        1,
        &["after-free, logical address 0x9000", "after the last case"],
    )
}

fn disk_is_full() -> Result<(), Failed> {
    let bed = Bed::new("serve");
    std::fs::create_dir(bed.path("out"))?;
    std::os::unix::fs::symlink("/dev/full", bed.path("out/events.jsonl"))?;
    let outcome = bed.run();
    expect(outcome.exit == Some(3), "exit code", &outcome)?;
    let said = "events.jsonl: No space left on device";
    expect(outcome.output.contains(said), said, &outcome)?;
    bed.expect_tidy()
}

fn report_is_taken_away() -> Result<(), Failed> {
    let bed = Bed::new("hang");
    let child = bed.start();
    bed.await_case_start()?;
    std::fs::remove_file(bed.path("out/events.jsonl"))?;
    let outcome = child.outcome();
    expect(outcome.exit == Some(3), "exit code", &outcome)?;
    let said = "events.jsonl: it was removed or replaced";
    expect(outcome.output.contains(said), said, &outcome)
}

fn older_logs() -> Result<(), Failed> {
    let bed = Bed::new("serve");
    let folder = |name: &str| bed.path("out").join(name);
    for name in ["boot-7-remapping-on", "boot-x-remapping-on", "boot-8"] {
        std::fs::create_dir_all(folder(name))?;
    }
    std::fs::create_dir_all(bed.path("elsewhere"))?;
    std::os::unix::fs::symlink(bed.path("elsewhere"), folder("boot-9-remapping-off"))?;
    let outcome = bed.run();
    let is_there = |name: &str| folder(name).symlink_metadata().is_ok();
    expect(!is_there("boot-7-remapping-on"), "old logs gone", &outcome)?;
    for name in [
        "boot-x-remapping-on",
        "boot-8",
        "boot-9-remapping-off",
        "boot-1-remapping-off",
    ] {
        expect(is_there(name), name, &outcome)?;
    }
    Ok(())
}

fn hung_up() -> Result<(), Failed> {
    let bed = Bed::new("hold");
    let mut child = bed.start();
    bed.await_case_start()?;
    child.signal(Signal::HUP);
    let outcome = child.outcome();
    expect(outcome.exit == Some(143), "exit code", &outcome)?;
    bed.expect_tidy()
}

fn guest_resets() -> Result<(), Failed> {
    check("reset", 1, &["the guest reset or powered off the machine"])
}

fn interrupted() -> Result<(), Failed> {
    let bed = Bed::new("hold");
    let mut child = bed.start();
    bed.await_case_start()?;
    child.signal(Signal::INT);
    let outcome = child.outcome();
    expect(outcome.exit == Some(130), "exit code", &outcome)?;
    expect(
        outcome.junit.contains("<skipped"),
        "cases not run",
        &outcome,
    )?;
    expect(
        outcome.events.contains("interrupted"),
        "the event",
        &outcome,
    )?;
    bed.expect_tidy()
}

fn killed() -> Result<(), Failed> {
    let bed = Bed::new("hold");
    let mut child = bed.start();
    bed.await_case_start()?;
    child.signal(Signal::KILL);
    let outcome = child.outcome();
    expect(outcome.exit.is_none(), "killed", &outcome)?;
    expect(
        outcome.events.contains("case-started"),
        "events so far",
        &outcome,
    )?;
    // The janitor needs a moment.
    bed::eventually(Duration::from_secs(10), || bed.expect_tidy())
}
