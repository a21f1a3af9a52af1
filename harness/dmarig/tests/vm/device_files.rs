//! The device files that come with dmarig, booted with the driver.

use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};

use super::Run;

/// What lets the device do DMA by registers, and by its ring. Without remapping, a mapping where the mappable
/// BAR lies vanishes under the first case, which the oracle of mappings does not forgive.
const CASES: &[&str] = &["CM-1/nonpaged-pool", "AB-1/by-ring"];
/// A card with 32 address bits is for 32-bit adapters: with remapping on, others get addresses above.
const CASES_OF_32_BITS: &[&str] = &["AC-8/32-bit"];

pub(super) fn trials() -> Vec<Trial> {
    let passes = |title: &str, file: &'static str, cases: &'static [&'static str], mode| {
        Trial::test(title, move || {
            let run = run(file, cases, &["--own-ids", "--remapping", mode]);
            run.expect_exit(0)
        })
    };
    vec![
        passes(
            "card_of_the_built_in_device_works",
            "dmarig-dut",
            CASES,
            "both",
        ),
        passes("card_with_a_bit_of_everything_works", "rich", CASES, "on"),
        passes(
            "card_with_a_pin_and_32_bits_works",
            "legacy-io",
            CASES_OF_32_BITS,
            "both",
        ),
        passes(
            "card_with_a_pin_works_without_remapping",
            "legacy-io",
            CASES,
            "off",
        ),
        passes("card_with_msi_alone_works", "msi-only", CASES, "both"),
        Trial::test("card_that_no_driver_knows_ends_the_run_at_once", no_driver),
    ]
}

fn device(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../device/device_file/devices")
        .join(file)
        .with_extension("toml")
}

fn run(file: &str, cases: &[&str], arguments: &[&str]) -> Run {
    let device = device(file);
    let device = device.to_str().expect("a path in UTF-8");
    let mut all = vec!["--device", device, "--timeout", "20"];
    all.extend(cases.iter().flat_map(|case| ["--filter", case]));
    all.extend(arguments);
    Run::new(&all)
}

fn no_driver() -> Result<(), Failed> {
    for (file, ids) in [("legacy-io", "1234:d0a2"), ("nic-like", "1234:d0b1")] {
        let run = run(file, CASES, &[]);
        let words = String::from_utf8_lossy(&run.output.stderr).into_owned();
        let is_told = words.contains(&format!("no driver for device {ids}"))
            && words.contains("the INF matches PCI\\VEN_1234&DEV_D0A0");
        if !is_told || !run.verdicts().is_empty() || run.output.status.code() == Some(0) {
            return Err(words.into());
        }
    }
    Ok(())
}
