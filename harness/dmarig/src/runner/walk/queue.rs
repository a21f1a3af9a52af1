//! [`Queue`]: what is still to be booted, shared by the jobs of a walk. A boot can put points back, so a job that finds
//! nothing waits for those that are under way.
//!
//! One lock, held for no I/O.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::point::Point;
use crate::event::Mode;

/// Most points of one boot: what is put back when a boot dies stays little.
const POINTS_PER_BOOT_MAX: usize = 24;

/// A point with its number in the walk.
pub type Numbered = (usize, Point);

/// Points of one boot: more than one only where all can share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch(pub Vec<Numbered>);

/// The batches that are open.
#[derive(Debug)]
pub struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    open: VecDeque<Batch>,
    n_under_way: usize,
    is_closed: bool,
}

impl Queue {
    /// Puts points that can share a boot together.
    pub fn new(points: Vec<Numbered>) -> Self {
        Self {
            state: Mutex::new(State {
                open: batches(points).into(),
                n_under_way: 0,
                is_closed: false,
            }),
            changed: Condvar::new(),
        }
    }

    /// The next batch; none when all is done or the queue was closed. Whoever takes one gives it back by
    /// [`done`](Self::done).
    pub fn next(&self) -> Option<Batch> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(batch) = state.open.pop_front() {
                state.n_under_way += 1;
                return Some(batch);
            }
            if state.n_under_way == 0 {
                return None;
            }
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A batch was tried; `alone` and `again` of its points are to be tried once more, before all others.
    pub fn done(&self, alone: Vec<Numbered>, again: Vec<Numbered>) {
        let mut state = self.lock();
        for batch in batches(again).into_iter().rev() {
            state.open.push_front(batch);
        }
        for point in alone.into_iter().rev() {
            state.open.push_front(Batch(vec![point]));
        }
        state.n_under_way -= 1;
        self.changed.notify_all();
    }

    /// Nothing more is given out.
    pub fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Points that can share a boot stand together, in the order of their numbers.
fn batches(points: Vec<Numbered>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    let mut shared: BTreeMap<(String, Mode), usize> = BTreeMap::new();
    for (number, point) in points {
        if !point.can_share_a_boot() {
            batches.push(Batch(vec![(number, point)]));
            continue;
        }
        let setting = (point.profile.clone(), point.remapping);
        let open = shared.get(&setting).and_then(|at| batches.get_mut(*at));
        match open.filter(|batch| batch.0.len() < POINTS_PER_BOOT_MAX) {
            Some(batch) => batch.0.push((number, point)),
            None => {
                shared.insert(setting, batches.len());
                batches.push(Batch(vec![(number, point)]));
            }
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::super::point::Fault;
    use super::*;

    fn point(number: usize, profile: &str, phase: &str) -> Numbered {
        let fault = Fault::Device {
            point: "msix".into(),
            channel: None,
            effect: "\"drop\"".into(),
            hit: 1,
        };
        let point = Point {
            fault,
            phase: phase.into(),
            profile: profile.into(),
            remapping: Mode::On,
            case: Some("CM-1/a".into()),
        };
        (number, point)
    }

    fn numbers(batch: Option<Batch>) -> Vec<usize> {
        let points = batch.map(|batch| batch.0).unwrap_or_default();
        points.iter().map(|(number, _)| *number).collect()
    }

    #[test]
    fn points_of_one_profile_share_a_boot_and_those_of_the_start_have_their_own() {
        let queue = Queue::new(vec![
            point(1, "a", "boot"),
            point(2, "a", "running"),
            point(3, "b", "running"),
            point(4, "a", "running"),
        ]);
        assert_eq!(numbers(queue.next()), [1]);
        assert_eq!(numbers(queue.next()), [2, 4]);
        assert_eq!(numbers(queue.next()), [3]);
    }

    #[test]
    fn job_without_work_waits_for_what_others_put_back() {
        let queue = Queue::new(vec![point(1, "a", "running"), point(2, "a", "running")]);
        let batch = queue.next().expect("the first").0;
        let seen = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| numbers(queue.next()));
            queue.done(vec![batch[1].clone()], Vec::new());
            waiting.join().expect("no panic")
        });
        assert_eq!(seen, [2]);
        queue.done(Vec::new(), Vec::new());
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn closed_queue_gives_nothing_out() {
        let queue = Queue::new(vec![point(1, "a", "running")]);
        queue.close();
        assert_eq!(queue.next(), None);
    }
}
