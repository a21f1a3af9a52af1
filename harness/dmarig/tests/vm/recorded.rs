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

/// The first read of a payload on each channel is answered with Completer Abort.
const RULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/faults/completer-abort.toml");

/// A run that is red because a read of the device fails, by a rule.
fn red_run() -> Result<Run, Failed> {
    let run = Run::new(&["--remapping", "on", "--filter", "CM-1*", "--faults", RULES]);
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
    for word in ["\"has_faults\": true", "\"remapping\": \"on\"", "CM-1"] {
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
    expect_said(&again, " faults, each at its place in its channel")?;
    // The negative control: another rule, by which the second read fails.
    let rules = boot(&run).join("recording/faults.toml");
    let text = fs::read_to_string(&rules)?.replace("times = 1", "nth = 2\ntimes = 1");
    fs::write(&rules, text)?;
    let other = replay(&run, &["--guest"]);
    other.expect_exit(1)?;
    expect_said(&other, "dut0: not as recorded")?;
    expect_said(
        &other,
        "expected: fault completer-abort at dma-read, hit 1: completer-abort",
    )
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
