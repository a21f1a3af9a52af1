//! Tests on the real rig: stock QEMU, the device process, the `nt` guest, the test driver.
//!
//! What the rig needs is asked of `dmarig doctor`; lacking it, every test is skipped, and its line
//! says why. They run one at a time: the rig likes a CPU for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

#[path = "vm/device_files.rs"]
mod device_files;
#[path = "vm/engine.rs"]
mod engine;
#[path = "vm/explore.rs"]
mod explore;
#[path = "vm/faults.rs"]
mod faults;
#[path = "vm/own_iommu.rs"]
mod own_iommu;
#[path = "vm/plug.rs"]
mod plug;
#[path = "vm/recorded.rs"]
mod recorded;
#[path = "vm/several.rs"]
mod several;
#[path = "vm/walk.rs"]
mod walk;

const DMARIG: &str = env!("CARGO_BIN_EXE_dmarig");
/// Checks that the default suite must at least have, not counting those of the rig itself.
const CASES_MIN: usize = 45;
/// How long an interrupted run may take to begin and to end.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Red checks by mode.
type RedSets = BTreeMap<String, BTreeSet<String>>;

fn main() {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    let mut trials = vec![
        Trial::test("default_suite_passes_in_both_modes", default_suite),
        Trial::test("kmdf_suite_passes_in_both_modes", kmdf_suite),
        Trial::test("kmdf_suite_sees_a_mapping_that_stays", kmdf_sabotaged),
        Trial::test("survive_suite_passes_in_both_modes", survive_suite),
        Trial::test("filter_and_mode_narrow_the_run", narrowed),
        Trial::test("verdicts_are_the_same_again", same_again),
        Trial::test("interrupted_rig_leaves_nothing", interrupted),
    ];
    trials.extend(device_files::trials());
    trials.extend(faults::trials());
    trials.extend(own_iommu::trials());
    trials.extend(several::trials());
    trials.extend(walk::trials());
    trials.extend(plug::trials());
    trials.push(driver_of_gcc());
    trials.extend(engine::trials());
    for name in sabotages() {
        if engine::SEEN_BY_IT_ALONE.contains(&name.as_str()) {
            continue;
        }
        let title = format!("{name}_turns_exactly_its_checks_red");
        trials.push(Trial::test(title, move || sabotaged(&name)));
    }
    let seen_by_actions: Vec<_> = sabotages()
        .into_iter()
        .filter(|name| name != SEEN_BY_TRANSFERS_ALONE && name != SEEN_AT_LOW_RESOURCES)
        .filter(|name| !name.starts_with(SEEN_AT_UNLOAD))
        .filter(|name| !SEEN_UNDER_FAULTS.contains(&name.as_str()) && name != SEEN_BESIDE_ANOTHER)
        .filter(|name| !engine::SEEN_BY_IT_ALONE.contains(&name.as_str()))
        .filter(|name| !SEEN_WHEN_UNPLUGGED.contains(&name.as_str()))
        .collect();
    trials.extend(explore::trials(&seen_by_actions));
    trials.extend(recorded::trials());
    if let Some(reason) = what_is_missing() {
        let skipped = |trial: Trial| {
            let kind = format!("skipped: {reason}");
            trial.with_ignored_flag(true).with_kind(kind)
        };
        trials = trials.into_iter().map(skipped).collect();
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// The suites with the drivers that GCC made, where they were built.
fn driver_of_gcc() -> Trial {
    let driver = Path::new(DMARIG)
        .ancestors()
        .nth(2)
        .map(|target| target.join("guest/gcc/dmarig.sys"));
    let title = "default_suite_passes_with_the_driver_of_gcc";
    match driver.filter(|driver| driver.is_file()) {
        Some(driver) => Trial::test(title, move || {
            let driver = driver.to_str().ok_or("a path in UTF-8")?;
            expect_whole_suite(&Run::new(&["--driver", driver]))
        }),
        None => Trial::test(title, || Ok(()))
            .with_ignored_flag(true)
            .with_kind("skipped: not built, see cargo xtask driver --toolchain gcc"),
    }
}

/// The first thing that the doctor misses.
fn what_is_missing() -> Option<String> {
    let output = Command::new(DMARIG).args(["doctor", "--json"]).output();
    let output = output.expect("dmarig starts");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let checks = report["checks"].as_array().expect("a list");
    let missing = checks.iter().find(|check| check["state"] == "missing")?;
    let detail = missing["detail"].as_str().unwrap_or_default();
    let line = detail.lines().next().unwrap_or_default();
    Some(format!(
        "{}: {line}",
        missing["name"].as_str().unwrap_or("?")
    ))
}

fn sabotages() -> Vec<String> {
    let list = Command::new(DMARIG)
        .args(["list", "--sabotages", "--json"])
        .output();
    let list: Value = serde_json::from_slice(&list.expect("dmarig starts").stdout).expect("JSON");
    let list = list["sabotages"].as_array().expect("a list");
    list.iter()
        .map(|sabotage| sabotage["name"].as_str().expect("a name").to_owned())
        .collect()
}

/// One run with its reports in a folder of its own.
struct Run {
    folder: tempfile::TempDir,
    output: Output,
}

impl Run {
    fn new(arguments: &[&str]) -> Self {
        Self::of("run", arguments)
    }

    /// A run by another subcommand.
    fn of(subcommand: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let arguments = [&[subcommand], arguments].concat();
        let output = command(&folder, &arguments)
            .output()
            .expect("dmarig starts");
        Self { folder, output }
    }

    /// The same folder once more.
    fn again(mut self, subcommand: &str, arguments: &[&str]) -> Self {
        let arguments = [&[subcommand], arguments].concat();
        self.output = command(&self.folder, &arguments)
            .output()
            .expect("dmarig starts");
        self
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    /// The verdict of every check: (mode, id) to its kind.
    fn verdicts(&self) -> BTreeMap<(String, String), String> {
        let text = fs::read_to_string(self.out().join("events.jsonl")).unwrap_or_default();
        let word = |value: &Value| value.as_str().unwrap_or("?").to_owned();
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|record| record["event"] == "case-ended")
            .map(|record| {
                let check = (word(&record["remapping"]), word(&record["id"]));
                (check, word(&record["verdict"]["kind"]))
            })
            .collect()
    }

    fn red_sets(&self) -> RedSets {
        let mut sets = RedSets::new();
        for ((mode, id), verdict) in self.verdicts() {
            let set = sets.entry(mode).or_default();
            if verdict == "failed" || verdict == "broken" {
                set.insert(id);
            }
        }
        sets
    }

    /// A sabotage of the device, whose strikes are counted, has struck.
    fn expect_struck(&self) -> Result<(), Failed> {
        let text = fs::read_to_string(self.out().join("events.jsonl"))?;
        let counts: Vec<u64> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|record| record["event"] == "sabotage")
            .filter_map(|record| record["struck"].as_u64())
            .collect();
        if counts.is_empty() || counts.iter().any(|count| *count > 0) {
            return Ok(());
        }
        Err("the sabotage never struck".into())
    }

    fn expect_exit(&self, expected: i32) -> Result<(), Failed> {
        if self.output.status.code() == Some(expected) {
            return Ok(());
        }
        Err(format!(
            "expected exit {expected}, seen {:?}\n{}{}",
            self.output.status.code(),
            String::from_utf8_lossy(&self.output.stdout),
            String::from_utf8_lossy(&self.output.stderr)
        )
        .into())
    }
}

/// A subcommand with its arguments, and the folders that are the test's own.
fn command(folder: &tempfile::TempDir, arguments: &[&str]) -> Command {
    let sockets = folder.path().join("tmp");
    fs::create_dir_all(&sockets).expect("made");
    let mut command = Command::new(DMARIG);
    command
        .args(arguments)
        .arg("--out")
        .arg(folder.path().join("out"))
        .env("TMPDIR", sockets)
        .stdin(Stdio::null());
    command
}

fn default_suite() -> Result<(), Failed> {
    expect_whole_suite(&Run::new(&[]))
}

fn survive_suite() -> Result<(), Failed> {
    let run = Run::new(SURVIVE_CHECKS);
    run.expect_exit(0)?;
    let n_cases = run
        .verdicts()
        .keys()
        .filter(|check| check.1.starts_with("SV-"))
        .count();
    if n_cases < 2 * 27 {
        return Err(format!("only {n_cases} checks").into());
    }
    Ok(())
}

fn expect_whole_suite(run: &Run) -> Result<(), Failed> {
    run.expect_exit(0)?;
    let verdicts = run.verdicts();
    let is_case = |id: &str| !id.starts_with("RIG/");
    let passed = |check: &(&(String, String), &String)| is_case(&check.0.1) && check.1 == "passed";
    let count = verdicts.iter().filter(passed).count();
    if count < CASES_MIN {
        return Err(format!("{count} cases passed, expected {CASES_MIN} or more").into());
    }
    let junit = fs::read_to_string(run.out().join("junit.xml"))?;
    let cases = junit.matches("<testcase ").count();
    if cases != verdicts.len() {
        let seen = verdicts.len();
        return Err(format!("{cases} cases in junit.xml, {seen} in events.jsonl").into());
    }
    Ok(())
}

fn kmdf_suite() -> Result<(), Failed> {
    /// Checks that the suite must at least have.
    const CHECKS_MIN: usize = 180;
    let run = Run::new(&["--suite", "kmdf"]);
    run.expect_exit(0)?;
    let verdicts = run.verdicts();
    let count = verdicts
        .values()
        .filter(|verdict| *verdict == "passed")
        .count();
    if count < CHECKS_MIN || count != verdicts.len() {
        let seen = verdicts.len();
        return Err(format!("{count} of {seen} checks passed, {CHECKS_MIN} or more wanted").into());
    }
    Ok(())
}

/// The negative control: whatever frees a common buffer is red, and what frees none is not.
fn kmdf_sabotaged() -> Result<(), Failed> {
    let arguments = [
        "--suite", "kmdf", "--filter", "KD-16*", "--filter", "KD-4/*",
    ];
    let mode = ["--remapping", "on", "--sabotage", "nt-leave-mapping"];
    let run = Run::new(&[&arguments[..], &mode].concat());
    run.expect_exit(1)?;
    let red = run.red_sets();
    let expected = ["KD-16/buffer-deleted", "KD-16/enabler-deleted"].map(str::to_owned);
    let expected = RedSets::from([("on".to_owned(), expected.into())]);
    if red == expected {
        Ok(())
    } else {
        Err(format!("red: {red:#?}").into())
    }
}

fn narrowed() -> Result<(), Failed> {
    let run = Run::new(&["--filter", "CM-9*", "--remapping", "off"]);
    run.expect_exit(0)?;
    let is_asked = |(mode, id): &(String, String)| {
        mode == "off" && (id.starts_with("CM-9/") || id.starts_with("RIG/"))
    };
    if run.verdicts().keys().all(is_asked) {
        Ok(())
    } else {
        Err(format!("{:?}", run.verdicts()).into())
    }
}

fn same_again() -> Result<(), Failed> {
    let first = Run::new(&[]).verdicts();
    let second = Run::new(&[]).verdicts();
    if first == second && !first.is_empty() {
        Ok(())
    } else {
        Err(format!("first {first:?}\nthen {second:?}").into())
    }
}

/// Leaks are counted when the driver is unloaded, behind all actions of explore.
const SEEN_AT_UNLOAD: &str = "driver-leak-";
/// What a driver owes a device that misbehaves, or that sleeps: seen by the suite of that alone.
const SEEN_UNDER_FAULTS: [&str; 3] = [
    "driver-no-recovery",
    "driver-dma-in-d3",
    "driver-trust-interrupt",
];
/// Seen by a second device alone.
const SEEN_BESIDE_ANOTHER: &str = "nt-shared-domain";
/// What it owes a device that goes.
const SEEN_WHEN_UNPLUGGED: [&str; 2] = ["driver-keep-device", "driver-leak-registers"];
const PLUG_CHECKS: &[&str] = &["--suite", "plug"];
const SURVIVE_CHECKS: &[&str] = &["--suite", "survive"];
/// The generated actions of explore make no transfers.
const SEEN_BY_TRANSFERS_ALONE: &str = "driver-skip-flush";
/// They let no allocation fail.
const SEEN_AT_LOW_RESOURCES: &str = "nt-leak-on-failure";
/// The checks that a sabotage of transfers is seen by; all others show in the default suite.
const TRANSFER_CHECKS: &[&str] = &[
    "--suite",
    "transfer",
    "--filter",
    "SG-1/*",
    "--filter",
    "SG-2/chain",
    "--filter",
    "MX-1/*",
    "--filter",
    "FL-1/*",
];

fn sabotaged(name: &str) -> Result<(), Failed> {
    let checks = match name {
        SEEN_BY_TRANSFERS_ALONE | "driver-truncate-address" => TRANSFER_CHECKS,
        SEEN_BESIDE_ANOTHER => &["--suite", "several"],
        name if SEEN_UNDER_FAULTS.contains(&name) => SURVIVE_CHECKS,
        name if SEEN_WHEN_UNPLUGGED.contains(&name) => PLUG_CHECKS,
        _ => &[],
    };
    red_set_is(name, checks, "tests/sabotages.toml")
}

/// Runs the checks under a sabotage and compares what is red with the table's row.
fn red_set_is(name: &str, checks: &[&str], table: &str) -> Result<(), Failed> {
    let run = Run::new(&[&["--sabotage", name], checks].concat());
    let seen = run.red_sets();
    let rows = red_sets_of(table)?;
    if rows.get(name) == Some(&seen) {
        // Red, and said so; a sabotage that no boot saw strike would have the same exit.
        return run.expect_exit(1).and_then(|()| run.expect_struck());
    }
    let mut text = format!("the red set differs from {table}; seen:\n\n[{name}]\n");
    for (mode, ids) in &seen {
        text.push_str(
            &format!("{mode} = {ids:#?}\n")
                .replace('{', "[")
                .replace('}', "]"),
        );
    }
    run.expect_exit(1)
        .map_err(|error| format!("{text}\n{}", error.message().unwrap_or("?")))?;
    Err(text.into())
}

/// The rows of a table, by sabotage.
fn red_sets_of(table: &str) -> Result<BTreeMap<String, RedSets>, Failed> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(table);
    Ok(toml::from_str(&fs::read_to_string(path)?)?)
}

fn interrupted() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let mut child = command(&folder, &["run"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let events = folder.path().join("out/events.jsonl");
    let start = Instant::now();
    while !fs::read_to_string(&events)
        .unwrap_or_default()
        .contains("case-started")
    {
        if start.elapsed() > DEADLINE {
            child.kill()?;
            return Err("no case was started".into());
        }
        thread::sleep(POLL_INTERVAL);
    }
    let pid = Pid::from_raw(i32::try_from(child.id())?).ok_or("no process id")?;
    kill_process(pid, Signal::INT)?;
    let status = child.wait()?;
    if status.code() != Some(130) {
        return Err(format!("{status}").into());
    }
    let left: Vec<_> = fs::read_dir(folder.path().join("tmp"))?.flatten().collect();
    let processes = processes_that_name(folder.path());
    if left.is_empty() && processes.is_empty() {
        Ok(())
    } else {
        Err(format!("left behind: {left:?} {processes:?}").into())
    }
}

/// Command lines of living processes with that folder in them.
fn processes_that_name(folder: &Path) -> Vec<String> {
    let folder = folder.to_string_lossy();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(folder.as_ref()))
        .collect()
}
