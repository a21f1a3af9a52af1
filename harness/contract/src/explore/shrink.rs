//! [`Shrinker`]: makes a failing list short by leaving out stretches of it (delta debugging).

use super::action::Action;

/// A list that fails, and what is still to be left out of it on trial.
///
/// [`candidate`](Self::candidate) gives the next list to try, [`verdict`](Self::verdict) takes whether it
/// fails the same way. After each pass over the list the stretches are half as long; a pass of single
/// actions that finds nothing to leave out ends it.
#[derive(Clone, Debug)]
pub struct Shrinker {
    list: Vec<Action>,
    stretch: usize,
    at: usize,
    has_shrunk: bool,
    is_done: bool,
    n_tries: usize,
}

impl Shrinker {
    /// Starts with a list that fails.
    #[must_use]
    pub const fn new(list: Vec<Action>) -> Self {
        let stretch = list.len().div_ceil(2);
        Self {
            list,
            stretch,
            at: 0,
            has_shrunk: false,
            is_done: stretch == 0,
            n_tries: 0,
        }
    }

    /// The next list to try; `None` when there is none.
    #[must_use]
    pub fn candidate(&self) -> Option<Vec<Action>> {
        if self.is_done {
            return None;
        }
        let end = self.at.saturating_add(self.stretch).min(self.list.len());
        let (head, tail) = (self.list.get(..self.at)?, self.list.get(end..)?);
        Some([head, tail].concat())
    }

    /// Tells whether the last candidate fails the same way; if it does, `n_needed` of its actions, from the
    /// first on, are all that is needed for it.
    pub fn verdict(&mut self, fails_alike: bool, n_needed: usize) {
        self.n_tries += 1;
        if fails_alike && let Some(mut list) = self.candidate() {
            list.truncate(n_needed);
            self.list = list;
            self.has_shrunk = true;
        } else {
            self.at += self.stretch;
        }
        if self.at >= self.list.len() {
            self.end_pass();
        }
    }

    fn end_pass(&mut self) {
        if self.stretch <= 1 && !self.has_shrunk {
            self.is_done = true;
            return;
        }
        // Single actions are gone over again as long as that helps.
        self.stretch = (self.stretch / 2).clamp(1, self.list.len().max(1));
        self.at = 0;
        self.has_shrunk = false;
        self.is_done = self.list.is_empty();
    }

    /// The shortest list so far.
    #[must_use]
    pub fn list(&self) -> &[Action] {
        &self.list
    }

    /// Candidates tried.
    #[must_use]
    pub const fn n_tries(&self) -> usize {
        self.n_tries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(slot: u32) -> Action {
        Action::PutAdapter { adapter: slot }
    }

    /// Shrinks a list of `n` actions that fails while it holds all of `needed`, in order.
    fn shrunk(n: u32, needed: &[u32]) -> (Vec<Action>, usize) {
        let mut shrinker = Shrinker::new((0..n).map(open).collect());
        while let Some(list) = shrinker.candidate() {
            let mut missing = needed.iter().copied().map(open).peekable();
            let mut n_needed = list.len();
            for (index, action) in list.iter().enumerate() {
                if missing.peek() == Some(action) {
                    missing.next();
                    n_needed = index + 1;
                }
            }
            let fails = missing.next().is_none();
            shrinker.verdict(fails, n_needed);
        }
        (shrinker.list().to_vec(), shrinker.n_tries())
    }

    #[test]
    fn what_is_left_is_what_the_failure_needs() {
        for needed in [&[3][..], &[0, 499], &[17, 18, 260, 300, 301], &[]] {
            let (list, n_tries) = shrunk(500, needed);
            assert_eq!(list, needed.iter().copied().map(open).collect::<Vec<_>>());
            assert!(n_tries < 120, "{n_tries} tries for {needed:?}");
        }
    }

    #[test]
    fn list_that_needs_all_ends() {
        let all: Vec<u32> = (0..12).collect();
        assert_eq!(shrunk(12, &all).0.len(), 12);
    }

    #[test]
    fn empty_list_has_nothing_to_try() {
        assert_eq!(Shrinker::new(Vec::new()).candidate(), None);
    }
}
