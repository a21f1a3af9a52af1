//! Two devices under test at once, with both drivers; and what each check of them is worth.

use std::collections::BTreeSet;
use std::fs;

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
    expect_told(&run, "failed", &told, &["dut0, channel", "dut0: "])
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

fn is_case(id: &str) -> bool {
    id.starts_with("DV-")
}
