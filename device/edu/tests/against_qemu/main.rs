//! The same operations on QEMU's own `edu` device and on ours behind `vfio-user-pci`: every result must
//! be equal. No guest runs: the test itself is the CPU, by QEMU's qtest protocol. Needs `DMARIG_QEMU`,
//! the path of a QEMU 11.1 or newer; without it both trials are skipped.

mod machine;
mod operations;
mod qtest;

use std::path::Path;

use control_api::FunctionName;
use control_api::request::{Sabotage, SabotageSet};
use libtest_mimic::{Arguments, Failed, Trial};
use machine::{Machine, Subject};

fn main() {
    let arguments = Arguments::from_args();
    let is_missing = std::env::var_os("DMARIG_QEMU").is_none();
    let trials = [
        Trial::test("every_operation_gives_what_qemus_own_device_gives", equal),
        Trial::test("a_flipped_bit_of_our_dma_is_told_apart", flipped_bit),
    ];
    let trials = trials
        .map(|trial| trial.with_ignored_flag(is_missing))
        .into();
    libtest_mimic::run(&arguments, trials).exit();
}

fn equal() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let (theirs, ours) = both(folder.path(), None);
    if let Some(difference) = first_difference(&theirs, &ours) {
        return Err(difference.into());
    }
    assert!(theirs.len() > 150, "{} operations", theirs.len());
    Ok(())
}

fn flipped_bit() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let (theirs, ours) = both(folder.path(), Some(Sabotage::DeviceFlipBit));
    let difference = first_difference(&theirs, &ours).ok_or("the two are equal")?;
    assert!(difference.contains("memory at 0x"), "{difference}");
    Ok(())
}

/// What the operations give on QEMU's device and on ours.
fn both(folder: &Path, sabotage: Option<Sabotage>) -> (Vec<String>, Vec<String>) {
    let mut theirs = Machine::start(Subject::Qemus, folder);
    let theirs = operations::run(&mut theirs);
    let mut ours = Machine::start(Subject::Ours, folder);
    if let Some(name) = sabotage {
        let set = SabotageSet {
            function: FunctionName::DUT0,
            name,
            times: None,
        };
        ours.control()
            .call(&set, machine::PATIENCE)
            .expect("sabotage");
    }
    let ours = operations::run(&mut ours);
    (theirs, ours)
}

fn first_difference(theirs: &[String], ours: &[String]) -> Option<String> {
    let longer = theirs.len().max(ours.len());
    let line = |lines: &[String], index: usize| lines.get(index).cloned().unwrap_or_default();
    (0..longer).find_map(|index| {
        let (expected, seen) = (line(theirs, index), line(ours, index));
        (expected != seen).then(|| format!("operation {index}: QEMU's: {expected}; ours: {seen}"))
    })
}
