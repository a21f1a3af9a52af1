//! What a boot of several points says of each. A point's verdict is the one it has in a boot of its own: a shared boot
//! can only say that a point was survived, and only if that boot ended as it should. Whatever else is seen of a point
//! counts where it was the first of its boot; otherwise it is tried again, alone.

use super::judge::{judge, judge_cases};
use super::trial::Trial;
use crate::event::{BootEnding, Verdict, WalkVerdict};

/// What is known after a boot, by the points' places in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Verdicts with their reasons.
    pub results: Vec<(usize, WalkVerdict, String)>,
    /// Points to be tried again, each in a boot of its own.
    pub alone: Vec<usize>,
    /// Points to be tried again, together if one likes.
    pub again: Vec<usize>,
}

/// Settles a boot of `n_points`; `None` where it was interrupted, so that nothing is known.
pub fn settle(n_points: usize, trial: &Trial) -> Option<Settled> {
    let (verdict, detail) = judge(trial)?;
    if n_points == 1 {
        return Some(Settled {
            results: vec![(0, verdict, detail)],
            ..Settled::default()
        });
    }
    let Some(last) = trial.points.len().checked_sub(1) else {
        // It is not even known whom it speaks against.
        return Some(Settled {
            alone: (0..n_points).collect(),
            ..Settled::default()
        });
    };
    let rest = last + 1..n_points;
    if trial.ending.how != BootEnding::Clean {
        return Some(Settled {
            alone: vec![last],
            again: (0..last).chain(rest).collect(),
            ..Settled::default()
        });
    }
    if !has_good_end(trial) {
        return Some(Settled {
            alone: (0..=last).collect(),
            again: rest.collect(),
            ..Settled::default()
        });
    }
    let survived = trial.points[..last].iter().enumerate().map(|(at, point)| {
        let (verdict, detail) = judge_cases(point);
        (at, verdict, detail)
    });
    let mut settled = Settled {
        results: survived.collect(),
        alone: Vec::new(),
        again: rest.collect(),
    };
    if last == 0 || verdict == WalkVerdict::Survived {
        settled.results.push((last, verdict, detail));
    } else {
        settled.alone.push(last);
    }
    Some(settled)
}

/// Whether a boot that ended as asked has nothing to say against any of its points.
fn has_good_end(trial: &Trial) -> bool {
    trial.early_findings.is_empty()
        && trial.leaks().is_empty()
        && trial.refusal().is_none()
        && trial.unload == Some(Verdict::Passed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use contract::{CaseOutcome, Finding};

    use super::super::super::ending::Ending;
    use super::super::point_log::{PointLog, TrialCase};
    use super::*;

    fn point(under_fault: CaseOutcome) -> PointLog {
        let case = |outcome| TrialCase {
            outcome,
            refusals: BTreeSet::new(),
        };
        PointLog {
            strikes: 1,
            n_cases: 2,
            cases: vec![case(under_fault), case(CaseOutcome::Passed)],
        }
    }

    fn spoiled() -> CaseOutcome {
        CaseOutcome::Failed(vec![Finding {
            view: "device",
            what: "the bytes".into(),
            buffer: None,
            logical_address: None,
            expected: "0xa2".into(),
            seen: "0xa3".into(),
        }])
    }

    fn boot(points: Vec<PointLog>) -> Trial {
        Trial {
            ending: Ending::new(BootEnding::Clean, "done"),
            guest: Vec::new(),
            points,
            strikes_of_start: 0,
            is_of_start: false,
            is_of_enumeration: false,
            early_findings: Vec::new(),
            unload: Some(Verdict::Passed),
            duration: Duration::ZERO,
        }
    }

    fn check(n_points: usize, trial: &Trial, certain: &[usize], alone: &[usize], again: &[usize]) {
        let settled = settle(n_points, trial).expect("not interrupted");
        let known: Vec<usize> = settled.results.iter().map(|(at, _, _)| *at).collect();
        assert_eq!(
            (&known[..], &settled.alone[..], &settled.again[..]),
            (certain, alone, again)
        );
    }

    #[test]
    fn boot_that_ends_well_is_good_for_all_that_was_survived() {
        let good = || point(CaseOutcome::Passed);
        check(2, &boot(vec![good(), good()]), &[0, 1], &[], &[]);
        let bad_last = boot(vec![good(), good(), point(spoiled())]);
        check(5, &bad_last, &[0, 1], &[2], &[3, 4]);
        check(3, &boot(vec![point(spoiled())]), &[0], &[], &[1, 2]);
        check(1, &boot(vec![point(spoiled())]), &[0], &[], &[]);
        let interrupted = Trial {
            ending: Ending::new(BootEnding::Interrupted, "x"),
            ..boot(vec![good()])
        };
        assert_eq!(settle(2, &interrupted), None);
    }

    #[test]
    fn boot_that_ends_badly_is_good_for_none() {
        let good = || point(CaseOutcome::Passed);
        let dead = Trial {
            ending: Ending::new(BootEnding::BugCheck, "0x50"),
            unload: None,
            ..boot(vec![good(), good()])
        };
        check(4, &dead, &[], &[1], &[0, 2, 3]);
        let leaky = Trial {
            unload: Some(Verdict::Broken { reason: "x".into() }),
            ..boot(vec![good(), good()])
        };
        check(3, &leaky, &[], &[0, 1], &[2]);
        let hung = Trial {
            ending: Ending::new(BootEnding::GuestHung, "no driver"),
            unload: None,
            ..boot(Vec::new())
        };
        check(2, &hung, &[], &[0, 1], &[]);
    }
}
