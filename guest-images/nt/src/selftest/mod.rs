//! Tests of what needs the machine, run by the kernel itself: `selftest=NAME` on the command line runs them in
//! place of a driver (`all`: all but those that end the machine, and measurements). Each gives a `selftest` event; a failed
//! assertion is a panic line.

/// Pairs a routine with its name, and with the end that it must have.
macro_rules! end {
    ($name:ident => $end:expr) => {
        ((stringify!($name), $name as fn()), $end)
    };
}

mod devices;
mod dma;
mod driver_code;
mod fatal;
mod interrupted;
mod measure;
mod memory_map;
mod threads;
mod transfer;
mod transfer_misuse;
mod transfer_rig;

use alloc::vec::Vec;

use crate::arch::exit::{ExitCode, exit};
use crate::boot;
use crate::console::Event;

pub use fatal::End;

/// A test and its name.
type Test = (&'static str, fn());

const TESTS: &[&[Test]] = &[
    threads::TESTS,
    interrupted::TESTS,
    memory_map::TESTS,
    devices::TESTS,
    dma::SOUND,
    transfer::SOUND,
];

/// Names of the tests that pass, for whoever boots them.
#[must_use]
pub fn names() -> Vec<&'static str> {
    let tests = TESTS.iter().copied().flatten();
    tests.map(|(name, _)| *name).collect()
}

/// Names of those among them that hold under every setting of transfers.
#[must_use]
pub fn transfer_names() -> Vec<&'static str> {
    transfer::SOUND.iter().map(|(name, _)| *name).collect()
}

/// Names and ends of the tests that break something.
#[must_use]
pub fn fatal_names() -> Vec<(&'static str, End)> {
    let tests = fatal_tests();
    tests.map(|((name, _), end)| (*name, *end)).collect()
}

/// Runs the tests that the command line names, if any, and leaves the machine.
pub fn run() {
    let Some(wanted) = boot::info().and_then(|info| info.options.selftest.as_deref()) else {
        return;
    };
    let tests = TESTS.iter().copied().flatten();
    let fatal = fatal_tests().map(|(test, _)| test);
    let mut count = 0;
    for test in tests.filter(|(name, _)| wanted == "all" || wanted == *name) {
        run_one(test);
        count += 1;
    }
    let measurements = measure::MEASUREMENTS.iter();
    for test in fatal
        .chain(measurements)
        .filter(|(name, _)| wanted == *name)
    {
        run_one(test);
        count += 1;
    }
    assert!(count > 0, "no test is called {wanted}");
    Event::new("goodbye").text("reason", "selftest").send();
    exit(ExitCode::Clean)
}

fn fatal_tests() -> impl Iterator<Item = &'static (Test, End)> {
    let tests = fatal::TESTS.iter().chain(dma::TESTS);
    tests.chain(transfer_misuse::TESTS)
}

fn run_one((name, test): &Test) {
    let report = |status| {
        Event::new("selftest")
            .text("name", name)
            .text("status", status)
            .send()
    };
    report("start");
    test();
    report("pass");
}
