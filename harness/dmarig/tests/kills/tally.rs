//! What came of the kills, counted.

use std::collections::BTreeMap;
use std::fmt;

use crate::Victim;

/// What came of a kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// The run was cut short, and tells by what.
    Told,
    /// The victim had done its work; the run passed all the same.
    TooLateToMatter,
    /// Something was lost, left behind, or not told.
    Wrong,
}

/// Counts by victim and fate.
#[derive(Debug, Default)]
pub struct Tally {
    counts: BTreeMap<(Victim, Fate), u64>,
    n_verdicts: usize,
}

impl Tally {
    pub fn note(&mut self, victim: Victim, fate: Fate, n_verdicts: usize) {
        *self.counts.entry((victim, fate)).or_default() += 1;
        self.n_verdicts += n_verdicts;
    }

    pub fn n_kills(&self) -> u64 {
        self.counts.values().sum()
    }

    pub fn count(&self, wanted: Fate) -> u64 {
        let of_fate = self.counts.iter().filter(|((_, fate), _)| *fate == wanted);
        of_fate.map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills, {} verdicts kept:",
            self.n_kills(),
            self.n_verdicts
        )?;
        for ((victim, fate), count) in &self.counts {
            write!(f, " {victim:?} {fate:?} {count};")?;
        }
        Ok(())
    }
}
