//! `dmarig walk` on the real rig, and its rule files with `dmarig run`.

use std::fs;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::Run;

/// A case that comes by few call sites.
const CASE: &[&str] = &["--filter", "CM-1/nonpaged-pool", "--remapping", "on"];
/// Call sites of it that there must at least be: of start, AddDevice and the case itself.
const POINTS_MIN: usize = 15;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("walk_survives_in_parts_and_as_a_whole", resumed),
        Trial::test(
            "walk_sees_a_failure_reported_as_success_and_repeats_it",
            false_success,
        ),
        Trial::test(
            "rule_for_a_call_that_is_never_made_fails_the_run",
            never_made,
        ),
        Trial::test("walk_does_not_go_on_with_another_walk", other_walk),
        Trial::test(
            "walk_of_the_device_shares_boots_and_fails_the_start",
            device,
        ),
    ]
}

fn walk(arguments: &[&str]) -> Run {
    Run::of(
        "walk",
        &[CASE, &["--points", "imports"], arguments].concat(),
    )
}

fn state(run: &Run) -> Result<Value, Failed> {
    let text = fs::read_to_string(run.out().join("walk/state.json"))?;
    Ok(serde_json::from_str(&text)?)
}

fn results(state: &Value) -> &[Value] {
    state["results"].as_array().map_or(&[], Vec::as_slice)
}

/// A walk that was cut short goes on where it was, and its end knows all points.
fn resumed() -> Result<(), Failed> {
    let begun = walk(&["--limit", "3"]);
    begun.expect_exit(0)?;
    let state_before = state(&begun)?;
    if results(&state_before).len() != 3 {
        return Err(format!("expected 3 results: {state_before}").into());
    }
    let resumed = begun.again(
        "walk",
        &[CASE, &["--points", "imports", "--resume"]].concat(),
    );
    resumed.expect_exit(0)?;
    let state_after = state(&resumed)?;
    let (all, points) = (results(&state_after), state_after["points"].as_array());
    let n_points = points.map_or(0, Vec::len);
    if n_points < POINTS_MIN || all.len() != n_points {
        return Err(format!("{} results of {n_points} points", all.len()).into());
    }
    if all[..3] != *results(&state_before) {
        return Err("what was known was tried again".into());
    }
    match all.iter().find(|result| result["verdict"] != "survived") {
        Some(bad) => Err(format!("not survived: {bad}").into()),
        None => Ok(()),
    }
}

/// The negative control: a driver that reports success in place of a failure does not survive that failure, and
/// nothing else; the rule file shows it again.
fn false_success() -> Result<(), Failed> {
    const SABOTAGE: &[&str] = &["--sabotage", "driver-false-success"];
    let run = walk(SABOTAGE);
    run.expect_exit(1)?;
    let state = state(&run)?;
    let bad: Vec<&Value> = results(&state)
        .iter()
        .filter(|result| result["verdict"] != "survived")
        .collect();
    let [bad] = bad[..] else {
        return Err(format!("expected one bad point: {bad:?}").into());
    };
    if bad["name"] != "CreateCommonBufferFromMdl" {
        return Err(format!("expected the call that is lied about: {bad}").into());
    }
    let number = bad["number"].as_u64().ok_or("a number")?;
    let recorded = run.out().join(format!("walk/point-{number:03}"));
    let recorded = recorded.to_str().ok_or("a path in UTF-8")?;
    let replayed = run.again("replay", &[recorded]);
    replayed.expect_exit(0)?;
    let rules = bad["rule_file"].as_str().ok_or("a rule file")?;
    let again = Run::new(&[CASE, SABOTAGE, &["--faults", rules]].concat());
    again.expect_exit(1)?;
    // Without its sabotage the driver reports the failure, which is red for a case that wants a buffer.
    let honest = Run::new(&[CASE, &["--faults", rules]].concat());
    honest.expect_exit(1)?;
    let text = String::from_utf8_lossy(&honest.output.stdout).into_owned();
    if !text.contains("seen STATUS_INSUFFICIENT_RESOURCES") {
        return Err(format!("the failure is not what was injected: {text}").into());
    }
    Ok(())
}

/// Points of the device: many in one boot, those of the start in boots of their own; the driver survives them or
/// somebody notices.
fn device() -> Result<(), Failed> {
    let run = Run::of(
        "walk",
        &[
            CASE,
            &["--points", "device", "--jobs", "2", "--timeout", "20"],
        ]
        .concat(),
    );
    run.expect_exit(0)?;
    let state = state(&run)?;
    let all = results(&state);
    let n_of = |key: &str, value: &str| all.iter().filter(|result| result[key] == value).count();
    let n_survived = n_of("verdict", "survived");
    if n_survived + n_of("verdict", "detected") != all.len() || n_survived < all.len() / 2 {
        return Err(format!("neither survived nor detected: {all:?}").into());
    }
    let numbers = all.iter().map(|result| result["number"].as_u64());
    if !numbers.eq((1..).take(all.len()).map(Some)) {
        return Err("results are not in the order of the points".into());
    }
    let n_start = n_of("phase", "boot");
    if n_start == 0 || n_start == all.len() {
        return Err(format!("{n_start} of {} points are of the start", all.len()).into());
    }
    let refused = all
        .iter()
        .find(|result| result["phase"] == "boot" && result["name"] == "all-ones at mmio-read");
    let refused = refused.ok_or("a start without registers")?;
    if !refused["detail"]
        .to_string()
        .contains("START_DEVICE of dut0 ended with 0xc0000182")
    {
        return Err(format!("the driver does not refuse: {refused}").into());
    }
    let text = fs::read_to_string(run.out().join("events.jsonl"))?;
    let end: Value = serde_json::from_str(text.lines().last().ok_or("events")?)?;
    let n_boots = end["boots"].as_u64().ok_or("a number of boots")?;
    if n_boots >= u64::try_from(all.len())? {
        return Err(format!("{n_boots} boots for {} points", all.len()).into());
    }
    Ok(())
}

fn never_made() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let rules = folder.path().join("rules.toml");
    let call = "[[call]]\nname = \"no thread\"\nroutine = \"PsCreateSystemThread\"\nnth = 99\n";
    fs::write(&rules, call)?;
    let path = rules.to_str().ok_or("a path in UTF-8")?;
    let run = Run::new(&[CASE, &["--faults", path]].concat());
    run.expect_exit(1)?;
    let text = String::from_utf8_lossy(&run.output.stdout).into_owned();
    if !text.contains("the rule \"no thread\" never struck") {
        return Err(format!("the rule is not named: {text}").into());
    }
    fs::write(&rules, call.to_owned() + "optional = true\n")?;
    Run::new(&[CASE, &["--faults", path]].concat()).expect_exit(0)
}

fn other_walk() -> Result<(), Failed> {
    let begun = walk(&["--limit", "1"]);
    begun.expect_exit(0)?;
    let other = begun.again("walk", &["--resume", "--remapping", "off"]);
    other.expect_exit(3)?;
    let text = String::from_utf8_lossy(&other.output.stderr).into_owned();
    if !text.contains("belongs to another walk") {
        return Err(format!("the reason is not told: {text}").into());
    }
    Ok(())
}
