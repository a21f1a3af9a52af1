//! The device's own remapping unit, programmed by the driver; and units that cannot do what the cases need,
//! each of which a case must notice.

use std::fs;

use libtest_mimic::{Failed, Trial};

use super::Run;

/// Settings that make some of the cases red, and those cases.
const UNFIT: [(&str, &[&str]); 5] = [
    (
        "iotlb_entries = 0",
        &["RU-3/domain", "RU-3/global", "RU-3/pages"],
    ),
    (
        "invalidation = \"immediate\"",
        &["RU-3/domain", "RU-3/global", "RU-3/pages"],
    ),
    ("context_entries = 0", &["RU-1/pass-through"]),
    ("pass_through = false", &["RU-1/pass-through"]),
    ("host_address_width = 52", &["RU-2/reserved-bit"]),
];

pub(super) fn trials() -> Vec<Trial> {
    let unfit = UNFIT.into_iter().map(|(setting, red)| {
        let name = setting.split(' ').next().unwrap_or_default();
        Trial::test(format!("iommu_suite_notices_{name}"), move || {
            unfit(setting, red)
        })
    });
    let suite = Trial::test("iommu_suite_passes_in_both_modes", suite);
    let wrong = Trial::test(
        "iommu_suite_notices_tables_of_another_function",
        wrong_function,
    );
    [suite, wrong].into_iter().chain(unfit).collect()
}

fn suite() -> Result<(), Failed> {
    let run = Run::new(&["--suite", "iommu"]);
    run.expect_exit(0)?;
    let n_cases = run.verdicts().keys().filter(|(_, id)| is_case(id)).count();
    if n_cases < 20 {
        return Err(format!("only {n_cases} cases").into());
    }
    Ok(())
}

fn unfit(setting: &str, expected: &[&str]) -> Result<(), Failed> {
    let red = red_under(setting)?;
    if red == expected {
        return Ok(());
    }
    Err(format!("{setting}: red are {red:?}, not {expected:?}").into())
}

/// Whoever walks the wrong tables finds nothing at all.
fn wrong_function() -> Result<(), Failed> {
    let red = red_under("requester = \"00:01.0\"")?;
    if red.len() == 10 {
        return Ok(());
    }
    Err(format!("red are only {red:?}").into())
}

/// The cases that are red with a unit of this setting.
fn red_under(setting: &str) -> Result<Vec<String>, Failed> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("unit.toml");
    let deferred = if setting.starts_with("invalidation") {
        ""
    } else {
        "invalidation = \"deferred\"\n"
    };
    let text = format!(
        "[iommu]\nguest_address_width = 39\nlevels = [3]\nregister_bar = 0\n\
         register_offset = 0x8000\n{deferred}{setting}\n"
    );
    fs::write(&file, text)?;
    let file = file.to_str().expect("a path of ours is text");
    let run = Run::new(&["--suite", "iommu", "--remapping", "off", "--device", file]);
    run.expect_exit(1)?;
    let red = run.red_sets();
    let red = red.values().flatten().filter(|id| is_case(id));
    Ok(red.cloned().collect())
}

fn is_case(id: &str) -> bool {
    id.starts_with("RU-")
}
