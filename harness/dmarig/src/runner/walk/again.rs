//! [`again`]: a recorded boot of a walk once more, with its rules where they were.

use super::super::recording::RecordedRun;
use super::super::run::{Plan, log_folder};
use super::super::signals::Signals;
use super::super::worker::TrialPoint;
use super::judge::judge;
use super::trial::Bench;
use crate::event::WalkVerdict;
use crate::faults::Faults;
use crate::run_folder::RunFolder;

/// Boots for the fault point that `plan` has as its cases and rules, in the folder of a run's first boot. What the
/// driver made of it, or `None` where it was interrupted.
#[must_use]
pub fn again(
    plan: &Plan,
    folder: &RunFolder,
    signals: &Signals,
    recorded: &RecordedRun,
) -> Option<(WalkVerdict, String)> {
    let remapping = recorded.mode();
    let point = TrialPoint {
        rules: plan.faults.device_rules(),
        rules_of_start: None,
        cases: plan.cases.clone(),
    };
    let first = plan.cases.first();
    let profile = first.map_or(&contract::DEFAULT_PROFILE, |case| case.profile);
    let bench = Bench {
        plan,
        folder,
        signals,
    };
    let logs = plan.out.join(log_folder(1, remapping));
    let trial = bench.run(
        &Faults::default(),
        (profile, remapping),
        vec![point],
        (1, &logs),
    );
    judge(&trial)
}
