//! [`Walk`]: gives the points that are open to its jobs, and keeps and tells what comes of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use contract::Profile;

use super::super::journal::{Journal, milliseconds};
use super::super::pin::allowed_cpus;
use super::super::run::Plan;
use super::super::signals::Signals;
use super::job::{Job, Tried, setting};
use super::point::Point;
use super::queue::{Numbered, Queue};
use super::settle::settle;
use super::state::{WalkError, WalkState};
use super::telling::Telling;
use crate::event::{Event, WalkResult, WalkSums, WalkVerdict};
use crate::exit_code::Exit;
use crate::run_folder::RunFolder;
use crate::symbols::Symbols;

/// A walk under way.
pub struct Walk<'a> {
    /// Parts, settings, and the cases of the golden run.
    pub plan: &'a Plan,
    /// Where sockets lie.
    pub folder: &'a RunFolder,
    /// What may end it.
    pub signals: &'a Signals,
    /// Who is told.
    pub journal: &'a mut Journal,
    /// What is known, and to be written after each boot.
    pub state: WalkState,
    /// Where the state and the rule files lie.
    pub out: PathBuf,
    /// The suite's name, for the command that does a point again.
    pub suite: &'a str,
}

/// How far a walk may go, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct WalkEnd {
    /// Most points.
    pub limit: usize,
    /// Time after which no further boot is begun.
    pub max_time: Duration,
    /// How many boots there may be at a time.
    pub jobs: usize,
}

impl Walk<'_> {
    /// Tries the points that are open, up to the end.
    ///
    /// # Errors
    /// The state or a rule file cannot be written.
    pub fn run(mut self, end: WalkEnd) -> Result<Exit, WalkError> {
        self.journal.tell(Event::WalkStarted {
            n_points: self.state.points.len(),
            n_known: self.state.results.len(),
        });
        let mut open = self.state.open_points();
        open.truncate(end.limit);
        let mut telling = Telling::new(&self.state.results, &open);
        telling.tell(self.journal, &self.state.results);
        let queue = Queue::new(open);
        let done = self.try_all(&queue, end, &mut telling);
        telling.tell_rest(self.journal, &self.state.results);
        done?;
        let sums = self.sums();
        let exit = self.exit(&sums);
        self.journal.tell(Event::WalkEnded(sums));
        Ok(exit)
    }

    /// Lets the jobs boot, and takes what they have seen as it comes.
    fn try_all(
        &mut self,
        queue: &Queue,
        end: WalkEnd,
        telling: &mut Telling,
    ) -> Result<(), WalkError> {
        let start = Instant::now();
        let first_boot = self.journal.summary().boots + 1;
        let out = self.out.clone();
        let job = Job {
            out: &out,
            folder: self.folder,
            signals: self.signals,
            next_boot: &AtomicU32::new(first_boot),
            queue,
        };
        thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            for cpu in cpus(self.plan.cpu, end.jobs) {
                let plan = Plan {
                    cpu,
                    ..self.plan.clone()
                };
                let (job, sender) = (&job, sender.clone());
                scope.spawn(move || job.work(&plan, &sender));
            }
            drop(sender);
            let mut written = Ok(());
            for tried in receiver {
                self.journal.next_boot();
                let known = match &written {
                    Ok(()) => self.take(tried, queue),
                    Err(_) => {
                        queue.done(Vec::new(), Vec::new());
                        Ok(())
                    }
                };
                written = written.and(known);
                telling.tell(self.journal, &self.state.results);
                let is_over = written.is_err()
                    || self.signals.exit().is_some()
                    || start.elapsed() >= end.max_time;
                if is_over {
                    queue.close();
                }
            }
            written
        })
    }

    /// What a boot has shown: results go into the state, the rest back into the queue.
    fn take(&mut self, tried: Tried, queue: &Queue) -> Result<(), WalkError> {
        let Tried { batch, trial, logs } = tried;
        let points = batch.0;
        let Some(settled) = settle(points.len(), &trial) else {
            queue.done(Vec::new(), Vec::new());
            return Ok(());
        };
        let pick = |at: &Vec<usize>| -> Vec<Numbered> {
            at.iter()
                .filter_map(|at| points.get(*at).cloned())
                .collect()
        };
        queue.done(pick(&settled.alone), pick(&settled.again));
        let duration = trial.duration / u32::try_from(points.len()).unwrap_or(1);
        let mut is_bad = false;
        for (at, verdict, detail) in settled.results {
            let (number, point) = &points[at];
            let mut result = self.result(*number, point, verdict, detail, duration);
            if result.is_bad() {
                is_bad = true;
                result.rule_file = Some(self.keep_rule(point, &result)?);
            }
            self.state.add(result);
        }
        if !is_bad {
            // What a good boot has logged is of no use; that it cannot be removed harms nobody.
            let _ = fs::remove_dir_all(&logs);
        }
        self.state.write(&self.out)
    }

    fn result(
        &self,
        number: usize,
        point: &Point,
        verdict: WalkVerdict,
        detail: String,
        duration: Duration,
    ) -> WalkResult {
        let profile = setting(self.plan, point).0;
        WalkResult {
            number,
            kind: point.fault.kind().to_owned(),
            name: point.fault.name(),
            place: point.fault.place(),
            symbol: self.symbol(point, profile),
            phase: point.phase.clone(),
            case: point.case.clone(),
            profile: point.profile.clone(),
            remapping: point.remapping,
            verdict,
            detail,
            duration_ms: milliseconds(duration),
            rule_file: None,
        }
    }

    /// Keeps the rule of a bad point, with how to do it again.
    fn keep_rule(&self, point: &Point, result: &WalkResult) -> Result<String, WalkError> {
        let name = format!("{:03}-{}.toml", result.number, point.fault.file_stem());
        let path = self.out.join(name);
        let filter = point
            .case
            .as_ref()
            .map_or(String::new(), |case| format!(" --filter '{case}'"));
        let first = result.detail.lines().next().unwrap_or_default();
        let head = format!(
            "# {}: {first}\n# dmarig run --suite {}{filter} --remapping {} --faults {}\n\n",
            result.verdict.name(),
            self.suite,
            point.remapping.name(),
            path.display()
        );
        fs::write(&path, head + &point.fault.rule()).map_err(|source| WalkError::Write {
            path: path.clone(),
            source,
        })?;
        Ok(path.display().to_string())
    }

    fn symbol(&self, point: &Point, profile: &Profile) -> Option<String> {
        let driver = self.plan.artifacts.driver(profile.driver).ok()?;
        Symbols::beside(driver).name(point.fault.rva()?)
    }

    fn sums(&self) -> WalkSums {
        let mut verdicts = BTreeMap::new();
        for result in &self.state.results {
            *verdicts
                .entry(result.verdict.name().to_owned())
                .or_default() += 1;
        }
        WalkSums {
            n_points: self.state.points.len(),
            verdicts,
            not_tried: self.state.points.len() - self.state.results.len(),
        }
    }

    fn exit(&self, sums: &WalkSums) -> Exit {
        let has = |verdict: WalkVerdict| sums.verdicts.contains_key(verdict.name());
        let bad = self.state.results.iter().any(WalkResult::is_bad);
        let mut exit = self.signals.exit().unwrap_or(Exit::Success);
        if bad {
            exit = exit.max(Exit::ChecksFailed);
        }
        if has(WalkVerdict::Broken) {
            exit = exit.max(Exit::OurBug);
        }
        exit
    }
}

/// A CPU for each job, counted down from the one that a run would take; none where nothing is to be pinned.
fn cpus(last: Option<usize>, jobs: usize) -> Vec<Option<usize>> {
    let allowed = last.map_or_else(Vec::new, |_| allowed_cpus());
    let cpu = |job: usize| allowed.iter().rev().cycle().nth(job).copied();
    (0..jobs.max(1)).map(cpu).collect()
}
