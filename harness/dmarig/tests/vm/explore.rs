//! `dmarig explore` and `dmarig replay` on the real rig.

use std::fs;
use std::path::Path;

use libtest_mimic::{Failed, Trial};
use serde_json::Value;

use super::Run;

/// Actions of the short run in each mode.
const STEPS: &str = "3000";
/// Actions in which each sabotage must be found.
const SABOTAGED_STEPS: &str = "2000";
/// Most actions that a shrunk list of a sabotage may have.
const SHRUNK_MAX: usize = 12;

pub(super) fn trials(sabotages: &[String]) -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("explored_actions_agree_with_the_model", agrees),
        Trial::test("replay_of_what_is_no_bundle_says_so", no_bundle),
    ];
    for name in sabotages {
        let (title, name) = (format!("{name}_is_found_shrunk_and_replayed"), name.clone());
        trials.push(Trial::test(title, move || found(&name)));
    }
    trials
}

/// Records of a kind in the event stream.
fn records(run: &Run, kind: &str) -> Result<Vec<Value>, Failed> {
    let text = fs::read_to_string(run.out().join("events.jsonl"))?;
    let records = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(records.filter(|record| record["event"] == kind).collect())
}

fn agrees() -> Result<(), Failed> {
    let run = Run::of("explore", &["--seed", "7", "--steps", STEPS]);
    run.expect_exit(0)?;
    let started = records(&run, "explore-started")?;
    let [on, off] = started.as_slice() else {
        return Err(format!("expected one start in each mode: {started:?}").into());
    };
    if on["list_crc32c"] != off["list_crc32c"] {
        return Err("the list is not the same in both modes".into());
    }
    for ended in records(&run, "explore-ended")? {
        let judged = ended["result"]["n_judged"].as_u64().unwrap_or(0);
        // Some actions are left out in a mode where they would be undefined.
        if judged < 2500 {
            return Err(format!("only {judged} actions were judged").into());
        }
    }
    Ok(())
}

fn found(sabotage: &str) -> Result<(), Failed> {
    let run = Run::of(
        "explore",
        &[
            "--steps",
            SABOTAGED_STEPS,
            "--remapping",
            "on",
            "--sabotage",
            sabotage,
        ],
    );
    run.expect_exit(1)?;
    let folder = run.out().join("failure-remapping-on");
    let text = fs::read_to_string(folder.join("bundle.json"))?;
    let bundle: Value = serde_json::from_str(&text)?;
    let n_actions = bundle["actions"].as_array().map_or(0, Vec::len);
    if bundle["is_reproduced"] != true || n_actions == 0 || n_actions > SHRUNK_MAX {
        return Err(format!("expected at most {SHRUNK_MAX} actions: {text}").into());
    }
    recorded(&run, &folder)?;
    let folder = folder.to_str().ok_or("a plain path")?;
    replayed(&[folder], 1, "same")?;
    replayed(&[folder, "--no-sabotage"], 0, "passed")
}

/// The failure showed once more in the boot that was recorded, and the device of that boot runs again.
fn recorded(run: &Run, folder: &Path) -> Result<(), Failed> {
    let notes = records(run, "note")?;
    let is_same = |note: &Value| {
        let text = note["text"].as_str().unwrap_or_default();
        text.contains("it fails the same way there")
    };
    if !notes.iter().any(is_same) {
        return Err(format!("the failure is not in the recording: {notes:?}").into());
    }
    let boot = folder.join("boot");
    let boot = boot.to_str().ok_or("a plain path")?;
    Run::of("replay", &[boot]).expect_exit(0)
}

fn replayed(arguments: &[&str], exit: i32, how: &str) -> Result<(), Failed> {
    let run = Run::of("replay", arguments);
    run.expect_exit(exit)?;
    let ended = records(&run, "replay-ended")?;
    if ended.len() == 1 && ended[0]["how"] == how {
        return Ok(());
    }
    Err(format!("expected {how}: {ended:?}").into())
}

fn no_bundle() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("bundle.json"), "{}")?;
    let run = Run::of("replay", &[folder.path().to_str().ok_or("a plain path")?]);
    run.expect_exit(3)?;
    let said = String::from_utf8_lossy(&run.output.stderr).into_owned();
    if said.contains("is no bundle") {
        return Ok(());
    }
    Err(said.into())
}
