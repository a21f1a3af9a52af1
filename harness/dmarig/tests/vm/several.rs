//! Two devices under test at once, with both drivers; and what each check of them is worth.

use std::collections::BTreeSet;

use libtest_mimic::{Failed, Trial};

use super::Run;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("several_suite_passes_in_both_modes", suite),
        Trial::test("several_suite_sees_a_bit_flipped_by_either_device", flipped),
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

fn is_case(id: &str) -> bool {
    id.starts_with("DV-")
}
