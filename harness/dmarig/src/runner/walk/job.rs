//! [`Job`]: takes batches off the queue and boots for them, one boot at a time.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;

use contract::{Case, Profile, Remapping};
use fault_injection::rule_file;

use super::super::run::Plan;
use super::super::signals::Signals;
use super::super::worker::TrialPoint;
use super::point::Point;
use super::queue::{Batch, Queue};
use super::trial::{Bench, Trial};
use crate::event::Mode;
use crate::faults::Faults;
use crate::run_folder::RunFolder;

/// What the jobs of a walk share.
pub struct Job<'a> {
    /// Folder of the walk.
    pub out: &'a Path,
    /// Where sockets lie.
    pub folder: &'a RunFolder,
    /// What may end it.
    pub signals: &'a Signals,
    /// Number of the next boot.
    pub next_boot: &'a AtomicU32,
    /// What is to be tried.
    pub queue: &'a Queue,
}

/// A batch that was tried.
pub struct Tried {
    /// The batch.
    pub batch: Batch,
    /// What was seen.
    pub trial: Trial,
    /// Where its logs lie.
    pub logs: PathBuf,
}

impl Job<'_> {
    /// Boots until the queue gives nothing more. Whoever takes what was tried tells the queue that it is done.
    pub fn work(&self, plan: &Plan, tried: &Sender<Tried>) {
        while let Some(batch) = self.queue.next() {
            let seen = self.try_batch(plan, batch);
            if tried.send(seen).is_err() {
                return;
            }
        }
    }

    fn try_batch(&self, plan: &Plan, batch: Batch) -> Tried {
        // A batch is never empty, and its points have the same setting.
        let (number, first) = &batch.0[0];
        let (profile, remapping, _) = setting(plan, first);
        let text = if first.can_share_a_boot() {
            String::new()
        } else {
            first.fault.rule()
        };
        let rules = rule_file::parse_all(Path::new("the walk's rule"), &text).unwrap_or_default();
        let faults = Faults {
            watch_calls: first.fault.rva().is_some(),
            record_points: false,
            rules,
            text,
        };
        let points = batch.0.iter().map(|(_, point)| trial_point(plan, point));
        let logs = self.out.join(format!("point-{number:03}"));
        // Those of the boot that it shared before.
        let _ = fs::remove_dir_all(&logs);
        let bench = Bench {
            plan,
            folder: self.folder,
            signals: self.signals,
        };
        let boot = self.next_boot.fetch_add(1, Ordering::Relaxed);
        let trial = bench.run(
            &faults,
            (profile, remapping),
            points.collect(),
            (boot, &logs),
        );
        Tried { batch, trial, logs }
    }
}

fn trial_point(plan: &Plan, point: &Point) -> TrialPoint {
    let (_, _, cases) = setting(plan, point);
    let rules = point.fault.rva().is_none().then(|| point.fault.rule());
    let (rules, rules_of_start) = if point.is_of_start() {
        (None, rules)
    } else {
        (rules, None)
    };
    TrialPoint {
        rules,
        rules_of_start,
        cases,
    }
}

/// The boot that a point needs, and what runs in it: the case that met the point, and once more without a
/// fault. A point outside of cases has the first case of its boot, and then one that wants nothing of the boot.
pub fn setting(plan: &Plan, point: &Point) -> (&'static Profile, Remapping, Vec<&'static Case>) {
    let remapping = match point.remapping {
        Mode::On => Remapping::On,
        Mode::Off => Remapping::Off,
    };
    let here = plan.cases_in(remapping);
    let met = here
        .iter()
        .find(|case| point.case.as_deref() == Some(case.id));
    let first = here.iter().find(|case| case.profile.name == point.profile);
    let profile = met
        .or(first)
        .map_or(&contract::DEFAULT_PROFILE, |case| case.profile);
    let cases = match (met, first) {
        (Some(case), _) => vec![*case, *case],
        (None, Some(first)) => vec![*first, later_case(&here, first)],
        (None, None) => Vec::new(),
    };
    (profile, remapping, cases)
}

/// A case with the same driver that wants no programs of its boot: one that lost them cannot show that the driver
/// works.
fn later_case(here: &VecDeque<&'static Case>, first: &'static Case) -> &'static Case {
    let is_plain = |case: &&&'static Case| {
        case.profile.programs.is_empty() && case.profile.driver == first.profile.driver
    };
    here.iter().find(is_plain).copied().unwrap_or(first)
}
