//! [`MachineRig`]: the real rig. What a case asks goes over the control socket to the device process,
//! and through its mailbox to the driver in the guest.

mod inbox;

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use contract::{
    BufferDeclaration, DeviceRequest, DeviceResult, GuestMemory, IommuFault, Mapping, MappingView,
    NtStatus, Remapping, Rig, RigError, Step, StepResult, Violation,
};
use control_api::request::{
    BufferDeclare, BufferDirection, BufferList, BufferUndeclare, DmaOp, DmaPath, DmaSubmit,
    FaultsClear, FaultsLoad, FaultsPoints, FaultsRecord, FaultsStatus, LedgerRead, MailboxCall,
    MappingsList,
};
use control_api::response::{Backing, DmaOutcome, FaultPoint, FaultRule, Permissions};
use control_api::{Client, ClientError, FunctionName, Method, rpc};
use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_MESSAGE, DESCRIPTOR_FLAG_PROBE, DMA_OP_CRC, DMA_OP_FILL, DMA_OP_VERIFY_PATTERN,
    DMA_OP_WRITE_PATTERN,
};
use dmarig_abi::mailbox::CONTEXT_CONTROL_THREAD;
use dmarig_abi::{Iova, RequesterId};

use crate::entry::chain;
use crate::guest::nt;
use crate::mailbox::{self, ResponseError};

pub use inbox::{AskMark, Inbox, Notice};

/// How long the driver may take over one program.
const PROGRAM_DEADLINE: Duration = Duration::from_secs(10);
/// How long the guest's system may take over one order.
const COMMAND_DEADLINE: Duration = Duration::from_secs(10);
/// How long the device process may take over one request.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// What the device process gets on top of the time that it may itself wait for the guest.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);
/// Most runs that a mapping set may have.
const MAPPING_RUNS_MAX: usize = 1 << 16;
/// How often a mapping set that changes while it is read is read again.
const MAPPING_ATTEMPTS: usize = 8;
/// Runs asked for at a time; the device gives fewer if it likes.
const MAPPING_PAGE: u32 = 400;
/// Records asked for at a time.
const LEDGER_PAGE: u32 = 80;
/// Most pages of the ledger read in one go; a device that always says "more" must not hold us.
const LEDGER_PAGES_MAX: usize = 1024;

/// What kind of trouble a [`RigError`] was; the error itself is text for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The guest did not answer.
    GuestSilent,
    /// The driver answered that it could not run the program now.
    DriverBusy,
    /// The driver answered that it could not run the program at all, or has not run one that it was given.
    DriverRefused,
    /// The guest answered nonsense.
    GuestBrokeProtocol,
    /// The device process is gone, silent, or refuses what it should not.
    Device,
    /// We asked for something that cannot be had.
    Ours,
}

/// The rig of one boot.
pub struct MachineRig {
    remapping: Remapping,
    memory: GuestMemory,
    client: Client,
    inbox: Inbox,
    orders: UnixStream,
    requester: Option<RequesterId>,
    ledger_next: u64,
    /// Violations that the ledger had no room for, as far as they were told of.
    dropped_violations: u64,
    trouble: Option<Trouble>,
    /// What the driver answered in place of success, in words, since the case began.
    refusals: BTreeSet<String>,
}

impl MachineRig {
    /// Takes the connected control socket, what the guest reports, and where its system takes orders.
    pub fn new(
        remapping: Remapping,
        memory: GuestMemory,
        client: Client,
        inbox: Inbox,
        orders: UnixStream,
    ) -> Self {
        Self {
            remapping,
            memory,
            client,
            inbox,
            orders,
            requester: None,
            ledger_next: 0,
            dropped_violations: 0,
            trouble: None,
            refusals: BTreeSet::new(),
        }
    }

    /// The kind of the last trouble, if there was any.
    pub const fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    /// A case begins.
    pub fn begin_case(&mut self) {
        self.inbox.begin_case();
        self.refusals.clear();
    }

    /// What each rule that the device has loaded has done.
    ///
    /// # Errors
    /// The device process does not answer.
    pub fn fault_rules(&mut self) -> Result<Vec<FaultRule>, RigError> {
        let mut rules = Vec::new();
        let mut from = 0;
        loop {
            let page = self
                .call(&FaultsStatus {
                    function: FunctionName::DUT0,
                    from,
                })
                .map_err(|error| self.client_trouble(&error))?;
            rules.extend(page.rules);
            match page.next {
                Some(next) if next > from => from = next,
                _ => return Ok(rules),
            }
        }
    }

    /// Begins to count the points of fault injection that the driver's work passes.
    ///
    /// # Errors
    /// The device process does not answer.
    pub fn record_points(&mut self) -> Result<(), RigError> {
        self.call(&FaultsRecord {
            function: FunctionName::DUT0,
            on: true,
        })
        .map(|_| ())
        .map_err(|error| self.client_trouble(&error))
    }

    /// The points passed since then.
    ///
    /// # Errors
    /// The device process does not answer.
    pub fn take_points(&mut self) -> Result<Vec<FaultPoint>, RigError> {
        let answer = self
            .call(&FaultsPoints {
                function: FunctionName::DUT0,
            })
            .map_err(|error| self.client_trouble(&error))?;
        Ok(answer.points.unwrap_or_default())
    }

    /// Gives back what a case that was broken off has left, in the driver and in the ledger.
    ///
    /// # Errors
    /// The rig broke.
    pub fn clean_up(&mut self) -> Result<(), RigError> {
        self.trouble = None;
        self.run(CONTEXT_CONTROL_THREAD, &[Step::release_all()])?;
        let mut from = 0;
        loop {
            let page = self
                .call(&BufferList {
                    function: FunctionName::DUT0,
                    from,
                })
                .map_err(|error| self.client_trouble(&error))?;
            for buffer in &page.buffers {
                self.undeclare(buffer.id.into())?;
            }
            match page.next {
                Some(next) if next > from => from = next,
                _ => break,
            }
        }
        self.take_violations().map(drop)
    }

    /// What the driver has answered in place of success since the case began, in the words of findings.
    pub fn take_refusals(&mut self) -> BTreeSet<String> {
        std::mem::take(&mut self.refusals)
    }

    /// Puts them back.
    pub fn put_refusals(&mut self, refusals: BTreeSet<String>) {
        self.refusals = refusals;
    }

    /// What the guest reported and no case has taken. Only for the main thread: nothing is waited for.
    pub fn take_rest(&mut self) -> (Vec<IommuFault>, Vec<String>) {
        self.inbox.take_rest()
    }

    /// Calls one method of the control socket.
    pub fn call<M: Method>(&mut self, parameters: &M) -> Result<M::Result, ClientError> {
        self.client.call(parameters, REQUEST_DEADLINE)
    }

    /// Calls one method that itself may wait for `patience`.
    pub fn call_patiently<M: Method>(
        &mut self,
        parameters: &M,
        patience: Duration,
    ) -> Result<M::Result, ClientError> {
        self.client.call(parameters, patience + ANSWER_MARGIN)
    }

    /// Remembers the requester ID that the guest gave the device under test.
    pub fn set_requester(&mut self, requester: RequesterId) {
        self.requester = Some(requester);
    }

    /// Lets the device do one request by itself; all that the device says of it.
    pub fn submit(
        &mut self,
        op: DmaOp,
        path: DmaPath,
        iova: Iova,
        length: u64,
        seed: u64,
    ) -> Result<DmaOutcome, ClientError> {
        self.call(&DmaSubmit {
            function: FunctionName::DUT0,
            op,
            path,
            iova,
            destination: None,
            length,
            seed,
        })
    }

    fn list_mappings_once(&mut self) -> Result<Option<MappingView>, RigError> {
        let mut view = MappingView::default();
        let mut start = Iova::new(0);
        let mut is_first = true;
        loop {
            let page = self
                .call(&MappingsList {
                    function: FunctionName::DUT0,
                    start,
                    limit: MAPPING_PAGE,
                })
                .map_err(|error| self.client_trouble(&error))?;
            if is_first {
                view.epoch = page.epoch;
                is_first = false;
            } else if page.epoch != view.epoch {
                return Ok(None);
            }
            view.mappings
                .extend(page.mappings.iter().map(|run| Mapping {
                    iova: run.iova,
                    size_bytes: run.size,
                    writable: matches!(
                        run.permissions,
                        Permissions::ReadWrite | Permissions::Write
                    ),
                    guest_phys: match run.backing {
                        Backing::Memory { file_offset } => {
                            Some(nt::guest_phys(self.memory, file_offset))
                        }
                        Backing::Message => None,
                    },
                }));
            if view.mappings.len() > MAPPING_RUNS_MAX {
                let text = format!("the device lists more than {MAPPING_RUNS_MAX} mappings");
                return Err(RigError(text));
            }
            match page.next {
                Some(next) if next > start => start = next,
                Some(next) => {
                    let text = format!("the device lists mappings from {start} on and then {next}");
                    return Err(RigError(text));
                }
                None => return Ok(Some(view)),
            }
        }
    }

    /// The violations that the ledger had no room for since the last time, as one.
    fn newly_dropped(&mut self, dropped: u64) -> Option<Violation> {
        let more = growth(self.dropped_violations, dropped);
        self.dropped_violations = dropped;
        (more > 0).then(|| Violation {
            kind: "ledger-full".into(),
            detail: format!("{more} violations that the ledger had no room for"),
            iova: None,
        })
    }

    fn client_trouble(&mut self, error: &ClientError) -> RigError {
        let trouble = match error.code() {
            Some(rpc::CODE_TIMEOUT | rpc::CODE_NOT_ATTACHED) => Trouble::GuestSilent,
            Some(rpc::CODE_BAD_RESPONSE) => Trouble::GuestBrokeProtocol,
            Some(_) => Trouble::Ours,
            None => Trouble::Device,
        };
        self.remember(trouble, error)
    }

    fn remember(&mut self, trouble: Trouble, error: &dyn std::error::Error) -> RigError {
        self.trouble = Some(trouble);
        RigError(chain(error))
    }
}

impl Rig for MachineRig {
    fn remapping(&self) -> Remapping {
        self.remapping
    }

    fn run(&mut self, context: u16, steps: &[Step]) -> Result<Vec<StepResult>, RigError> {
        let program = mailbox::encode(context, steps)
            .map_err(|error| self.remember(Trouble::Ours, &error))?;
        let call = MailboxCall {
            program,
            timeout_ms: milliseconds(PROGRAM_DEADLINE),
        };
        let answer = self
            .call_patiently(&call, PROGRAM_DEADLINE)
            .map_err(|error| self.client_trouble(&error))?;
        let results = mailbox::decode(&answer.response, steps).map_err(|error| {
            let trouble = match error {
                ResponseError::ContextTimeout => Trouble::DriverBusy,
                ResponseError::NoMemory => Trouble::DriverRefused,
                _ => Trouble::GuestBrokeProtocol,
            };
            self.remember(trouble, &error)
        })?;
        let failures = results.iter().filter_map(StepResult::failure);
        self.refusals.extend(failures);
        Ok(results)
    }

    fn stored(&mut self, context: u16, steps: &[Step]) -> Result<Vec<StepResult>, RigError> {
        let fetched = self.run(CONTEXT_CONTROL_THREAD, &[Step::fetch_stored(context)])?;
        let Some(fetched) = fetched.into_iter().next().filter(StepResult::is_success) else {
            let text = format!("no program of context {context} was run, or it left no response");
            self.trouble = Some(Trouble::DriverRefused);
            return Err(RigError(text));
        };
        mailbox::decode(&fetched.data, steps)
            .map_err(|error| self.remember(Trouble::GuestBrokeProtocol, &error))
    }

    fn command(&mut self, line: &str) -> Result<NtStatus, RigError> {
        if let Err(error) = self.orders.write_all(format!("{line}\n").as_bytes()) {
            self.trouble = Some(Trouble::GuestSilent);
            return Err(RigError(format!(
                "the guest takes no order on COM1: {error}"
            )));
        }
        let Some(status) = self.inbox.take_answer(line, COMMAND_DEADLINE) else {
            self.trouble = Some(Trouble::GuestSilent);
            let seconds = COMMAND_DEADLINE.as_secs();
            let text = format!("waited {seconds} s for the guest to carry out the order {line}");
            return Err(RigError(text));
        };
        let code = status.strip_prefix("0x");
        let code = code.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        code.map(NtStatus)
            .ok_or_else(|| RigError(format!("the guest answers the order {line} with {status}")))
    }

    fn mappings(&mut self) -> Result<MappingView, RigError> {
        for _ in 0..MAPPING_ATTEMPTS {
            if let Some(view) = self.list_mappings_once()? {
                return Ok(view);
            }
        }
        Err(RigError(format!(
            "the mapping set changed {MAPPING_ATTEMPTS} times while it was read"
        )))
    }

    fn device(&mut self, request: DeviceRequest) -> Result<DeviceResult, RigError> {
        let op = match request.opcode {
            DMA_OP_WRITE_PATTERN => DmaOp::WritePattern,
            DMA_OP_VERIFY_PATTERN => DmaOp::VerifyPattern,
            DMA_OP_CRC => DmaOp::Crc,
            DMA_OP_FILL => DmaOp::Fill,
            other => {
                let text = format!("operation {other} is none that the harness may ask for");
                return Err(RigError(text));
            }
        };
        let path = if request.flags & DESCRIPTOR_FLAG_PROBE != 0 {
            DmaPath::Probe
        } else if request.flags & DESCRIPTOR_FLAG_MESSAGE != 0 {
            DmaPath::Message
        } else {
            DmaPath::Default
        };
        let outcome = self
            .submit(op, path, request.iova, request.length_bytes, request.seed)
            .map_err(|error| self.client_trouble(&error))?;
        Ok(DeviceResult {
            status: outcome.status.code(),
            crc32c: outcome.crc32c,
            mismatch_offset: outcome.mismatch_offset,
            done_bytes: outcome.done_bytes,
            by_message: outcome.by_message,
        })
    }

    fn declare(&mut self, declaration: &BufferDeclaration) -> Result<u64, RigError> {
        let direction = match (declaration.device_reads, declaration.device_writes) {
            (true, false) => BufferDirection::ToDevice,
            (false, true) => BufferDirection::FromDevice,
            (true, true) | (false, false) => BufferDirection::Bidirectional,
        };
        let answer = self.call(&BufferDeclare {
            function: FunctionName::DUT0,
            name: declaration.name.clone(),
            iova: declaration.iova,
            length: declaration.length_bytes,
            direction,
        });
        answer
            .map(|buffer| u64::from(buffer.id))
            .map_err(|error| self.client_trouble(&error))
    }

    fn undeclare(&mut self, id: u64) -> Result<(), RigError> {
        let id = u32::try_from(id).map_err(|_| RigError(format!("no buffer has the id {id}")))?;
        self.call(&BufferUndeclare {
            function: FunctionName::DUT0,
            id,
        })
        .map(|_| ())
        .map_err(|error| self.client_trouble(&error))
    }

    fn take_violations(&mut self) -> Result<Vec<Violation>, RigError> {
        let mut violations = Vec::new();
        for _ in 0..LEDGER_PAGES_MAX {
            let page = self
                .call(&LedgerRead {
                    function: FunctionName::DUT0,
                    from: self.ledger_next,
                    limit: LEDGER_PAGE,
                })
                .map_err(|error| self.client_trouble(&error))?;
            violations.extend(page.violations.iter().map(violation));
            self.inbox.note_accesses(&page.records);
            self.ledger_next = page.next;
            if !page.more {
                violations.extend(self.newly_dropped(page.dropped_violations));
                return Ok(violations);
            }
        }
        Err(RigError("the device's ledger has no end".into()))
    }

    fn take_faults(&mut self, expect_one: bool) -> Result<Vec<IommuFault>, RigError> {
        Ok(self.inbox.take_faults(expect_one))
    }

    fn take_guest_findings(&mut self) -> Result<Vec<String>, RigError> {
        Ok(self.inbox.take_findings())
    }

    fn load_faults(&mut self, rules: &str) -> Result<(), RigError> {
        self.call(&FaultsLoad {
            function: FunctionName::DUT0,
            rules: rules.to_owned(),
        })
        .map(|_| ())
        .map_err(|error| self.client_trouble(&error))
    }

    fn fault_strikes(&mut self) -> Result<u64, RigError> {
        let rules = self.fault_rules()?;
        Ok(rules.iter().map(|rule| rule.fired).sum())
    }

    fn clear_faults(&mut self) -> Result<(), RigError> {
        self.call(&FaultsClear {
            function: FunctionName::DUT0,
        })
        .map(|_| ())
        .map_err(|error| self.client_trouble(&error))
    }

    fn requester(&self) -> Option<RequesterId> {
        self.requester
    }
}

fn violation(violation: &control_api::ledger::Violation) -> Violation {
    let kind = serde_json::to_value(violation.kind)
        .ok()
        .and_then(|name| name.as_str().map(str::to_owned))
        .unwrap_or_default();
    let declared = violation
        .declared
        .as_ref()
        .map_or(String::new(), |name| format!(" ({name})"));
    Violation {
        kind,
        detail: format!("{}{declared}", violation.detail),
        iova: Some(violation.iova),
    }
}

/// How much was added to a count that a clearing of the ledger sets back to zero.
const fn growth(before: u64, now: u64) -> u64 {
    match now.checked_sub(before) {
        Some(more) => more,
        None => now,
    }
}

/// A deadline as the control socket counts it.
pub fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropped_violations_count_once_and_again_after_a_clear() {
        assert_eq!(growth(0, 0), 0);
        assert_eq!(growth(2, 5), 3);
        assert_eq!(growth(5, 5), 0);
        assert_eq!(growth(5, 2), 2);
    }
}
