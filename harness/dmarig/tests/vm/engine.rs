//! Suite `engine`: it passes, and each of its rules turns red under a sabotage of the device.

use std::collections::BTreeSet;

use libtest_mimic::{Failed, Trial};

use crate::{Run, red_set_is, red_sets_of};

/// Sabotages of what the other suites do not use.
pub(super) const SEEN_BY_IT_ALONE: [&str; 4] = [
    "device-pass-fence",
    "device-ignore-chain",
    "device-stale-index",
    "device-overlook-change",
];
/// The rows: what turns red under which sabotage.
const TABLE: &str = "tests/engine_sabotages.toml";
const SUITE: &[&str] = &["--suite", "engine"];
/// What is run under each; EN-6 with the WDM driver, and both ends of what vectors there may be.
const CHECKS: &[&str] = &[
    "--suite",
    "engine",
    "--filter",
    "EN-[1-5]/*",
    "--filter",
    "EN-6/some",
    "--filter",
    "EN-6/all-at-once",
    "--filter",
    "EN-6/pin",
];

pub(super) fn trials() -> Vec<Trial> {
    let rows = red_sets_of(TABLE).expect("a table");
    let sabotaged = rows.into_keys().map(|name| {
        let title = format!("{name}_turns_exactly_its_checks_of_the_engine_red");
        Trial::test(title, move || red_set_is(&name, CHECKS, TABLE))
    });
    [
        Trial::test("engine_suite_passes_in_both_modes", passes),
        Trial::test("each_rule_of_the_engine_turns_red_once", each_rule_is_red),
    ]
    .into_iter()
    .chain(sabotaged)
    .collect()
}

/// The upper halves of cause and enable are the driver's business, too.
fn passes() -> Result<(), Failed> {
    let run = Run::new(SUITE);
    run.expect_exit(0)?;
    let coverage = std::fs::read_to_string(run.out().join("register-coverage.txt"))?;
    for name in ["INTERRUPT_CAUSE_HIGH", "INTERRUPT_ENABLE_HIGH"] {
        let line = coverage.lines().find(|line| line.contains(name));
        if line.is_none_or(|line| line.contains("never")) {
            return Err(format!("{name} is not covered:\n{coverage}").into());
        }
    }
    Ok(())
}

/// The table has a row for each rule of the engine.
fn each_rule_is_red() -> Result<(), Failed> {
    let rows = red_sets_of(TABLE)?;
    let sets = rows.values().flat_map(|row| row.values());
    let red: BTreeSet<&str> = sets
        .flatten()
        .filter_map(|id| id.split('/').next())
        .collect();
    let rules = contract::rules().filter(|rule| rule.id.starts_with("EN-"));
    let never: Vec<&str> = rules
        .map(|rule| rule.id)
        .filter(|id| !red.contains(id))
        .collect();
    if never.is_empty() {
        Ok(())
    } else {
        Err(format!("never red: {never:?}").into())
    }
}
