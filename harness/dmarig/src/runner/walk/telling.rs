//! [`Telling`]: tells of results in the order of their numbers, whatever the order in which the jobs have them.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::journal::Journal;
use super::queue::Numbered;
use crate::event::{CaseResult, Event, Verdict, WalkResult};

/// Numbers that are still to be told of, in order.
#[derive(Debug)]
pub struct Telling(VecDeque<usize>);

impl Telling {
    /// What is known, and what will be tried.
    pub fn new(known: &[WalkResult], open: &[Numbered]) -> Self {
        let known = known.iter().map(|result| result.number);
        let mut numbers: Vec<usize> = known
            .chain(open.iter().map(|(number, _)| *number))
            .collect();
        numbers.sort_unstable();
        Self(numbers.into())
    }

    /// Tells of all results that have none before them missing.
    pub fn tell(&mut self, journal: &mut Journal, results: &[WalkResult]) {
        while let Some(result) = self.0.front().and_then(|number| find(results, *number)) {
            self.0.pop_front();
            tell(journal, result);
        }
    }

    /// Tells of all others: what is missing will not come.
    pub fn tell_rest(&mut self, journal: &mut Journal, results: &[WalkResult]) {
        for number in std::mem::take(&mut self.0) {
            if let Some(result) = find(results, number) {
                tell(journal, result);
            }
        }
    }
}

fn find(results: &[WalkResult], number: usize) -> Option<&WalkResult> {
    results.iter().find(|result| result.number == number)
}

/// Tells of a point, and counts it as a check.
fn tell(journal: &mut Journal, result: &WalkResult) {
    journal.tell(Event::WalkPoint(result.clone()));
    let at = result.symbol.as_ref().unwrap_or(&result.place);
    let verdict = if result.is_bad() {
        Verdict::Broken {
            reason: format!("{}: {}", result.verdict.name(), result.detail),
        }
    } else {
        Verdict::Passed
    };
    let boot = journal.summary().boots;
    journal.case_ended(CaseResult {
        boot,
        id: format!("WALK/{}@{}", result.name, result.place),
        rule: "WALK".into(),
        title: format!("{} {} fails at {at}", result.kind, result.name),
        remapping: result.remapping,
        verdict,
        duration_ms: Duration::from_millis(result.duration_ms).as_secs_f64() * 1000.0,
        observations: vec![result.detail.clone()],
        buffer_history: None,
    });
}
