//! What a driver made of a fault: from what was seen in the boot to a [`WalkVerdict`].
//!
//! *Survived* means all of this: the fault struck; the guest lived; whatever did not work was reported as a failure
//! (by the operation, or by refusing to start), or worked all the same; no oracle found anything but that report; a
//! case that follows without a fault passes; the driver unloads and leaves nothing allocated.

use contract::CaseOutcome;
use qemu::console::GuestEventKind;

use super::point_log::PointLog;
use super::trial::Trial;
use crate::event::{BootEnding, Verdict, WalkVerdict};
use crate::report::describe;

/// The verdict on the point that was tried last, and the reason; `None` where the boot was interrupted, so that
/// nothing is known.
pub fn judge(trial: &Trial) -> Option<(WalkVerdict, String)> {
    let detail = trial.ending.detail.clone();
    let is_panic = |event: &GuestEventKind| matches!(event, GuestEventKind::Panic { .. });
    let has_left = trial.has_no_driver();
    match trial.ending.how {
        BootEnding::Interrupted => return None,
        BootEnding::Clean => {}
        BootEnding::GuestFailed if has_left => {}
        BootEnding::GuestFailed if !trial.guest.iter().any(is_panic) => {
            return Some((WalkVerdict::BugChecked, detail));
        }
        BootEnding::BugCheck => return Some((WalkVerdict::BugChecked, detail)),
        BootEnding::GuestHung | BootEnding::ProtocolBroken => {
            return Some((WalkVerdict::Hung, detail));
        }
        _ if trial.is_refused_by_qemu() => {
            return Some((WalkVerdict::Detected, detail));
        }
        BootEnding::GuestFailed
        | BootEnding::EnvironmentMissing
        | BootEnding::QemuDied
        | BootEnding::DeviceDied
        | BootEnding::HarnessFailed => return Some((WalkVerdict::Broken, detail)),
    }
    Some(judge_survivor(trial))
}

/// The guest lived to its end.
fn judge_survivor(trial: &Trial) -> (WalkVerdict, String) {
    if !trial.has_struck() {
        let text = "the point was not reached again".to_owned();
        return (WalkVerdict::Missed, text);
    }
    if let Some(found) = trial.early_findings.first() {
        return (WalkVerdict::Detected, format!("the guest found {found}"));
    }
    let leaks = trial.leaks();
    if !leaks.is_empty() {
        let text = format!("left after the unload: {}", leaks.join(", "));
        return (WalkVerdict::Leaked, text);
    }
    match &trial.unload {
        Some(Verdict::Failed { findings }) => {
            let list: Vec<String> = findings.iter().map(describe).collect();
            return (WalkVerdict::Detected, list.join("; "));
        }
        Some(Verdict::Broken { reason }) => return (WalkVerdict::Detected, reason.clone()),
        _ => {}
    }
    let point = trial.points.last();
    if point.is_none_or(|point| point.cases.is_empty()) {
        if let Some(refusal) = trial.refusal() {
            return (WalkVerdict::Survived, format!("refused: {refusal}"));
        }
        if trial.has_no_device() {
            let text = "no device was found, so the driver was not asked";
            return (WalkVerdict::Survived, text.to_owned());
        }
    }
    let Some(point) = point else {
        return (WalkVerdict::Hung, "the case did not begin".to_owned());
    };
    match judge_cases(point) {
        // The device is not what the platform took it for, which no driver can mend and the case has noticed.
        (WalkVerdict::Unusable, detail) if trial.is_of_enumeration => {
            (WalkVerdict::Detected, detail)
        }
        judged => judged,
    }
}

/// The driver was there, and the cases ran.
pub fn judge_cases(point: &PointLog) -> (WalkVerdict, String) {
    let [struck @ .., last] = &point.cases[..] else {
        let text = if point.n_cases == 0 {
            return (WalkVerdict::Survived, "went on".to_owned());
        } else {
            "the case did not end".to_owned()
        };
        return (WalkVerdict::Hung, text);
    };
    let (mut verdict, mut how) = (WalkVerdict::Survived, "went on".to_owned());
    for case in struck {
        match case.report() {
            Ok(Some(report)) => how = report,
            Ok(None) => {}
            Err(finding) => (verdict, how) = (WalkVerdict::Detected, finding),
        }
    }
    match &last.outcome {
        CaseOutcome::Failed(findings) => {
            let first = findings
                .first()
                .map(ToString::to_string)
                .unwrap_or_default();
            let text = format!("{how}, but the case fails without a fault, too: {first}");
            (WalkVerdict::Unusable, text)
        }
        CaseOutcome::Passed | CaseOutcome::Skipped(_) => (verdict, how),
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
