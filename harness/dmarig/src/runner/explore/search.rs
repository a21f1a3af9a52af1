//! [`Search`]: the part of a model-based run that outlives a boot. It goes through the episodes until one
//! fails, makes sure that it does so again, and shrinks it. A boot that dies under a list is one more
//! way to fail.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use contract::explore::{Action, Disagreement, Progress, Shrinker, Tally, walk};
use contract::{Finding, Rig, RigError};

use super::super::ending::{Ending, GuestStop};

/// Most lists tried to shrink one failure.
const TRIES_MAX: usize = 800;
/// Longest time for the same.
const SHRINK_LIMIT: Duration = Duration::from_secs(120);
/// Episodes before the failing one that are tried along with it where it alone does not fail.
const EPISODES_BACK_MAX: usize = 8;
/// How often progress is told of.
const TELL_INTERVAL: Duration = Duration::from_millis(500);

/// What a search tells of itself while it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// So many actions have been judged.
    Judged(u64),
    /// A failure of so many actions is being shrunk, after so many tries.
    Shrinking {
        /// Actions left.
        n_actions: usize,
        /// Lists tried.
        n_tries: usize,
    },
}

/// A failure.
#[derive(Clone, Debug)]
pub struct Found {
    /// What was seen.
    pub disagreement: Disagreement,
    /// The list that shows it.
    pub actions: Vec<Action>,
    /// The list before it was shrunk.
    pub unshrunk: Vec<Action>,
    /// Lists tried to shrink it.
    pub n_tries: usize,
    /// Whether it showed again when it was tried again.
    pub is_reproduced: bool,
}

enum Phase {
    /// The episode of this index is next.
    Exploring(usize),
    /// The failing list is tried again, with so many episodes before it.
    Confirming { n_back: usize },
    /// It fails again.
    Shrinking {
        shrinker: Box<Shrinker>,
        since: Instant,
    },
    /// Nothing is left to do.
    Done,
}

/// A model-based run in one mode.
pub struct Search {
    episodes: Arc<Vec<Vec<Action>>>,
    memory_bytes: u64,
    shrinks: bool,
    phase: Phase,
    found: Option<Found>,
    /// Episode in which it was found.
    failing_episode: usize,
    /// The list that is being carried out, and how far it has come.
    in_flight: Vec<Action>,
    progress: Progress,
    tally: Tally,
    /// Time spent on episodes, without boots and shrinking.
    exploring: Duration,
    last_told: Option<Instant>,
}

impl Search {
    /// Goes through all episodes, and shrinks what fails first.
    #[must_use]
    pub fn new(episodes: Arc<Vec<Vec<Action>>>, memory_bytes: u64) -> Self {
        Self {
            episodes,
            memory_bytes,
            shrinks: true,
            phase: Phase::Exploring(0),
            found: None,
            failing_episode: 0,
            in_flight: Vec::new(),
            progress: Progress::default(),
            tally: Tally::default(),
            exploring: Duration::ZERO,
            last_told: None,
        }
    }

    /// Carries out one list, once.
    #[must_use]
    pub fn replay(actions: Vec<Action>, memory_bytes: u64) -> Self {
        Self {
            shrinks: false,
            ..Self::new(Arc::new(vec![actions]), memory_bytes)
        }
    }

    /// Works until nothing is left to do, or `stop` is set.
    ///
    /// # Errors
    /// The rig broke; [`take_death`](Self::take_death) takes what that was.
    pub fn work(
        &mut self,
        rig: &mut dyn Rig,
        stop: &AtomicBool,
        tell: &mut dyn FnMut(Sign),
    ) -> Result<(), RigError> {
        while let Some(actions) = self.next_list() {
            if stop.load(Ordering::Relaxed) {
                return Ok(());
            }
            self.in_flight = actions;
            self.progress = Progress::default();
            let start = Instant::now();
            let walked = walk(rig, &self.in_flight, self.memory_bytes, &mut self.progress);
            if matches!(self.phase, Phase::Exploring(_)) {
                self.exploring += start.elapsed();
                self.tally.add(&self.progress.tally);
            }
            let found = walked?;
            self.take(found);
            self.tell(tell);
        }
        Ok(())
    }

    /// A boot died under the list that was being carried out: that is what was found.
    pub fn take_death(&mut self, ending: &Ending) {
        let check = match &ending.stop {
            Some(GuestStop::BugCheck { code, parameters }) => {
                format!("bug check {code:#x}/{:#x}", parameters[0])
            }
            Some(GuestStop::Finding { id }) => format!("stop by {id}"),
            None => format!("{:?}", ending.how),
        };
        let index = self.progress.n_sent.saturating_sub(1);
        self.take(Some(Disagreement {
            index,
            rule: "",
            check,
            finding: Finding {
                view: "guest",
                what: "the guest under the actions".to_owned(),
                buffer: None,
                logical_address: None,
                expected: "that it goes on".to_owned(),
                seen: ending.detail.clone(),
            },
        }));
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// What was found, as far as it has been looked into.
    #[must_use]
    pub const fn found(&self) -> Option<&Found> {
        self.found.as_ref()
    }

    /// What the episodes came to.
    #[must_use]
    pub const fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Time spent on episodes.
    #[must_use]
    pub const fn exploring(&self) -> Duration {
        self.exploring
    }

    fn next_list(&mut self) -> Option<Vec<Action>> {
        match &self.phase {
            Phase::Exploring(index) => match self.episodes.get(*index) {
                Some(episode) => Some(episode.clone()),
                None => {
                    self.phase = Phase::Done;
                    None
                }
            },
            Phase::Confirming { n_back } => Some(self.failing_list(*n_back)),
            Phase::Shrinking { shrinker, since } => {
                let is_over = shrinker.n_tries() >= TRIES_MAX || since.elapsed() >= SHRINK_LIMIT;
                let candidate = shrinker.candidate().filter(|_| !is_over);
                if candidate.is_none() {
                    self.phase = Phase::Done;
                }
                candidate
            }
            Phase::Done => None,
        }
    }

    /// The failing list with some episodes before it. Each starts with empty slots.
    fn failing_list(&self, n_back: usize) -> Vec<Action> {
        let first = self.failing_episode.saturating_sub(n_back);
        let before = self.episodes.get(first..self.failing_episode);
        let mut list = Vec::new();
        for episode in before.unwrap_or_default() {
            list.extend_from_slice(episode);
            list.push(Action::ReleaseAll);
        }
        if let Some(found) = &self.found {
            list.extend_from_slice(&found.unshrunk);
        }
        list
    }

    /// The list in flight has ended.
    fn take(&mut self, seen: Option<Disagreement>) {
        let n_needed = seen.as_ref().map_or(0, |seen| seen.index.saturating_add(1));
        let is_alike = match (&seen, &self.found) {
            (Some(seen), Some(found)) => seen.is_like(&found.disagreement),
            _ => false,
        };
        match &mut self.phase {
            Phase::Exploring(index) => match seen {
                None => *index += 1,
                Some(disagreement) => {
                    self.failing_episode = *index;
                    let mut actions = std::mem::take(&mut self.in_flight);
                    actions.truncate(n_needed);
                    self.found = Some(Found {
                        disagreement,
                        unshrunk: actions.clone(),
                        actions,
                        n_tries: 0,
                        is_reproduced: false,
                    });
                    self.phase = if self.shrinks {
                        Phase::Confirming { n_back: 0 }
                    } else {
                        Phase::Done
                    };
                }
            },
            Phase::Confirming { .. } if is_alike => {
                let mut list = std::mem::take(&mut self.in_flight);
                list.truncate(n_needed);
                self.keep(seen, list.clone(), 1);
                self.phase = Phase::Shrinking {
                    shrinker: Box::new(Shrinker::new(list)),
                    since: Instant::now(),
                };
            }
            Phase::Confirming { n_back } => {
                let wider = (*n_back * 2).max(1);
                self.phase = if wider <= EPISODES_BACK_MAX && *n_back < self.failing_episode {
                    Phase::Confirming { n_back: wider }
                } else {
                    Phase::Done
                };
            }
            Phase::Shrinking { shrinker, .. } => {
                shrinker.verdict(is_alike, n_needed);
                let (list, n_tries) = (shrinker.list().to_vec(), shrinker.n_tries());
                if is_alike {
                    self.keep(seen, list, n_tries);
                } else if let Some(found) = &mut self.found {
                    found.n_tries = n_tries;
                }
            }
            Phase::Done => {}
        }
    }

    /// The failure showed again, with this list.
    fn keep(&mut self, seen: Option<Disagreement>, actions: Vec<Action>, n_tries: usize) {
        if let (Some(found), Some(disagreement)) = (&mut self.found, seen) {
            found.disagreement = disagreement;
            found.actions = actions;
            found.n_tries = n_tries;
            found.is_reproduced = true;
        }
    }

    fn tell(&mut self, tell: &mut dyn FnMut(Sign)) {
        let is_due = self
            .last_told
            .is_none_or(|last| last.elapsed() >= TELL_INTERVAL);
        if !is_due {
            return;
        }
        self.last_told = Some(Instant::now());
        match &self.phase {
            Phase::Shrinking { shrinker, .. } => tell(Sign::Shrinking {
                n_actions: shrinker.list().len(),
                n_tries: shrinker.n_tries(),
            }),
            _ => tell(Sign::Judged(self.tally.n_judged)),
        }
    }
}
