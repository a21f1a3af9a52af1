//! [`Held`]: accesses that happen later than the endpoint believes, or than it asked.

use dmarig_abi::Iova;
use endpoint::{ChannelId, Tick, Ticket};

use crate::verdict::flip;

/// Most accesses that are held at once. Where there is no room, the access happens in its time.
pub const MAX_HELD: usize = 256;

/// When an access is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// At a time.
    At(Tick),
    /// After the next write of a channel.
    AfterWrite(ChannelId),
}

/// One access that is to happen later.
#[derive(Clone, Debug)]
pub(crate) struct Held {
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
    Read { iova: Iova, len: usize },
    Write { iova: Iova, data: Vec<u8> },
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
    pub(crate) fn write(due: Due, iova: Iova, data: &[u8]) -> Self {
        Self {
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
        let delay = std::time::Duration::from_micros(again.microseconds.into());
        next.due = Due::At(now.after(delay));
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
