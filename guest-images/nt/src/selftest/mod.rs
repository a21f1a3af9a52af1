//! Tests of what needs the machine, run by the kernel itself: `selftest=NAME` (or `all`) on the command line
//! runs them in place of a driver. Each gives a `selftest` event; a failure is a panic.

mod threads;

use crate::arch::exit::{ExitCode, exit};
use crate::boot;
use crate::console::Event;

/// A test and its name.
type Test = (&'static str, fn());

const TESTS: &[&[Test]] = &[threads::TESTS];

/// Runs the tests that the command line names, if any, and leaves the machine.
pub fn run() {
    let Some(wanted) = boot::info().and_then(|info| info.options.selftest.as_deref()) else {
        return;
    };
    let mut count = 0;
    for (name, test) in TESTS.iter().copied().flatten() {
        if wanted == "all" || wanted == *name {
            Event::new("selftest").text("name", name).text("status", "start").send();
            test();
            Event::new("selftest").text("name", name).text("status", "pass").send();
            count += 1;
        }
    }
    assert!(count > 0, "no test is called {wanted}");
    Event::new("goodbye").text("reason", "selftest").send();
    exit(ExitCode::Clean)
}
