//! [`Campaign`]: gives a search boots until it is done; a new one when the guest died under it.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex};

use contract::{DEFAULT_PROFILE, Remapping};

use super::super::boot::{Boot, BootOutcome};
use super::super::journal::Journal;
use super::super::run::{Plan, log_folder};
use super::super::signals::Signals;
use super::super::worker::Task;
use super::search::{Found, Search};
use crate::event::{BootEnding, CaseResult, Event, ExploreResult, FindingRecord, Verdict};
use crate::exit_code::Exit;
use crate::run_folder::RunFolder;

/// Most boots of one search. Each but the first follows a guest that died.
const BOOTS_MAX: usize = 40;

/// What is to be searched, and with what.
pub struct Campaign<'a> {
    /// Parts and settings; its cases are of no meaning here.
    pub plan: &'a Plan,
    /// Where sockets lie.
    pub folder: &'a RunFolder,
    /// What may end it.
    pub signals: &'a Signals,
    /// Who is told.
    pub journal: &'a mut Journal,
}

/// How a campaign in one mode ended.
pub struct CampaignEnd {
    /// The worst that happened to boots. That something was found is not among it.
    pub exit: Exit,
    /// What was found.
    pub found: Option<Found>,
    /// Why the search was not finished.
    pub broken_off: Option<String>,
    /// Sums.
    pub result: ExploreResult,
}

impl Campaign<'_> {
    /// Searches in one mode.
    pub fn run(&mut self, remapping: Remapping, search: Search) -> CampaignEnd {
        let search = Arc::new(Mutex::new(search));
        let mut exit = Exit::Success;
        let mut broken_off = None;
        for n_boots in 1.. {
            if let Some(signal) = self.signals.exit() {
                exit = exit.max(signal);
                broken_off = Some("interrupted by a signal".to_owned());
                break;
            }
            let number = self.journal.next_boot();
            let logs = self.plan.out.join(log_folder(number, remapping));
            let outcome = self.boot(remapping, &search, number, &logs);
            let Ok(mut search) = search.try_lock() else {
                exit = exit.max(Exit::OurBug);
                broken_off = Some("the harness failed: its worker does not end".to_owned());
                break;
            };
            match self.account(&outcome) {
                Some(of_boot) => {
                    exit = exit.max(of_boot);
                    broken_off = (!search.is_done()).then(|| outcome.ending.detail.clone());
                    break;
                }
                None => search.take_death(&outcome.ending),
            }
            if search.is_done() || n_boots >= BOOTS_MAX {
                break;
            }
        }
        let (found, result) = match search.try_lock() {
            Ok(search) => (search.found().cloned(), sums(&search)),
            Err(_) => (None, ExploreResult::default()),
        };
        CampaignEnd {
            exit,
            found,
            broken_off,
            result,
        }
    }

    /// Carries out what was found in one more boot, which is recorded, with its logs in `folder`. Whether it failed
    /// the same way there.
    pub fn record(
        &mut self,
        remapping: Remapping,
        found: &Found,
        memory_bytes: u64,
        folder: &Path,
    ) -> bool {
        let again = Search::replay(found.actions.clone(), memory_bytes);
        let search = Arc::new(Mutex::new(again));
        let plan = Plan {
            record: true,
            ..self.plan.clone()
        };
        let mut recorded = Campaign {
            plan: &plan,
            folder: self.folder,
            signals: self.signals,
            journal: &mut *self.journal,
        };
        let number = recorded.journal.next_boot();
        let outcome = recorded.boot(remapping, &search, number, folder);
        let Ok(mut search) = search.try_lock() else {
            return false;
        };
        if outcome.ending.how != BootEnding::Clean {
            search.take_death(&outcome.ending);
        }
        let seen = search.found();
        seen.is_some_and(|seen| seen.disagreement.is_like(&found.disagreement))
    }

    fn boot(
        &mut self,
        remapping: Remapping,
        search: &Arc<Mutex<Search>>,
        number: u32,
        logs: &Path,
    ) -> BootOutcome {
        self.journal.tell(Event::BootStarted {
            boot: number,
            remapping: remapping.into(),
            profile: DEFAULT_PROFILE.name.into(),
            logs: logs.display().to_string(),
        });
        let boot = Boot {
            plan: self.plan,
            remapping,
            profile: &DEFAULT_PROFILE,
            number,
            folder: self.folder,
            logs,
            signals: self.signals,
            faults: &self.plan.faults,
            may_refuse: false,
        };
        let task = Task::Search(Arc::clone(search));
        let outcome = boot.run_task(task, &mut VecDeque::new(), self.journal);
        self.journal.tell(Event::BootEnded {
            boot: number,
            how: outcome.ending.how,
            detail: outcome.ending.detail.clone(),
        });
        outcome
    }

    /// What a boot's end counts for; `None` where the guest died, which the search takes.
    fn account(&mut self, outcome: &BootOutcome) -> Option<Exit> {
        let ending = &outcome.ending;
        let exit = match ending.how {
            BootEnding::Clean => Exit::Success,
            BootEnding::BugCheck
            | BootEnding::GuestFailed
            | BootEnding::GuestHung
            | BootEnding::ProtocolBroken => return None,
            BootEnding::EnvironmentMissing => Exit::EnvironmentMissing,
            BootEnding::QemuDied | BootEnding::DeviceDied | BootEnding::HarnessFailed => {
                Exit::OurBug
            }
            BootEnding::Interrupted => self.signals.exit().unwrap_or(Exit::Interrupted),
        };
        if exit != Exit::Success {
            let first = ending.detail.lines().next().unwrap_or_default();
            self.journal.problem(first.to_owned());
        }
        Some(exit)
    }

    /// Tells of the search as a check of its own.
    pub fn conclude(&mut self, remapping: Remapping, title: &str, end: &CampaignEnd) {
        let verdict = match (&end.found, &end.broken_off) {
            (Some(found), _) => Verdict::Failed {
                findings: vec![FindingRecord::from(&found.disagreement.finding)],
            },
            (None, Some(reason)) => Verdict::NotRun {
                reason: reason.clone(),
            },
            (None, None) => Verdict::Passed,
        };
        let boot = self.journal.summary().boots;
        self.journal.case_ended(CaseResult {
            boot,
            id: "EX/actions".into(),
            rule: "EX".into(),
            title: title.into(),
            remapping: remapping.into(),
            verdict,
            duration_ms: end.result.exploring_ms,
            observations: Vec::new(),
            buffer_history: None,
        });
    }
}

fn sums(search: &Search) -> ExploreResult {
    let tally = search.tally();
    let seconds = search.exploring().as_secs_f64();
    let named = |counts: &BTreeMap<&'static str, u64>| {
        counts
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    };
    ExploreResult {
        n_judged: tally.n_judged,
        exploring_ms: seconds * 1000.0,
        judged_per_second: if seconds > 0.0 {
            tally.n_judged as f64 / seconds
        } else {
            0.0
        },
        n_programs: tally.n_programs,
        actions: named(&tally.actions),
        outcomes: tally.outcomes.clone(),
        rules: named(&tally.rules),
        left_out: named(&tally.left_out),
    }
}
