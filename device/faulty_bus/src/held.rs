//! [`Held`]: accesses that happen later than the endpoint believes, or than it asked.

use std::time::Duration;

use dmarig_abi::Iova;
use endpoint::{ChannelId, Origin, Tick, Ticket};

use crate::verdict::flip;

/// Most accesses that are held at once. Where there is no room, the access happens in its time.
pub const MAX_HELD: usize = 256;

/// How long a write that waits for the channel's next one is held where none comes. A real function
/// has such a bound, too: it does not keep a posted write for ever for want of another.
pub const HELD_AT_MOST: Duration = Duration::from_millis(10);

/// When an access is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    /// At the latest.
    pub at: Tick,
    /// Whether the channel's next write brings it about before that.
    pub after_write: bool,
}

impl Due {
    pub(crate) const fn at(at: Tick) -> Self {
        Self {
            at,
            after_write: false,
        }
    }

    /// Behind the channel's next write.
    pub(crate) fn after_write(now: Tick) -> Self {
        Self {
            at: now.after(HELD_AT_MOST),
            after_write: true,
        }
    }
}

/// Whose access it is: it ends with its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    pub channel: ChannelId,
    /// Whether the ring asked for it, not the channel's registers.
    pub is_of_ring: bool,
}

impl Owner {
    pub(crate) fn new(channel: ChannelId, origin: Option<Origin>) -> Self {
        let is_of_ring =
            origin.is_some_and(|origin| !matches!(origin, Origin::Register | Origin::Host { .. }));
        Self {
            channel,
            is_of_ring,
        }
    }
}

/// One access that is to happen later.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub owner: Owner,
    pub due: Due,
    pub access: HeldAccess,
    /// Who waits for its end; `None` where the endpoint believes that it has happened.
    pub ticket: Option<Ticket>,
    /// Whether it goes by message although mapped.
    pub by_message: bool,
    /// What happens once more after this.
    pub again: Option<Again>,
}

/// What is accessed.
#[derive(Clone, Debug)]
pub(crate) enum HeldAccess {
    Read {
        iova: Iova,
        len: usize,
    },
    Write {
        iova: Iova,
        data: Vec<u8>,
    },
    /// A read that nobody answers: the device gives up.
    Unanswered {
        iova: Iova,
    },
}

/// A completion entry that goes on changing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Again {
    pub times_left: u16,
    pub microseconds: u32,
    pub bit: u32,
}

impl Held {
    /// A write that nobody waits for.
    pub(crate) fn write(owner: Owner, due: Due, iova: Iova, data: &[u8]) -> Self {
        Self {
            owner,
            due,
            access: HeldAccess::Write {
                iova,
                data: data.to_vec(),
            },
            ticket: None,
            by_message: false,
            again: None,
        }
    }

    /// The next change of an entry that changes, after `now`.
    pub(crate) fn following(&self, now: Tick) -> Option<Self> {
        let again = self.again.filter(|again| again.times_left > 1)?;
        let mut next = self.clone();
        let delay = Duration::from_micros(again.microseconds.into());
        next.due = Due::at(now.after(delay));
        next.again = Some(Again {
            times_left: again.times_left - 1,
            ..again
        });
        if let HeldAccess::Write { data, .. } = &mut next.access {
            flip(data, again.bit);
        }
        Some(next)
    }
}
