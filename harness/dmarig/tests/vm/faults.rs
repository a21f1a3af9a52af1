//! `dmarig run --faults` on the real rig: the driver's checks turn red by the rule, and by it alone.

use std::fs;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};

use super::Run;

/// A case whose driver lets the device do DMA by its ring, and waits for the interrupt.
const CASE: &str = "AB-1/by-ring";
/// One whose driver reads the channel's status register.
const REGISTER_CASE: &str = "CM-1/nonpaged-pool";

pub(super) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("case_of_the_fault_tests_passes_without_rules", || {
            of_case(CASE, &[]).expect_exit(0)?;
            of_case(REGISTER_CASE, &[]).expect_exit(0)
        }),
        Trial::test("rule_that_never_strikes_fails_the_run", never_strikes),
        Trial::test("rule_file_that_is_wrong_starts_nothing", wrong_file),
    ];
    for (file, case) in [
        ("bit-flip", CASE),
        ("dropped-write", CASE),
        ("interrupt-lost", CASE),
        ("iommu-refused", CASE),
        ("register-stuck", REGISTER_CASE),
        ("surprise-removal", CASE),
    ] {
        let title = format!("faults_{}_turn_the_case_red", file.replace('-', "_"));
        trials.push(Trial::test(title, move || {
            ends(file, case, 1, &["failed", "broken"])
        }));
    }
    // The entry comes late, but whole: a driver that looks at the phase bit waits for it.
    trials.push(Trial::test(
        "driver_survives_a_torn_completion_entry",
        || ends("completion-torn", CASE, 0, &["passed"]),
    ));
    trials
}

fn of_case(case: &str, arguments: &[&str]) -> Run {
    let case = ["--filter", case, "--remapping", "on", "--timeout", "20"];
    Run::new(&[&case, arguments].concat())
}

fn committed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("faults")
        .join(file)
        .with_extension("toml")
}

/// Runs the case under a committed rule file: the rule has struck, and the case ends as told.
fn ends(file: &str, case: &str, exit: i32, wanted: &[&str]) -> Result<(), Failed> {
    let path = committed(file);
    let run = of_case(case, &["--faults", path.to_str().ok_or("a path in UTF-8")?]);
    run.expect_exit(exit)?;
    let verdicts = run.verdicts();
    let verdict = |id: &str| verdicts.get(&("on".to_owned(), id.to_owned()));
    let strike = verdict(&format!("FAULT/{file}")).map(String::as_str);
    let seen = verdict(case).map(String::as_str);
    if strike == Some("passed") && seen.is_some_and(|seen| wanted.contains(&seen)) {
        return Ok(());
    }
    Err(format!("{verdicts:#?}").into())
}

fn never_strikes() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("never.toml");
    let text =
        "[[rule]]\nname = \"never\"\nevent = \"dma-write\"\nnth = 1000000\neffect = \"drop\"\n";
    for (more, exit, verdict) in [("", 1, "failed"), ("optional = true\n", 0, "skipped")] {
        fs::write(&file, format!("{text}{more}"))?;
        let run = of_case(CASE, &["--faults", file.to_str().ok_or("a path in UTF-8")?]);
        run.expect_exit(exit)?;
        let verdicts = run.verdicts();
        let seen = |id: &str| verdicts.get(&("on".to_owned(), id.to_owned()));
        let is_as_told = seen("FAULT/never").map(String::as_str) == Some(verdict)
            && seen(CASE).map(String::as_str) == Some("passed");
        if !is_as_told {
            return Err(format!("{verdicts:#?}").into());
        }
    }
    Ok(())
}

fn wrong_file() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("wrong.toml");
    fs::write(
        &file,
        "[[rule]]\nname = \"a\"\nevent = \"msix\"\neffect = \"poison\"\n",
    )?;
    let run = of_case(CASE, &["--faults", file.to_str().ok_or("a path in UTF-8")?]);
    let words = String::from_utf8_lossy(&run.output.stderr).into_owned();
    let is_told = [
        "line 4, column 10",
        "`poison` cannot happen at `msix`",
        "help:",
    ]
    .iter()
    .all(|word| words.contains(word));
    if is_told && run.verdicts().is_empty() && run.output.status.code() != Some(0) {
        return Ok(());
    }
    Err(words.into())
}
