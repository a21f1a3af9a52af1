//! [`MachineRig`]: the real rig. What a case asks goes over the control socket to the device process,
//! and through its mailbox to the driver in the guest.

mod dut;
mod fault_points;
mod hot_plug;
mod inbox;
mod mappings;

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use contract::{
    BufferDeclaration, DeviceRequest, DeviceResult, GuestMemory, IommuFault, MappingView, NtStatus,
    PnpRequest, Pull, Remapping, Rig, RigError, Step, StepResult, Violation,
};
use control_api::request::{
    BufferDeclare, BufferDirection, BufferList, BufferUndeclare, DmaOp, DmaPath, DmaSubmit,
    FaultsClear, FaultsLoad, LedgerRead, MailboxCall,
};
use control_api::response::DmaOutcome;
use control_api::{Client, ClientError, FunctionName, Method, rpc};
use dmarig_abi::descriptor::{
    DESCRIPTOR_FLAG_MESSAGE, DESCRIPTOR_FLAG_PROBE, DMA_OP_CRC, DMA_OP_FILL, DMA_OP_VERIFY_PATTERN,
    DMA_OP_WRITE_PATTERN,
};
use dmarig_abi::mailbox::CONTEXT_CONTROL_THREAD;
use dmarig_abi::{Iova, RequesterId};

use crate::entry::chain;
use crate::mailbox::{self, ResponseError};

use dut::{DutState, violation};
pub use hot_plug::HotPlug;
pub use inbox::{AskMark, Inbox, Notice};

/// How long the driver may take over one program.
const PROGRAM_DEADLINE: Duration = Duration::from_secs(10);
/// How long the guest's system may take over one order.
const COMMAND_DEADLINE: Duration = Duration::from_secs(10);
/// How long the device process may take over one request.
const REQUEST_DEADLINE: Duration = Duration::from_secs(10);
/// What the device process gets on top of the time that it may itself wait for the guest.
const ANSWER_MARGIN: Duration = Duration::from_secs(2);
/// How often a mapping set that changes while it is read is read again.
const MAPPING_ATTEMPTS: usize = 8;
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
    /// The case needs another device than the one that was named.
    Unfit,
}

/// The rig of one boot.
pub struct MachineRig {
    remapping: Remapping,
    memory: GuestMemory,
    client: Client,
    inbox: Inbox,
    orders: UnixStream,
    /// In boots in which the device may come and go.
    hot_plug: Option<HotPlug>,
    /// The devices under test that the driver has started.
    duts: Vec<DutState>,
    /// The one that is asked.
    dut: u16,
    trouble: Option<Trouble>,
    /// What the driver answered in place of success, in words, since the case began.
    refusals: BTreeSet<String>,
    /// Whether rules were loaded since the case began.
    has_loaded_faults: bool,
}

impl MachineRig {
    /// Takes the connected control socket, what the guest reports, and where its system takes orders.
    pub fn new(
        remapping: Remapping,
        memory: GuestMemory,
        client: Client,
        inbox: Inbox,
        orders: UnixStream,
        hot_plug: Option<HotPlug>,
    ) -> Self {
        Self {
            remapping,
            memory,
            client,
            inbox,
            orders,
            hot_plug,
            duts: vec![DutState::default()],
            dut: 0,
            trouble: None,
            refusals: BTreeSet::new(),
            has_loaded_faults: false,
        }
    }

    /// The kind of the last trouble, if there was any.
    pub const fn trouble(&self) -> Option<Trouble> {
        self.trouble
    }

    /// A case begins.
    pub fn begin_case(&mut self) {
        self.dut = 0;
        self.inbox.begin_case();
        if self.hot_plug.is_some() {
            self.inbox.forget_requests();
        }
        self.refusals.clear();
        self.has_loaded_faults = false;
    }

    /// Whether rules were loaded into a device since the case began.
    pub const fn has_loaded_faults(&self) -> bool {
        self.has_loaded_faults
    }

    /// Gives back what a case that was broken off has left, in the driver and in the ledger.
    ///
    /// # Errors
    /// The rig broke.
    pub fn clean_up(&mut self) -> Result<(), RigError> {
        self.trouble = None;
        self.run(CONTEXT_CONTROL_THREAD, &[Step::release_all()])?;
        self.each_dut(Self::clean_ledger).map(drop)
    }

    fn clean_ledger(&mut self) -> Result<(), RigError> {
        let mut from = 0;
        loop {
            let page = self
                .call(&BufferList {
                    function: self.function(),
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

    /// The driver has started so many devices under test, which the machine has.
    pub fn set_duts(&mut self, count: u16) {
        let count = usize::from(count.max(1));
        self.duts.resize_with(count, DutState::default);
    }

    /// The device under test that is asked.
    pub const fn function(&self) -> FunctionName {
        FunctionName::Dut(self.dut)
    }

    /// Asks something of each device under test; the first is the one that is asked afterwards.
    ///
    /// # Errors
    /// The first answer that is none.
    pub fn each_dut<T, E>(
        &mut self,
        mut ask: impl FnMut(&mut Self) -> Result<T, E>,
    ) -> Result<Vec<T>, E> {
        let numbers = (0u16..).take(self.duts.len());
        let answers = numbers.map(|number| {
            self.dut = number;
            ask(self)
        });
        let answers = answers.collect();
        self.dut = 0;
        answers
    }

    /// Remembers the requester ID that the guest gave the device under test.
    pub fn set_requester(&mut self, requester: RequesterId) {
        self.here().requester = Some(requester);
    }

    fn here(&mut self) -> &mut DutState {
        // `turn_to` has refused what is not there.
        &mut self.duts[usize::from(self.dut)]
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
            function: self.function(),
            op,
            path,
            iova,
            destination: None,
            length,
            seed,
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

    fn duts(&self) -> u32 {
        u32::try_from(self.duts.len()).expect("set_duts counts in 16 bits")
    }

    fn turn_to(&mut self, dut: u32) -> Result<(), RigError> {
        let number = u16::try_from(dut).ok();
        match number.filter(|number| usize::from(*number) < self.duts.len()) {
            Some(number) => self.dut = number,
            None => {
                let n_duts = self.duts.len();
                self.trouble = Some(Trouble::Ours);
                let text = format!("no device under test has the number {dut}: there are {n_duts}");
                return Err(RigError(text));
            }
        }
        Ok(())
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
            function: self.function(),
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
            function: self.function(),
            id,
        })
        .map(|_| ())
        .map_err(|error| self.client_trouble(&error))
    }

    fn take_violations(&mut self) -> Result<Vec<Violation>, RigError> {
        let mut violations = Vec::new();
        for _ in 0..LEDGER_PAGES_MAX {
            let from = self.here().ledger_next;
            let page = self
                .call(&LedgerRead {
                    function: self.function(),
                    from,
                    limit: LEDGER_PAGE,
                })
                .map_err(|error| self.client_trouble(&error))?;
            violations.extend(page.violations.iter().map(violation));
            self.inbox.note_accesses(&page.records);
            self.here().ledger_next = page.next;
            if !page.more {
                violations.extend(self.here().newly_dropped(page.dropped_violations));
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
        self.has_loaded_faults = true;
        self.call(&FaultsLoad {
            function: self.function(),
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
            function: self.function(),
        })
        .map(|_| ())
        .map_err(|error| self.client_trouble(&error))
    }

    fn is_plugged(&self) -> bool {
        self.is_plugged_in()
    }

    fn unplug(&mut self) -> Result<Vec<PnpRequest>, RigError> {
        self.unplug_in_order()
    }

    fn pull(&mut self, how: Pull) -> Result<(), RigError> {
        self.pull_out(how)
    }

    fn await_pulled(&mut self) -> Result<Vec<PnpRequest>, RigError> {
        self.await_removal()
    }

    fn plug(&mut self) -> Result<Vec<PnpRequest>, RigError> {
        self.plug_in()
    }

    fn requester(&self) -> Option<RequesterId> {
        self.duts[usize::from(self.dut)].requester
    }
}

/// A deadline as the control socket counts it.
pub fn milliseconds(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
