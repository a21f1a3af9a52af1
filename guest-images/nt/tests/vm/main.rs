//! The kernel in a virtual machine: its own tests (`nt::selftest`) and what it does with bad input, each in a
//! boot of its own under QEMU with TCG.
//!
//! They need QEMU (`DMARIG_QEMU`, set by `scripts/setup --print-env`) and the kernel (`cargo xtask nt`, or
//! `DMARIG_NT_KERNEL`); without them each is listed as ignored, with the reason on standard error.

mod cases;
mod driver_cases;
mod machine;

use libtest_mimic::{Arguments, Trial};

use cases::Case;
use machine::Machine;

fn main() {
    let arguments = Arguments::from_args();
    let machine = Machine::find();
    if let Err(reason) = &machine {
        eprintln!("the tests in a virtual machine are ignored: {reason}");
    }
    let machine = machine.ok();
    let trials = cases::all()
        .into_iter()
        .map(|case| trial(case, machine.clone()))
        .collect();
    libtest_mimic::run(&arguments, trials).exit();
}

fn trial(case: Case, machine: Option<Machine>) -> Trial {
    let is_ignored = machine.is_none();
    Trial::test(case.name.clone(), move || {
        let machine = machine.ok_or("no machine")?;
        machine.boot(&case)
    })
    .with_ignored_flag(is_ignored)
}
