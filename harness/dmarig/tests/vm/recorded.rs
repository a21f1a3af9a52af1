//! What is recorded of a boot runs again, without a guest and with one, and what was changed is named.

use std::fs;
use std::path::PathBuf;

use libtest_mimic::{Failed, Trial};

use super::Run;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("red_run_is_recorded_and_replays_without_guest", replays),
        Trial::test("changed_recording_is_named", changed),
        Trial::test("recorded_boot_runs_again_the_same_with_a_guest", with_guest),
        Trial::test("run_without_recording_leaves_none", unrecorded),
    ]
}

/// A run that is red because the device flips a bit of what it writes.
fn red_run() -> Result<Run, Failed> {
    let run = Run::new(&[
        "--remapping",
        "on",
        "--filter",
        "CM-1*",
        "--sabotage",
        "device-flip-bit",
    ]);
    run.expect_exit(1)?;
    Ok(run)
}

fn boot(run: &Run) -> PathBuf {
    run.out().join("boot-1-remapping-on")
}

/// `dmarig replay` of the run's boot.
fn replay(run: &Run, arguments: &[&str]) -> Run {
    let boot = boot(run);
    let boot = boot.to_str().expect("a path in UTF-8");
    Run::of("replay", &[&[boot], arguments].concat())
}

fn expect_said(run: &Run, words: &str) -> Result<(), Failed> {
    let said = String::from_utf8_lossy(&run.output.stdout);
    let errors = String::from_utf8_lossy(&run.output.stderr);
    if said.contains(words) || errors.contains(words) {
        return Ok(());
    }
    Err(format!("nothing said {words:?}:\n{said}\n{errors}").into())
}

fn replays() -> Result<(), Failed> {
    let run = red_run()?;
    let replayed = replay(&run, &[]);
    replayed.expect_exit(0)?;
    expect_said(&replayed, "dut0: identical: ")?;
    let summary = fs::read_to_string(boot(&run).join("recording/run.json"))?;
    for word in ["device-flip-bit", "\"remapping\": \"on\"", "CM-1"] {
        if !summary.contains(word) {
            return Err(format!("run.json does not tell {word}: {summary}").into());
        }
    }
    Ok(())
}

fn changed() -> Result<(), Failed> {
    let run = red_run()?;
    let trace = boot(&run).join("recording/dut0.trace.jsonl");
    let text = fs::read_to_string(&trace)?;
    let line = text
        .lines()
        .position(|line| line.contains("\"record\":\"request\""))
        .ok_or("no request was recorded")?;
    let changed = text.replacen(
        "\"record\":\"request\",\"channel\":",
        "\"record\":\"request\",\"channel\":1",
        1,
    );
    fs::write(&trace, changed)?;
    let replayed = replay(&run, &[]);
    replayed.expect_exit(1)?;
    expect_said(&replayed, &format!("record {}\n", line + 1))?;
    fs::write(&trace, text)?;

    let log = boot(&run).join("recording/dut0.events");
    let mut bytes = fs::read(&log)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, bytes)?;
    let replayed = replay(&run, &[]);
    replayed.expect_exit(2)?;
    expect_said(&replayed, "the event log is damaged at byte")
}

fn with_guest() -> Result<(), Failed> {
    let run = red_run()?;
    let again = replay(&run, &["--guest"]);
    again.expect_exit(0)?;
    expect_said(&again, "dut0: the same as recorded: ")?;
    // The negative control: without what misbehaved, a request ends in another way.
    let healed = replay(&run, &["--guest", "--no-sabotage"]);
    healed.expect_exit(1)?;
    expect_said(&healed, "dut0: not as recorded")
}

fn unrecorded() -> Result<(), Failed> {
    let run = Run::new(&["--remapping", "on", "--filter", "CM-9/*", "--no-record"]);
    run.expect_exit(0)?;
    if boot(&run).join("recording").exists() {
        return Err("there is a recording".into());
    }
    let replayed = replay(&run, &[]);
    replayed.expect_exit(3)
}
