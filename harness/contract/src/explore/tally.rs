//! [`Tally`]: what a run has done, counted.

use std::collections::BTreeMap;

/// Counts of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Actions judged.
    pub n_judged: u64,
    /// By kind of action.
    pub actions: BTreeMap<&'static str, u64>,
    /// By what came of them.
    pub outcomes: BTreeMap<String, u64>,
    /// By the rule that said what must come.
    pub rules: BTreeMap<&'static str, u64>,
    /// By the reason for leaving an action out.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Programs that the driver ran.
    pub n_programs: u64,
}

impl Tally {
    pub(super) fn judged(&mut self, action: &'static str, rule: &'static str, outcome: String) {
        self.n_judged += 1;
        *self.actions.entry(action).or_default() += 1;
        *self.outcomes.entry(outcome).or_default() += 1;
        if !rule.is_empty() {
            *self.rules.entry(rule).or_default() += 1;
        }
    }

    pub(super) fn left_out(&mut self, why: &'static str) {
        *self.left_out.entry(why).or_default() += 1;
    }

    /// Adds another run's counts.
    pub fn add(&mut self, other: &Self) {
        self.n_judged += other.n_judged;
        self.n_programs += other.n_programs;
        for (own, new) in [
            (&mut self.actions, &other.actions),
            (&mut self.rules, &other.rules),
            (&mut self.left_out, &other.left_out),
        ] {
            for (name, count) in new {
                *own.entry(name).or_default() += count;
            }
        }
        for (name, count) in &other.outcomes {
            *self.outcomes.entry(name.clone()).or_default() += count;
        }
    }
}
