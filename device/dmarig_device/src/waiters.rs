//! [`Waiters`]: requests of the control socket that are answered later.

use std::time::{Duration, Instant};

use control_api::FunctionName;

use crate::control_socket::Caller;

/// Most requests that wait at a time.
pub const MAX_WAITERS: usize = 64;
/// First and longest pause between two looks at the mailbox while somebody waits for it.
const MAILBOX_POLL: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(20));

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// The guest's driver attaches to the mailbox.
    Attached,
    /// The guest's answer to the mailbox call under way.
    MailboxResponse,
    /// A mapping epoch above this one.
    EpochAbove {
        /// Whose epoch.
        function: FunctionName,
        /// The epoch already seen.
        epoch: u64,
    },
    /// The end of a request that the function numbered so.
    Dma {
        /// The function.
        function: FunctionName,
        /// The number.
        id: u64,
    },
}

/// A request that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiter {
    /// Who gets the answer.
    pub caller: Caller,
    /// For what.
    pub awaited: Awaited,
    /// Until when; `None` where the end is sure to come.
    pub deadline: Option<Instant>,
}

/// All requests that wait.
#[derive(Debug)]
pub struct Waiters {
    waiters: Vec<Waiter>,
    mailbox_pause: Duration,
    next_mailbox_look: Option<Instant>,
}

impl Default for Waiters {
    fn default() -> Self {
        Self {
            waiters: Vec::new(),
            mailbox_pause: MAILBOX_POLL.0,
            next_mailbox_look: None,
        }
    }
}

impl Waiters {
    /// Whether one more fits.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.waiters.len() < MAX_WAITERS
    }

    /// Adds one.
    pub fn add(&mut self, waiter: Waiter, now: Instant) {
        if is_for_mailbox(&waiter) {
            self.mailbox_pause = MAILBOX_POLL.0;
            self.next_mailbox_look = Some(now + self.mailbox_pause);
        }
        self.waiters.push(waiter);
    }

    /// Takes out those for which `is_over` holds, in the order in which they came.
    pub fn take(&mut self, is_over: impl FnMut(&Waiter) -> bool) -> Vec<Waiter> {
        let mut is_over = is_over;
        self.waiters
            .extract_if(.., |waiter| is_over(waiter))
            .collect()
    }

    /// Whether it is time to look at the mailbox; if so, the next time is further off.
    pub fn is_mailbox_look_due(&mut self, now: Instant) -> bool {
        if !self.waiters.iter().any(is_for_mailbox) {
            self.next_mailbox_look = None;
            return false;
        }
        let is_due = self.next_mailbox_look.is_none_or(|next| next <= now);
        if is_due {
            self.mailbox_pause = (self.mailbox_pause * 2).min(MAILBOX_POLL.1);
            self.next_mailbox_look = Some(now + self.mailbox_pause);
        }
        is_due
    }

    /// When something is to be done without an event: a deadline, or a look at the mailbox.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let look = self
            .next_mailbox_look
            .filter(|_| self.waiters.iter().any(is_for_mailbox));
        let deadlines = self.waiters.iter().filter_map(|waiter| waiter.deadline);
        deadlines.chain(look).min()
    }
}

/// A guest may write the mailbox without ringing the doorbell, so these need looks.
fn is_for_mailbox(waiter: &Waiter) -> bool {
    matches!(waiter.awaited, Awaited::Attached | Awaited::MailboxResponse)
}
