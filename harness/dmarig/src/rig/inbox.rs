//! [`Inbox`]: what the guest reports by itself, sorted, and kept for the case under which it happened.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use contract::{IommuFault, PnpRequest};
use control_api::ledger::{AccessPath, AccessRecord};
use control_api::response::DmaStatus;

/// How long an expected fault report may take from the remapping unit to us.
const FAULT_DEADLINE: Duration = Duration::from_secs(1);
/// How long a fault report may take that follows from a refused message and that nobody asked for. The
/// unit may drop one while another is pending, so it need not come at all.
const UNASKED_FAULT_DEADLINE: Duration = Duration::from_millis(200);
/// PnP requests kept; older ones go.
const REQUESTS_MAX: usize = 64;
/// How long the main thread may take to hand on what the console has said.
const MARK_DEADLINE: Duration = Duration::from_secs(5);

/// What the guest reported by itself and a case may want to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The remapping unit recorded a fault.
    Fault(IommuFault),
    /// The guest found something.
    Finding(String),
    /// The guest's system has carried out an order.
    Command {
        /// The order.
        line: String,
        /// Its NTSTATUS, or words.
        status: String,
    },
    /// The device under test got a PnP request.
    Pnp(PnpRequest),
    /// Everything that was said before the mark of this number was asked for has come.
    Mark(u64),
}

/// Asks for a [`Notice::Mark`] to be sent behind all that the guest has said so far.
pub type AskMark = Box<dyn FnMut(u64) + Send>;

/// The notices of one boot.
pub struct Inbox {
    notices: Receiver<Notice>,
    ask_mark: AskMark,
    n_marks: u64,
    seen_mark: u64,
    faults: VecDeque<IommuFault>,
    findings: VecDeque<String>,
    /// Orders that were carried out, with their status.
    answers: VecDeque<(String, String)>,
    /// PnP requests that the device under test got.
    requests: VecDeque<PnpRequest>,
    /// Messages of this case that the platform refused.
    n_refused: usize,
    /// Fault reports that this case has taken.
    n_taken: usize,
}

impl Inbox {
    /// Takes the channel of notices.
    pub fn new(notices: Receiver<Notice>, ask_mark: AskMark) -> Self {
        Self {
            notices,
            ask_mark,
            n_marks: 0,
            seen_mark: 0,
            faults: VecDeque::new(),
            findings: VecDeque::new(),
            answers: VecDeque::new(),
            requests: VecDeque::new(),
            n_refused: 0,
            n_taken: 0,
        }
    }

    /// A case begins: what another one refused or took is not its own.
    pub const fn begin_case(&mut self) {
        self.n_refused = 0;
        self.n_taken = 0;
    }

    /// The ledger tells of these accesses.
    pub fn note_accesses(&mut self, records: &[AccessRecord]) {
        self.n_refused += records
            .iter()
            .filter(|record| is_refused_message(record))
            .count();
    }

    /// Fault reports up to now. Waits a moment for the first one if `expect_one`, else for as many as
    /// the refused messages of this case must have left, so that a report on its way is found by the
    /// case that caused it.
    pub fn take_faults(&mut self, expect_one: bool) -> Vec<IommuFault> {
        self.catch_up();
        if expect_one {
            self.await_faults(1, FAULT_DEADLINE);
        } else {
            let owed = self.n_refused.saturating_sub(self.n_taken);
            self.await_faults(owed, UNASKED_FAULT_DEADLINE);
        }
        self.n_taken += self.faults.len();
        self.faults.drain(..).collect()
    }

    /// Findings up to now.
    pub fn take_findings(&mut self) -> Vec<String> {
        self.catch_up();
        self.findings.drain(..).collect()
    }

    /// The status of an order, once it is carried out. `None` when the time is up.
    pub fn take_answer(&mut self, order: &str, limit: Duration) -> Option<String> {
        let deadline = Instant::now() + limit;
        loop {
            while let Some((line, status)) = self.answers.pop_front() {
                if line == order {
                    return Some(status);
                }
            }
            self.receive(deadline).ok()?;
        }
    }

    /// The PnP requests since the last time, up to the first that is the last of them; once that has come.
    ///
    /// # Errors
    /// When the time is up: those that came.
    pub fn take_requests(
        &mut self,
        is_last: impl Fn(&PnpRequest) -> bool,
        limit: Duration,
    ) -> Result<Vec<PnpRequest>, Vec<PnpRequest>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(last) = self.requests.iter().position(&is_last) {
                return Ok(self.requests.drain(..=last).collect());
            }
            if self.receive(deadline).is_err() {
                return Err(self.requests.drain(..).collect());
            }
        }
    }

    /// Forgets the PnP requests up to now.
    pub fn forget_requests(&mut self) {
        self.catch_up();
        self.requests.clear();
    }

    /// Everything that nobody has taken, for the main thread, which sends the notices itself.
    pub fn take_rest(&mut self) -> (Vec<IommuFault>, Vec<String>) {
        while let Ok(notice) = self.notices.try_recv() {
            self.sort(notice);
        }
        let faults = self.faults.drain(..).collect();
        (faults, self.findings.drain(..).collect())
    }

    /// Waits until everything that the guest has said so far is here.
    fn catch_up(&mut self) {
        self.n_marks += 1;
        (self.ask_mark)(self.n_marks);
        let deadline = Instant::now() + MARK_DEADLINE;
        while self.seen_mark < self.n_marks {
            match self.receive(deadline) {
                Ok(()) => {}
                // The boot is over: see its ending.
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {
                    let seconds = MARK_DEADLINE.as_secs();
                    let text =
                        format!("the guest's console was not read to its end in {seconds} s");
                    self.findings.push_back(text);
                    return;
                }
            }
        }
    }

    fn await_faults(&mut self, count: usize, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.faults.len() < count && self.receive(deadline).is_ok() {}
    }

    fn receive(&mut self, deadline: Instant) -> Result<(), RecvTimeoutError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let notice = self.notices.recv_timeout(left)?;
        self.sort(notice);
        Ok(())
    }

    fn sort(&mut self, notice: Notice) {
        match notice {
            Notice::Fault(fault) => self.faults.push_back(fault),
            Notice::Finding(text) => self.findings.push_back(text),
            Notice::Command { line, status } => self.answers.push_back((line, status)),
            Notice::Pnp(request) => {
                if self.requests.len() == REQUESTS_MAX {
                    self.requests.pop_front();
                }
                self.requests.push_back(request);
            }
            Notice::Mark(number) => self.seen_mark = number,
        }
    }
}

/// Whether a message was refused, and so left a fault. Where the device's own table refuses as well,
/// the status is the table's.
fn is_refused_message(record: &AccessRecord) -> bool {
    record.path == AccessPath::Message
        && matches!(
            record.status,
            DmaStatus::Refused | DmaStatus::Unmapped | DmaStatus::Permission
        )
}

#[cfg(test)]
mod tests;
