//! The device under test leaves the running machine and comes back.

use std::path::Path;

use libtest_mimic::{Failed, Trial};

use super::Run;

/// Checks of the suite, in both modes.
const CASES_MIN: usize = 2 * 14;

pub(super) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("plug_suite_passes_and_each_boot_replays", whole_suite),
        Trial::test("device_with_msix_is_not_taken_out", with_msix),
    ]
}

/// Over each removal and return the device's recording stays whole.
fn whole_suite() -> Result<(), Failed> {
    let run = Run::new(&["--suite", "plug"]);
    run.expect_exit(0)?;
    let verdicts = run.verdicts();
    let n_cases = verdicts.keys().filter(|it| it.1.starts_with("PL-")).count();
    if n_cases < CASES_MIN {
        return Err(format!("only {n_cases} checks").into());
    }
    for boot in ["boot-1-remapping-on", "boot-4-remapping-off"] {
        let boot = run.out().join(boot);
        let replayed = Run::of("replay", &[boot.to_str().ok_or("a path in UTF-8")?]);
        replayed.expect_exit(0)?;
        expect_said(&replayed, "dut0: identical: ")?;
    }
    Ok(())
}

/// QEMU would abort: it is not asked, and whoever named the device is told.
fn with_msix() -> Result<(), Failed> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../device/device_file/devices/dmarig-dut.toml");
    let file = file.to_str().ok_or("a path in UTF-8")?;
    for case in ["PL-1/idle", "PL-4/link-down", "PL-4/under-a-transfer"] {
        let run = Run::new(&[
            "--suite",
            "plug",
            "--remapping",
            "off",
            "--filter",
            case,
            "--device",
            file,
        ]);
        run.expect_exit(3)?;
        expect_said(&run, "dut0 has MSI-X: QEMU 11.1 aborts")?;
        expect_said(&run, "help: give it `msix_vectors = 0`")?;
    }
    Ok(())
}

fn expect_said(run: &Run, words: &str) -> Result<(), Failed> {
    let said = String::from_utf8_lossy(&run.output.stdout);
    if said.contains(words) {
        return Ok(());
    }
    Err(format!("nothing said {words:?}:\n{said}").into())
}
