//! What happens when a driver breaks a rule: with `verifier=on` the documented bug check, else a finding.
//!
//! Where Windows documents no code, nt stops with a finding id of its own; it invents no bug check code.

use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::arch::exit::{ExitCode, exit};
use crate::arch::images::Symbolic;
use crate::console::Event;
use crate::ke::bugcheck;
use crate::ke::irql::{self, DISPATCH_LEVEL, Irql};

/// DRIVER_VERIFIER_DMA_VIOLATION
pub const DMA_VIOLATION: u32 = 0xE6;
/// DRIVER_VERIFIER_DETECTED_VIOLATION
pub const DETECTED_VIOLATION: u32 = 0xC4;

static IS_ON: AtomicBool = AtomicBool::new(true);
static FINDINGS: AtomicU64 = AtomicU64::new(0);

/// A documented bug check for a broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Documented {
    /// Bug check code.
    pub code: u32,
    /// Its parameters.
    pub parameters: [u64; 4],
}

/// Turns verification on or off (`verifier=`).
pub fn set(is_on: bool) {
    IS_ON.store(is_on, Ordering::Relaxed);
}

/// Whether verification is on.
#[must_use]
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Findings so far.
#[must_use]
pub fn findings() -> u64 {
    FINDINGS.load(Ordering::Relaxed)
}

/// Writes a finding and goes on, in either mode: for what is worth knowing and stops nothing.
pub fn finding(id: &str, detail: fmt::Arguments<'_>) {
    finding_at(id, detail, call_site());
}

fn finding_at(id: &str, detail: fmt::Arguments<'_>, location: Option<u64>) {
    FINDINGS.fetch_add(1, Ordering::Relaxed);
    let event = Event::new("finding")
        .text("id", id)
        .display("detail", &detail);
    match location {
        Some(address) => event.display("location", &Symbolic(address)).send(),
        None => event.send(),
    }
}

/// Where in a driver the call that is being served comes from, if a driver made one.
fn call_site() -> Option<u64> {
    if cfg!(feature = "kernel") {
        bugcheck::driver_location()
    } else {
        None
    }
}

/// A broken rule with a documented bug check: that one with `verifier=on`, else a finding.
pub fn violation(id: &str, detail: fmt::Arguments<'_>, documented: Documented) {
    finding(id, detail);
    if is_on() {
        bugcheck::raise(documented.code, documented.parameters);
    }
}

/// A broken rule without a documented code: stops with `verifier=on`, else goes on.
pub fn undocumented_violation(id: &str, detail: fmt::Arguments<'_>) {
    finding(id, detail);
    stop(id);
}

/// As [`undocumented_violation`], by the instruction at `location`.
pub fn undocumented_violation_at(id: &str, detail: fmt::Arguments<'_>, location: u64) {
    finding_at(id, detail, Some(location));
    stop(id);
}

fn stop(id: &str) {
    if is_on() {
        Event::new("goodbye").text("reason", id).send();
        exit(ExitCode::BugCheck);
    }
}

/// Requires an IRQL of at most `limit`.
pub fn at_most(routine: &str, limit: Irql) {
    let current = irql::current();
    if current > limit {
        undocumented_violation(
            "irql-too-high",
            format_args!("{routine} at IRQL {current}, at most {limit} is allowed"),
        );
    }
}

/// Requires DISPATCH_LEVEL or below, which holds for most routines.
pub fn at_most_dispatch(routine: &str) {
    at_most(routine, DISPATCH_LEVEL);
}

/// As [`at_most`], for routines whose misuse has a documented verifier code (0xC4 with this first
/// parameter; the second one is the IRQL).
pub fn at_most_or(routine: &str, limit: Irql, first_parameter: u64) {
    let current = irql::current();
    if current > limit {
        violation(
            "irql-too-high",
            format_args!("{routine} at IRQL {current}, at most {limit} is allowed"),
            Documented {
                code: DETECTED_VIOLATION,
                parameters: [first_parameter, current.into(), 0, 0],
            },
        );
    }
}
