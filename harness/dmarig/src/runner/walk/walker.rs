//! [`Walk`]: goes through the points that are open, one boot each.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use contract::{Case, Profile, Remapping};
use fault_injection::rule_file;

use super::super::journal::{Journal, milliseconds};
use super::super::run::Plan;
use super::super::signals::Signals;
use super::judge::judge;
use super::point::Point;
use super::state::{WalkError, WalkState};
use super::trial::Bench;
use crate::event::{CaseResult, Event, Mode, Verdict, WalkResult, WalkSums, WalkVerdict};
use crate::exit_code::Exit;
use crate::faults::Faults;
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
    /// What is known, and to be written after each point.
    pub state: WalkState,
    /// Where the state and the rule files lie.
    pub out: PathBuf,
    /// The suite's name, for the command that does a point again.
    pub suite: &'a str,
}

/// How far a walk may go.
#[derive(Clone, Copy, Debug)]
pub struct WalkEnd {
    /// Most points.
    pub limit: usize,
    /// Time after which no further point is begun.
    pub max_time: Duration,
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
        let known = self.state.results.clone();
        for result in &known {
            self.tell(result);
        }
        let start = Instant::now();
        for (number, point) in self.state.open_points().into_iter().take(end.limit) {
            if self.signals.exit().is_some() || start.elapsed() >= end.max_time {
                break;
            }
            let Some(result) = self.try_point(number, &point)? else {
                break;
            };
            self.tell(&result);
            self.state.results.push(result);
            self.state.write(&self.out)?;
        }
        let sums = self.sums();
        let exit = self.exit(&sums);
        self.journal.tell(Event::WalkEnded(sums));
        Ok(exit)
    }

    /// One point; `None` where the boot was interrupted.
    fn try_point(&mut self, number: usize, point: &Point) -> Result<Option<WalkResult>, WalkError> {
        let (profile, remapping, cases) = self.setting(point);
        let text = self.rule_text(point);
        let rules = rule_file::parse_all(Path::new("the walk's rule"), &text).unwrap_or_default();
        let faults = Faults {
            watch_calls: point.fault.rva().is_some(),
            record_points: false,
            rules,
            text: text.clone(),
        };
        let logs = self.out.join(format!("point-{number:03}"));
        let bench = Bench {
            plan: self.plan,
            folder: self.folder,
            signals: self.signals,
        };
        let boot = self.journal.next_boot();
        let trial = bench.run(&faults, (profile, remapping), cases, (boot, &logs));
        let Some((verdict, detail)) = judge(&trial) else {
            return Ok(None);
        };
        let mut result = WalkResult {
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
            duration_ms: milliseconds(trial.duration),
            rule_file: None,
        };
        if result.is_bad() {
            result.rule_file = Some(self.keep_rule(point, &result, &text)?);
        } else {
            // What a good boot has logged is of no use; that it cannot be removed harms nobody.
            let _ = fs::remove_dir_all(&logs);
        }
        Ok(Some(result))
    }

    /// The boot that a point needs, and what runs in it: the case that met the point, and once more without a
    /// fault. A point outside of cases has the first case of its boot, and then one that wants nothing of the boot.
    fn setting(&self, point: &Point) -> (&'static Profile, Remapping, Vec<&'static Case>) {
        let remapping = match point.remapping {
            Mode::On => Remapping::On,
            Mode::Off => Remapping::Off,
        };
        let here = self.plan.cases_in(remapping);
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

    fn rule_text(&self, point: &Point) -> String {
        point.fault.rule()
    }

    /// Keeps the rule of a bad point, with how to do it again.
    fn keep_rule(
        &self,
        point: &Point,
        result: &WalkResult,
        text: &str,
    ) -> Result<String, WalkError> {
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
        fs::write(&path, head + text).map_err(|source| WalkError::Write {
            path: path.clone(),
            source,
        })?;
        Ok(path.display().to_string())
    }

    fn symbol(&self, point: &Point, profile: &Profile) -> Option<String> {
        let driver = self.plan.artifacts.driver(profile.driver).ok()?;
        Symbols::beside(driver).name(point.fault.rva()?)
    }

    /// Tells of a point, and counts it as a check.
    fn tell(&mut self, result: &WalkResult) {
        self.journal.tell(Event::WalkPoint(result.clone()));
        let at = result.symbol.as_ref().unwrap_or(&result.place);
        let verdict = if result.is_bad() {
            Verdict::Broken {
                reason: format!("{}: {}", result.verdict.name(), result.detail),
            }
        } else {
            Verdict::Passed
        };
        let boot = self.journal.summary().boots;
        self.journal.case_ended(CaseResult {
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

/// A case with the same driver that wants no programs of its boot: one that lost them cannot show that the driver
/// works.
fn later_case(here: &VecDeque<&'static Case>, first: &'static Case) -> &'static Case {
    let is_plain = |case: &&&'static Case| {
        case.profile.programs.is_empty() && case.profile.driver == first.profile.driver
    };
    here.iter().find(is_plain).copied().unwrap_or(first)
}
