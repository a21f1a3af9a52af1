//! Two devices under test at once, with both drivers; and what each check of them is worth.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use libtest_mimic::{Failed, Trial};

use super::Run;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("several_suite_passes_in_both_modes", suite),
        Trial::test("several_suite_sees_a_bit_flipped_by_either_device", flipped),
        Trial::test(
            "rule_for_the_second_device_strikes_there_alone",
            second_alone,
        ),
        Trial::test("rule_for_every_device_strikes_on_each", on_each),
        Trial::test(
            "rule_for_a_device_that_is_not_there_starts_nothing",
            for_none,
        ),
        Trial::test("each_device_has_its_coverage_and_sabotage", told_by_device),
        Trial::test("recording_of_two_devices_replays_both", replays),
        Trial::test("two_devices_run_again_the_same_with_a_guest", with_guest),
    ]
}

fn suite() -> Result<(), Failed> {
    let run = Run::new(&["--suite", "several"]);
    run.expect_exit(0)?;
    let verdicts = run.verdicts();
    let n_cases = verdicts.keys().filter(|(_, id)| is_case(id)).count();
    if n_cases < 30 {
        return Err(format!("only {n_cases} cases").into());
    }
    Ok(())
}

/// Every case moves data by both devices, so that each is red.
fn flipped() -> Result<(), Failed> {
    let run = Run::new(&["--suite", "several", "--sabotage", "device-flip-bit"]);
    run.expect_exit(1)?;
    let cases = run.verdicts().into_keys().filter(|(_, id)| is_case(id));
    let cases: BTreeSet<_> = cases.collect();
    let red = run.red_sets();
    let red = red.iter().flat_map(|(mode, ids)| {
        let ids = ids.iter().filter(|id| is_case(id));
        ids.map(|id| (mode.clone(), id.clone()))
    });
    let red: BTreeSet<_> = red.collect();
    if red == cases {
        return Ok(());
    }
    let green: Vec<_> = cases.difference(&red).collect();
    Err(format!("green: {green:?}").into())
}

const CASE: &str = "DV-2/in-turn";

/// The case under one rule for the first payload on each channel.
fn under_rule(effect: &str) -> Result<Run, Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("rule.toml");
    let rule = "[[rule]]\nname = \"first\"\nevent = \"payload\"\ntimes = 1\n";
    fs::write(&file, format!("{rule}{effect}\n"))?;
    let case = ["--suite", "several", "--filter", CASE, "--remapping", "on"];
    let file = file.to_str().ok_or("a path in UTF-8")?;
    Ok(Run::new(&[&case[..], &["--faults", file]].concat()))
}

/// The rule has struck, the case has this verdict, and these words are told, those not.
fn expect_told(run: &Run, case: &str, words: &[&str], others: &[&str]) -> Result<(), Failed> {
    let said = String::from_utf8_lossy(&run.output.stdout).into_owned();
    let verdicts = run.verdicts();
    let verdict = |id: &str| verdicts.get(&("on".to_owned(), id.to_owned()));
    let is_as_told = verdict(CASE).map(String::as_str) == Some(case)
        && verdict("FAULT/first").map(String::as_str) == Some("passed")
        && words.iter().all(|word| said.contains(word))
        && !others.iter().any(|word| said.contains(word));
    if is_as_told { Ok(()) } else { Err(said.into()) }
}

/// The first device moves its data before the second; its buffer is not what is told of.
fn second_alone() -> Result<(), Failed> {
    let run = under_rule("match.function = 1\neffect.flip-bit.bit = 3")?;
    run.expect_exit(1)?;
    let told = [
        "payload of dut1",
        "device view: dut1: the device's read",
        "of dut1, logical address",
        "dut1, channel 0: struck 1 of",
    ];
    expect_told(&run, "failed", &told, &["dut0, channel", "view: dut0: "])
}

fn on_each() -> Result<(), Failed> {
    let run = under_rule("effect.spurious-interrupt.vector = 3")?;
    run.expect_exit(0)?;
    let told = [
        "dut0, channel 0: struck 1 of",
        "dut1, channel 0: struck 1 of",
    ];
    expect_told(&run, "passed", &told, &[])
}

fn for_none() -> Result<(), Failed> {
    let run = under_rule("match.function = 2\neffect = \"hang\"")?;
    run.expect_exit(2)?;
    let words = String::from_utf8_lossy(&run.output.stderr).into_owned();
    let is_told =
        words.contains("is for dut2, and the run has 2 devices") && words.contains("help:");
    if is_told && run.verdicts().is_empty() {
        return Ok(());
    }
    Err(words.into())
}

fn told_by_device() -> Result<(), Failed> {
    let case = ["--suite", "several", "--filter", CASE, "--remapping", "on"];
    let run = Run::new(&[&case[..], &["--sabotage", "device-flip-bit"]].concat());
    run.expect_exit(1)?;
    let coverage = fs::read_to_string(run.out().join("register-coverage.txt"))?;
    let events = fs::read_to_string(run.out().join("events.jsonl"))?;
    let junit = fs::read_to_string(run.out().join("junit.xml"))?;
    for device in ["dut0", "dut1"] {
        let event = format!("\"device\":\"{device}\"");
        let of = |kind: &str| {
            let kind = format!("\"event\":\"{kind}\"");
            let mut lines = events.lines();
            lines.any(|line| line.contains(&kind) && line.contains(&event))
        };
        let heading = format!("{device}\n\nregister ");
        let has_all = of("sabotage")
            && of("register-coverage")
            && coverage.contains(&heading)
            && junit.contains(&heading);
        if !has_all {
            return Err(format!("{device} is missing:\n{coverage}\n{events}").into());
        }
    }
    Ok(())
}

fn boot(run: &Run) -> PathBuf {
    run.out().join("boot-1-remapping-on")
}

/// `dmarig replay` of the run's boot, which must end so and say these words.
fn replay(run: &Run, arguments: &[&str], exit: i32, words: &[&str]) -> Result<Run, Failed> {
    let boot = boot(run);
    let boot = boot.to_str().ok_or("a path in UTF-8")?;
    let replayed = Run::of("replay", &[&[boot], arguments].concat());
    replayed.expect_exit(exit)?;
    let said = String::from_utf8_lossy(&replayed.output.stdout).into_owned();
    match words.iter().find(|word| !said.contains(**word)) {
        None => Ok(replayed),
        Some(word) => Err(format!("nothing said {word:?}:\n{said}").into()),
    }
}

/// What is changed in the second device's recording is told of it, and not of the first.
fn replays() -> Result<(), Failed> {
    let run = under_rule("match.function = 1\neffect.flip-bit.bit = 3")?;
    let same = ["dut0: identical: ", "dut1: identical: "];
    replay(&run, &[], 0, &same)?;
    let trace = boot(&run).join("recording/dut1.trace.jsonl");
    let text = fs::read_to_string(&trace)?;
    let changed = text.replacen("\"effect\":\"flip-bit\"", "\"effect\":\"drop\"", 1);
    if changed == text {
        return Err("the fault of the second device was not recorded".into());
    }
    fs::write(&trace, changed)?;
    replay(&run, &[], 1, &["dut0: identical: ", "dut1: different"]).map(drop)
}

/// The device files of the recording are used again; under another rule the second device differs.
fn with_guest() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let (rule, device) = (folder.path().join("r.toml"), folder.path().join("d.toml"));
    let text = "[[rule]]\nname = \"first\"\nevent = \"payload\"\ntimes = 1\nmatch.function = 1\neffect.flip-bit.bit = 3\n";
    fs::write(&rule, text)?;
    fs::write(&device, "[dma]\nchannels = 6\n")?;
    let (rule, device) = (rule.to_str(), device.to_str());
    let (rule, device) = rule.zip(device).ok_or("paths in UTF-8")?;
    let case = ["--suite", "several", "--filter", CASE, "--remapping", "on"];
    let more = ["--faults", rule, "--device", device, "--device", device];
    let run = Run::new(&[&case[..], &more].concat());
    run.expect_exit(1)?;
    let same = [
        "dut0: the same as recorded: ",
        "dut1: the same as recorded: ",
    ];
    let again = replay(&run, &["--guest"], 0, &same)?;
    let command = fs::read_to_string(boot(&again).join("device.command"))?;
    if command.matches("--device").count() != 2 {
        return Err(format!("not with the recorded devices: {command}").into());
    }
    let rules = boot(&run).join("recording/faults.toml");
    fs::write(&rules, text.replace("times = 1", "nth = 2\ntimes = 1"))?;
    let parted = [
        "dut0: the same as recorded: ",
        "dut1: not as recorded",
        "expected: fault first at payload, hit 1: flip-bit",
    ];
    replay(&run, &["--guest"], 1, &parted).map(drop)
}

fn is_case(id: &str) -> bool {
    id.starts_with("DV-")
}
