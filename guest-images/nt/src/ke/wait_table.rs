//! [`WaitTable`]: who waits for what. Kept apart from the objects, whose memory drivers may damage.

use alloc::vec::Vec;

use super::dispatcher::{DispatcherHeader, Taken};
use super::{Foreign, NtStatus};

/// WAIT_TYPE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitKind {
    /// All objects at once.
    All,
    /// Any one of them; the status tells which.
    Any,
}

/// One thread's wait.
#[derive(Debug)]
pub(super) struct Wait {
    pub thread: u64,
    pub objects: Vec<Foreign<DispatcherHeader>>,
    pub kind: WaitKind,
    /// In 100 ns since boot.
    pub deadline: Option<u64>,
}

/// A thread that waits no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Woken {
    pub thread: u64,
    pub status: NtStatus,
}

/// All waits, oldest first: objects are given out in the order of asking.
#[derive(Debug)]
pub(super) struct WaitTable {
    waits: Vec<Wait>,
}

impl Wait {
    /// Takes the objects if they satisfy the wait now.
    pub fn try_take(&self) -> Option<NtStatus> {
        match self.kind {
            WaitKind::Any => {
                let idx = self
                    .objects
                    .iter()
                    .position(|object| object.is_signaled_for(self.thread))?;
                Some(status(self.objects[idx].take(self.thread), idx))
            }
            WaitKind::All => {
                let all = self
                    .objects
                    .iter()
                    .all(|object| object.is_signaled_for(self.thread));
                if !all {
                    return None;
                }
                let mut taken = Taken::Normal;
                for object in &self.objects {
                    if object.take(self.thread) == Taken::Abandoned {
                        taken = Taken::Abandoned;
                    }
                }
                Some(status(taken, 0))
            }
        }
    }
}

impl WaitTable {
    pub const fn new() -> Self {
        Self { waits: Vec::new() }
    }

    pub fn add(&mut self, wait: Wait) {
        self.waits.push(wait);
    }

    /// Gives out an object that may have become signaled, until it is so no more.
    pub fn on_signal(&mut self, object: Foreign<DispatcherHeader>) -> Vec<Woken> {
        let mut woken = Vec::new();
        self.waits.retain(|wait| {
            if !wait.objects.contains(&object) {
                return true;
            }
            match wait.try_take() {
                Some(status) => {
                    woken.push(Woken {
                        thread: wait.thread,
                        status,
                    });
                    false
                }
                None => true,
            }
        });
        woken
    }

    /// Ends the waits whose time is up.
    pub fn expire(&mut self, now: u64) -> Vec<Woken> {
        let mut woken = Vec::new();
        self.waits.retain(|wait| {
            let is_due = wait.deadline.is_some_and(|deadline| deadline <= now);
            if is_due {
                woken.push(Woken {
                    thread: wait.thread,
                    status: NtStatus::TIMEOUT,
                });
            }
            !is_due
        });
        woken
    }

    /// When the next wait ends by itself.
    pub fn next_deadline(&self) -> Option<u64> {
        self.waits.iter().filter_map(|wait| wait.deadline).min()
    }
}

fn status(taken: Taken, idx: usize) -> NtStatus {
    let base = match taken {
        Taken::Normal => NtStatus::SUCCESS,
        Taken::Abandoned => NtStatus::ABANDONED,
    };
    NtStatus(base.0 + u32::try_from(idx).expect("at most 64 objects"))
}

#[cfg(test)]
#[path = "wait_table_tests.rs"]
mod tests;
