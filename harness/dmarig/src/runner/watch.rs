//! [`Watch`]: the main thread's view of a boot. It takes everything that happens, in order, and says
//! when the boot is over and why. It does no I/O but telling the journal.

use std::collections::VecDeque;
use std::process::ExitStatus;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use contract::{Case, CaseOutcome, CaseReport, IommuFault, NtStatus, PnpRequest, Remapping, Stop};
use control_api::FunctionName;
use dmarig_abi::{Iova, RequesterId};
use qemu::console::event::{Hex, Leaks};
use qemu::console::{ConsoleLine, GuestEvent, GuestEventKind};
use serde_json::Value;

use super::ending::{Ending, place};
use super::explore::Sign;
use super::journal::{Journal, milliseconds};
use super::proof::ProofError;
use super::worker::{SetUpError, WorkerReport};
use crate::entry::chain;
use crate::event::{BootEnding, BufferHistory, CaseResult, Event, FindingRecord, Verdict};
use crate::exit_code::Exit;
use crate::rig::{Notice, Trouble};

/// How long the rest of the console may take after QEMU has ended.
const CONSOLE_GRACE: Duration = Duration::from_secs(1);
/// How long QEMU may take to end after the guest's last words, or after its console was closed.
const EXIT_GRACE: Duration = Duration::from_secs(3);
/// How long we look for the cause of a trouble before we report the trouble itself.
const TROUBLE_GRACE: Duration = Duration::from_millis(500);
/// What stands for a case while the driver starts.
const START_ID: &str = "RIG/boot";
/// How the guest names devices under test.
const DUT_PREFIX: &str = "dut";
/// Console lines quoted when the driver does not come.
const QUOTED_LINES: usize = 6;

/// What can happen in a boot, as the main thread sees it.
#[derive(Debug)]
pub enum Happening {
    /// A line of the guest.
    Console(ConsoleLine),
    /// QEMU has closed the console.
    ConsoleEnded,
    /// The worker reports.
    Worker(WorkerReport),
    /// Everything that the console has said before is to be in front of this mark.
    Mark(u64),
    /// QEMU has ended.
    QemuExited(ExitStatus),
    /// The device process has ended.
    DeviceExited(ExitStatus),
}

/// Why the main loop is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Over {
    /// The worker has done its work.
    WorkDone,
    /// The driver has refused to start, or no device is there for it, which this boot takes for an answer.
    Refused,
    /// QEMU has ended.
    Qemu(ExitStatus),
    /// The device process has ended.
    Device(ExitStatus),
    /// Another reason.
    Ending(Ending),
}

/// Who has a boot's ending as its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// No case was running.
    Nobody,
    /// The running case, which is red.
    Case,
    /// The running case, which expected just that.
    ExpectedStop,
}

/// One boot as far as it has been seen.
pub struct Watch<'a> {
    journal: &'a mut Journal,
    boot: u32,
    remapping: Remapping,
    case_limit: Duration,
    start: Instant,
    /// Cases without a verdict; the first is the running one.
    pending: &'a mut VecDeque<&'static Case>,
    running_since: Option<Instant>,
    notices: SyncSender<Notice>,
    quoted: VecDeque<String>,
    /// The guest's last finding: its id and what it says.
    last_finding: Option<(String, String)>,
    last_words: Option<(Ending, Instant)>,
    trouble: Option<(Ending, Instant)>,
    console_ended: Option<Instant>,
    qemu_exit: Option<(ExitStatus, Instant)>,
    device_exit: Option<ExitStatus>,
    worker_done: bool,
    leaks: Option<Leaks>,
    /// Whether a refusal to start is an answer, and whether one came before everything was up.
    expects_refusal: bool,
    is_up: bool,
    has_refused: bool,
    /// Whether a device under test was found.
    has_dut: bool,
}

impl<'a> Watch<'a> {
    /// Starts with the cases that are to run.
    pub fn new(
        journal: &'a mut Journal,
        boot: u32,
        remapping: Remapping,
        case_limit: Duration,
        pending: &'a mut VecDeque<&'static Case>,
        notices: SyncSender<Notice>,
        now: Instant,
    ) -> Self {
        Self {
            journal,
            boot,
            remapping,
            case_limit,
            start: now,
            pending,
            running_since: None,
            notices,
            quoted: VecDeque::new(),
            last_finding: None,
            last_words: None,
            trouble: None,
            console_ended: None,
            qemu_exit: None,
            device_exit: None,
            worker_done: false,
            leaks: None,
            expects_refusal: false,
            is_up: false,
            has_refused: false,
            has_dut: false,
        }
    }

    /// Takes a driver's refusal to start, or that no device under test was found, for the end of what is to be seen.
    pub const fn expect_refusal(&mut self) {
        self.expects_refusal = true;
    }

    /// Whether the worker has reported its end.
    pub const fn is_worker_done(&self) -> bool {
        self.worker_done
    }

    /// What the guest said was left over, once it said so.
    pub const fn leaks(&self) -> Option<&Leaks> {
        self.leaks.as_ref()
    }

    /// What the guest said of its own end.
    pub fn last_words(&self) -> Option<&Ending> {
        self.last_words.as_ref().map(|(words, _)| words)
    }

    /// The journal, for what others have to tell.
    pub const fn journal(&mut self) -> &mut Journal {
        self.journal
    }

    /// Takes one happening.
    pub fn take(&mut self, happening: Happening, now: Instant) {
        match happening {
            Happening::Console(ConsoleLine::Text(text)) => self.quote(text),
            Happening::Console(ConsoleLine::Event(event)) => self.take_guest_event(event, now),
            Happening::ConsoleEnded => self.console_ended = Some(now),
            Happening::QemuExited(status) => {
                self.qemu_exit.get_or_insert((status, now));
            }
            Happening::DeviceExited(status) => self.device_exit = Some(status),
            Happening::Worker(report) => self.take_report(report, now),
            Happening::Mark(number) => self.notify(Notice::Mark(number)),
        }
    }

    /// Whether the main loop is to be left, and why.
    pub fn over(&self, now: Instant, signal: Option<Exit>) -> Option<Over> {
        let ending = |how, text: &str| Some(Over::Ending(Ending::new(how, text)));
        let is_older = |since: Instant, limit| now.saturating_duration_since(since) >= limit;
        if signal.is_some() {
            return ending(BootEnding::Interrupted, "interrupted by a signal");
        }
        if let Some(status) = self.device_exit {
            return Some(Over::Device(status));
        }
        if let Some((status, since)) = self.qemu_exit {
            let is_whole = self.console_ended.is_some() || is_older(since, CONSOLE_GRACE);
            return is_whole.then_some(Over::Qemu(status));
        }
        if let Some((words, since)) = &self.last_words {
            return is_older(*since, EXIT_GRACE).then(|| Over::Ending(words.clone()));
        }
        if let Some(since) = self.console_ended {
            let text = "QEMU closed the guest's console and did not end";
            return is_older(since, EXIT_GRACE)
                .then(|| Over::Ending(Ending::new(BootEnding::QemuDied, text)));
        }
        if let Some((trouble, since)) = &self.trouble {
            return is_older(*since, TROUBLE_GRACE).then(|| Over::Ending(trouble.clone()));
        }
        if let Some(since) = self.running_since
            && is_older(since, self.case_limit)
        {
            let id = self.pending.front().map_or("?", |case| case.id);
            let seconds = self.case_limit.as_secs();
            let text = format!("waited {seconds} s for case {id} to end");
            return ending(BootEnding::GuestHung, &text);
        }
        if self.expects_refusal && self.has_refused && !self.worker_done {
            return Some(Over::Refused);
        }
        if self.has_refused && !self.is_up && !self.worker_done {
            return Some(Over::Ending(self.explain(&SetUpError::Refused)));
        }
        self.worker_done.then_some(Over::WorkDone)
    }

    /// What the guest has said of its stop, if it stopped by itself under a case.
    pub fn words_of_stop(&self, ending: &Ending) -> Option<String> {
        self.running_since?;
        ending.stop.as_ref()?;
        let finding = self
            .last_finding
            .as_ref()
            .map_or(String::new(), |(_, detail)| format!("\n{detail}"));
        Some(format!("{}{finding}", ending.detail))
    }

    /// Gives the running case the boot's ending as its verdict. `history` is what the device knows of
    /// the buffers concerned.
    pub fn blame(
        &mut self,
        ending: &Ending,
        history: Option<BufferHistory>,
        now: Instant,
    ) -> Culprit {
        let Some(since) = self.running_since.take() else {
            return Culprit::Nobody;
        };
        let expected = self.pending.front().and_then(|case| case.stop);
        let is_expected = match (&ending.stop, expected) {
            (Some(stop), Some(expected)) => stop.is(expected),
            _ => false,
        };
        let mut observations = Vec::new();
        let verdict = if is_expected {
            observations.push(format!("seen: {}", ending.detail));
            if let Some((id, detail)) = &self.last_finding {
                observations.push(format!("the guest says: {id}: {detail}"));
            }
            Verdict::Passed
        } else if ending.how == BootEnding::Interrupted {
            let reason = ending.detail.clone();
            Verdict::NotRun { reason }
        } else {
            let reason = match expected {
                Some(expected) => format!("expected {expected}, but {}", ending.detail),
                None => ending.detail.clone(),
            };
            Verdict::Broken { reason }
        };
        self.end_case(
            verdict,
            now.saturating_duration_since(since),
            observations,
            history,
        );
        if is_expected {
            Culprit::ExpectedStop
        } else {
            Culprit::Case
        }
    }

    fn take_guest_event(&mut self, event: GuestEvent, now: Instant) {
        if let Some(words) = Ending::from_last_words(&event.kind) {
            self.last_words.get_or_insert((words, now));
        }
        match &event.kind {
            GuestEventKind::VtdFault {
                reason,
                requester,
                iova,
                access,
            } => match fault(*reason, requester, *iova, access) {
                Some(fault) => self.notify(Notice::Fault(fault)),
                None => self.notify(Notice::Finding(format!("unreadable fault: {}", event.raw))),
            },
            GuestEventKind::Finding {
                id,
                detail,
                location,
            } => {
                let detail = format!("{}{}", plain(detail), place(location));
                self.notify(Notice::Finding(format!("{id}: {detail}")));
                self.last_finding = Some((id.clone(), detail));
            }
            GuestEventKind::Goodbye { reason } => {
                if let Some((id, detail)) = &self.last_finding
                    && reason.as_str() == Some(id)
                {
                    let words = Ending::from_stopping_finding(id, detail);
                    self.last_words.get_or_insert((words, now));
                }
            }
            GuestEventKind::Command { line, status } => self.notify(Notice::Command {
                line: line.clone(),
                status: plain(status),
            }),
            GuestEventKind::Malformed { problem } => {
                let text = format!("malformed machine line ({problem}): {}", event.raw);
                self.notify(Notice::Finding(text));
            }
            GuestEventKind::MissingImport { .. } => self.quote(event.raw.to_string()),
            GuestEventKind::Pnp {
                device,
                irp,
                status,
            } => {
                if *device == FunctionName::DUT0.to_string() {
                    self.notify(Notice::Pnp(PnpRequest {
                        irp: irp.clone(),
                        status: nt_status(*status),
                    }));
                }
                self.has_dut |= device.starts_with(DUT_PREFIX);
                let is_absent = is_last_of_start(device, irp) && !self.has_dut;
                self.has_refused |= !self.is_up && (is_absent || is_refusal(irp, *status));
                self.quote(event.raw.to_string());
            }
            GuestEventKind::CallFailed { routine, location } => {
                self.journal.call_failed(routine.clone(), location.clone());
            }
            GuestEventKind::Leaks(leaks) => self.leaks = Some(leaks.clone()),
            _ => {}
        }
        let (boot, line) = (self.boot, event.raw);
        self.journal.tell(Event::Guest { boot, line });
    }

    /// Tells the running case. A case that does not listen while a thousand notices come loses some,
    /// and the console log has them all.
    fn notify(&self, notice: Notice) {
        let _ = self.notices.try_send(notice);
    }

    fn quote(&mut self, line: String) {
        if self.quoted.len() == QUOTED_LINES {
            self.quoted.pop_front();
        }
        self.quoted.push_back(line);
    }

    fn take_report(&mut self, report: WorkerReport, now: Instant) {
        let boot = self.boot;
        let remapping = self.remapping.into();
        match report {
            WorkerReport::Attached => self.journal.tell(Event::DriverAttached {
                boot,
                after_qemu_start_ms: milliseconds(now.saturating_duration_since(self.start)),
            }),
            WorkerReport::Proven(evidence) => {
                self.is_up = true;
                self.journal.tell(Event::RemappingProven {
                    boot,
                    remapping,
                    evidence,
                });
            }
            WorkerReport::CaseStarted => {
                self.running_since = Some(now);
                let id = self.pending.front().map_or("?", |case| case.id).to_owned();
                self.journal.tell(Event::CaseStarted {
                    boot,
                    id,
                    remapping,
                });
            }
            WorkerReport::Passed(points) => {
                let case = self.running_since.and(self.pending.front());
                let id = case.map_or(START_ID, |case| case.id).to_owned();
                self.journal.tell(Event::FaultPoints { boot, id, points });
            }
            WorkerReport::CaseEnded {
                report,
                trouble,
                duration,
            } => self.take_case_end(report, trouble, duration, now),
            WorkerReport::Searching(sign) => self.journal.tell(searching(sign, self.remapping)),
            WorkerReport::SearchBroke { error, trouble } => {
                self.trouble = Some((broken_rig(&error, trouble), now));
            }
            WorkerReport::SetUpFailed(error) => self.trouble = Some((self.explain(&error), now)),
            WorkerReport::Done => self.worker_done = true,
        }
    }

    fn take_case_end(
        &mut self,
        report: Result<CaseReport, contract::RigError>,
        trouble: Option<Trouble>,
        duration: Duration,
        now: Instant,
    ) {
        if self.running_since.is_none() {
            // Its verdict was given when the boot was found to be over.
            return;
        }
        match report {
            Ok(report) => {
                self.running_since = None;
                let expected = self.pending.front().and_then(|case| case.stop);
                let verdict = verdict(&report.outcome, expected);
                self.end_case(verdict, duration, report.observations, None);
            }
            // The case keeps running until the cause is known: see `blame`.
            Err(error) => self.trouble = Some((broken_rig(&error, trouble), now)),
        }
    }

    fn end_case(
        &mut self,
        verdict: Verdict,
        duration: Duration,
        observations: Vec<String>,
        buffer_history: Option<BufferHistory>,
    ) {
        let Some(case) = self.pending.pop_front() else {
            return;
        };
        self.journal.case_ended(CaseResult {
            boot: self.boot,
            id: case.id.into(),
            rule: case.rule().into(),
            title: case.title.into(),
            remapping: self.remapping.into(),
            verdict,
            duration_ms: duration.as_secs_f64() * 1000.0,
            observations,
            buffer_history,
        });
    }

    fn explain(&self, error: &SetUpError) -> Ending {
        let mut detail = chain(error);
        let how = match error {
            SetUpError::NotAttached { .. }
            | SetUpError::NotStarted { .. }
            | SetUpError::Refused => BootEnding::GuestHung,
            SetUpError::Ping(_) => BootEnding::ProtocolBroken,
            SetUpError::Version { .. } | SetUpError::Proof(ProofError::NotAsAsked { .. }) => {
                BootEnding::EnvironmentMissing
            }
            SetUpError::Start { error, trouble } => broken_rig(error, *trouble).how,
            SetUpError::Proof(_) | SetUpError::Client(_) => BootEnding::DeviceDied,
            SetUpError::Stopped => BootEnding::Interrupted,
        };
        if how == BootEnding::GuestHung && !self.quoted.is_empty() {
            detail.push_str("\nlast lines of the guest's console:");
            for line in &self.quoted {
                detail.push_str("\n  ");
                detail.push_str(line);
            }
        }
        Ending::new(how, detail)
    }
}

fn searching(sign: Sign, remapping: Remapping) -> Event {
    let remapping = remapping.into();
    match sign {
        Sign::Judged(n_judged) => Event::ExploreProgress {
            remapping,
            n_judged,
        },
        Sign::Shrinking { n_actions, n_tries } => Event::ExploreShrinking {
            remapping,
            n_actions,
            n_tries,
        },
    }
}

/// Whether a device will not come: a failed DriverEntry ends the guest by itself.
/// The guest writes 32 bits; more than that is no success in any case.
fn nt_status(status: Hex) -> NtStatus {
    NtStatus(u32::try_from(status.0).unwrap_or(u32::MAX))
}

fn is_refusal(irp: &str, status: Hex) -> bool {
    matches!(irp, "AddDevice" | "START_DEVICE") && status.0 >> 31 == 1
}

/// Whether PnP has started all that it has found: the control function is started last.
fn is_last_of_start(device: &str, irp: &str) -> bool {
    device == "control" && irp == "START_DEVICE"
}

/// The ending of a boot whose rig broke, unless a better cause is found.
fn broken_rig(error: &contract::RigError, trouble: Option<Trouble>) -> Ending {
    let how = match trouble {
        Some(Trouble::GuestSilent | Trouble::DriverBusy) => BootEnding::GuestHung,
        Some(Trouble::GuestBrokeProtocol | Trouble::DriverRefused) => BootEnding::ProtocolBroken,
        Some(Trouble::Unfit) => BootEnding::EnvironmentMissing,
        Some(Trouble::Device | Trouble::Ours) | None => BootEnding::DeviceDied,
    };
    Ending::new(how, chain(error))
}

/// A case that came to its end although it expected a stop of the guest is red.
fn verdict(outcome: &CaseOutcome, expected: Option<Stop>) -> Verdict {
    match (outcome, expected) {
        (CaseOutcome::Passed, Some(expected)) => Verdict::Broken {
            reason: format!("expected {expected}, but the guest went on"),
        },
        (outcome, _) => plain_verdict(outcome),
    }
}

fn plain_verdict(outcome: &CaseOutcome) -> Verdict {
    match outcome {
        CaseOutcome::Passed => Verdict::Passed,
        CaseOutcome::Failed(findings) => Verdict::Failed {
            findings: findings.iter().map(FindingRecord::from).collect(),
        },
        CaseOutcome::Skipped(reason) => Verdict::Skipped {
            reason: reason.clone(),
        },
    }
}

fn fault(reason: Hex, requester: &Value, iova: Hex, access: &str) -> Option<IommuFault> {
    Some(IommuFault {
        reason: u32::try_from(reason.0).ok()?,
        requester: parse_requester(requester.as_str()?)?,
        page: Iova::new(iova.0),
        is_write: match access {
            "write" => true,
            "read" => false,
            _ => return None,
        },
    })
}

/// Reads `bb:dd.f`, or the 16-bit form as `0x..`.
fn parse_requester(text: &str) -> Option<RequesterId> {
    if let Some(digits) = text.strip_prefix("0x") {
        let raw = u16::from_str_radix(digits, 16).ok()?;
        return Some(RequesterId::from_raw(raw));
    }
    let (bus, rest) = text.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let hex = |digits| u8::from_str_radix(digits, 16).ok();
    RequesterId::try_new(hex(bus)?, hex(device)?, hex(function)?)
}

/// Text without quotes, anything else as JSON.
fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests;
