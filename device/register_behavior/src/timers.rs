//! [`Timers`]: what is to happen later.

use std::collections::BTreeMap;

use board::Tick;

use crate::layout::RegisterIndex;

/// Most delays under way. A driver that sets off more finds that nothing comes of it.
const MAX_TIMERS: usize = 1024;

/// What happens when a delay is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// The rest of an action, with the address and length in bytes latched when it was set off.
    Action { action: usize, latched: Latched },
    /// Bits of a register clear themselves.
    Clear { register: RegisterIndex, bits: u64 },
}

/// Where and how much a transfer moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Latched {
    pub address: u64,
    pub length_bytes: u64,
}

/// Delays under way, in the order in which they end; equal ones in the order in which they began.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeMap<(Tick, u64), Due>,
    last: u64,
}

impl Timers {
    pub(crate) fn add(&mut self, at: Tick, due: Due) {
        if self.due.len() < MAX_TIMERS {
            self.last += 1;
            self.due.insert((at, self.last), due);
        }
    }

    pub(crate) fn next(&self) -> Option<Tick> {
        self.due.keys().next().map(|(tick, _)| *tick)
    }

    /// Takes the first delay that is over.
    pub(crate) fn take(&mut self, now: Tick) -> Option<Due> {
        let first = self.due.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }
}
