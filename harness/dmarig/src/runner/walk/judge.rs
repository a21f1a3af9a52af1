//! What a driver made of a fault: from what was seen in the boot to a [`WalkVerdict`].
//!
//! *Survived* means all of this: the fault struck; the guest lived; whatever did not work was reported as a failure
//! (by the operation, or by refusing to start), or worked all the same; no oracle found anything but that report; a
//! case that follows without a fault passes; the driver unloads and leaves nothing allocated.

use contract::{CaseOutcome, Finding};
use qemu::console::GuestEventKind;

use super::super::worker::TrialCase;
use super::trial::Trial;
use crate::event::{BootEnding, Verdict, WalkVerdict};
use crate::report::describe;

/// The verdict and the reason; `None` where the boot was interrupted, so that nothing is known.
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
    if let Some(refusal) = trial.refusal()
        && trial.cases.is_empty()
    {
        return (WalkVerdict::Survived, format!("refused: {refusal}"));
    }
    judge_cases(trial)
}

/// The driver was there, and the cases ran.
fn judge_cases(trial: &Trial) -> (WalkVerdict, String) {
    let [struck @ .., last] = &trial.cases[..] else {
        let text = if trial.n_cases == 0 {
            return (WalkVerdict::Survived, "went on".to_owned());
        } else {
            "the case did not end".to_owned()
        };
        return (WalkVerdict::Hung, text);
    };
    let (mut verdict, mut how) = (WalkVerdict::Survived, "went on".to_owned());
    for case in struck {
        match case_under_fault(case) {
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

/// How the driver reported the failure, or `None` where nothing failed.
///
/// # Errors
/// A view disagreed otherwise than by the driver's own report.
fn case_under_fault(case: &TrialCase) -> Result<Option<String>, String> {
    let CaseOutcome::Failed(findings) = &case.outcome else {
        return Ok(None);
    };
    let is_report = |finding: &Finding| {
        let mut refusals = case.refusals.iter();
        ["driver", "device"].contains(&finding.view)
            && refusals.any(|refusal| finding.seen.contains(refusal.as_str()))
    };
    if let Some(other) = findings.iter().find(|finding| !is_report(finding)) {
        return Err(other.to_string());
    }
    Ok(findings
        .first()
        .map(|finding| format!("reported: {}: {}", finding.what, finding.seen)))
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
