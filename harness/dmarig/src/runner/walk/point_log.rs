//! [`PointLog`]: what a worker keeps of a fault point, and whether the boot can go on to the next.

use std::collections::BTreeSet;

use contract::{CaseOutcome, Finding};

/// A point that was begun.
#[derive(Clone, Debug, Default)]
pub struct PointLog {
    /// How often the device's rules have struck.
    pub strikes: u64,
    /// How many cases were to run.
    pub n_cases: usize,
    /// Those that have ended.
    pub cases: Vec<TrialCase>,
}

/// How a case went under a fault, or after one.
#[derive(Clone, Debug)]
pub struct TrialCase {
    /// Its outcome.
    pub outcome: CaseOutcome,
    /// What the driver answered in place of success.
    pub refusals: BTreeSet<String>,
}

impl PointLog {
    /// Whether the device's rule struck, whatever failed was reported, and the case that followed without a fault
    /// passed: as far as cases can tell, the boot is as good as new.
    pub fn is_sound(&self) -> bool {
        let Some((last, struck)) = self.cases.split_last() else {
            return false;
        };
        self.strikes > 0
            && self.cases.len() == self.n_cases
            && !matches!(last.outcome, CaseOutcome::Failed(_))
            && struck.iter().all(|case| case.report().is_ok())
    }
}

impl TrialCase {
    /// How the driver reported the failure, or `None` where nothing failed.
    ///
    /// # Errors
    /// A view disagreed otherwise than by the driver's own report.
    pub fn report(&self) -> Result<Option<String>, String> {
        let CaseOutcome::Failed(findings) = &self.outcome else {
            return Ok(None);
        };
        let is_report = |finding: &Finding| {
            let mut refusals = self.refusals.iter();
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
}
