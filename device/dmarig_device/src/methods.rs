//! What each method of the control socket does to the rig.
//!
//! A method answers at once, or leaves a [`Waiter`] and is answered when what it awaits has come.

mod faults;

use std::time::{Duration, Instant};

use control_api::request::{
    BufferDeclare, BufferList, BufferUndeclare, DmaSubmit, FaultsClear, FaultsLoad, FaultsPoints,
    FaultsRecord, FaultsStatus, FunctionDisconnect, FunctionReset, Hello, IommuDisable,
    IommuEnable, IommuFaults, IommuInvalidate, IommuWait, LedgerClear, LedgerRead, LinkSet,
    LinkState, METHOD_NAMES, MailboxCall, MailboxState, MailboxWaitAttached, MappingsList,
    MappingsSummary, MappingsWait, RegistersCoverage, SabotageClear, SabotageList, SabotageSet,
    Status, Stop, TraceSummary,
};
use control_api::response::{
    self, Buffer, BufferId, Buffers, Empty, Epoch, FunctionStatus, GuestState,
};
use control_api::rpc::{
    CODE_BAD_PARAMS, CODE_BUSY, CODE_LIMIT, CODE_NOT_ATTACHED, CODE_NOT_CONNECTED,
    CODE_UNKNOWN_METHOD,
};
use control_api::{FunctionName, Method, RpcError};
use dmarig_abi::mailbox::MAILBOX_VERSION;
use serde_json::Value;

use crate::control_function::ControlFunction;
use crate::control_socket::{Caller, Incoming};
use crate::dut::Dut;
use crate::iommu_methods;
use crate::ledger::DeclareError;
use crate::mailbox::CallError;
use crate::pci_front::{Link, PciFront};
use crate::port::Port;
use crate::register_methods;
use crate::rig::Rig;
use crate::waiters::{Awaited, MAX_WAITERS, Waiter};

/// How long `dma.submit` waits for its request, which ends sooner unless a fault makes it hang or others
/// are before it. Its messages alone have 4 s each.
const DMA_DEADLINE: Duration = Duration::from_secs(60);
/// Most runs of one `mappings.list` page, so that a page fits a line.
pub const MAX_MAPPING_RUNS: u32 = 400;
/// Most entries of one `ledger.read` page, so that a page fits a line.
pub const MAX_LEDGER_ENTRIES: u32 = 80;
/// Buffers of one `buffer.list` page, so that a page fits a line.
const BUFFERS_PER_PAGE: usize = 200;

/// How a method was taken.
pub(crate) enum Taken {
    /// Answered.
    Now(Value),
    /// To be answered when what it awaits has come, or the deadline.
    Later(Awaited, Option<Instant>),
}

pub(crate) type Outcome = Result<Taken, RpcError>;

/// Runs one request; `None` if it is answered later.
pub(crate) fn dispatch(
    rig: &mut Rig,
    caller: Caller,
    incoming: Incoming,
    now: Instant,
) -> Option<Result<Value, RpcError>> {
    match run(rig, incoming, now) {
        Ok(Taken::Now(value)) => Some(Ok(value)),
        Err(error) => Some(Err(error)),
        Ok(Taken::Later(awaited, deadline)) => {
            let waiter = Waiter {
                caller,
                awaited,
                deadline,
            };
            rig.waiters.add(waiter, now);
            None
        }
    }
}

fn run(rig: &mut Rig, incoming: Incoming, now: Instant) -> Outcome {
    let params = incoming.params;
    match incoming.method.as_str() {
        Hello::NAME => parse(params).and_then(|Hello {}| done::<Hello>(hello())),
        Status::NAME => parse(params).and_then(|Status {}| done::<Status>(status(rig))),
        MailboxState::NAME => parse(params).and_then(|ask| mailbox_state(rig, &ask)),
        MailboxWaitAttached::NAME => {
            parse(params).and_then(|ask| mailbox_wait_attached(rig, &ask, now))
        }
        MailboxCall::NAME => parse(params).and_then(|ask| mailbox_call(rig, &ask, now)),
        MappingsList::NAME => parse(params).and_then(|ask| mappings_list(rig, &ask)),
        MappingsSummary::NAME => parse(params).and_then(|ask| mappings_summary(rig, &ask)),
        MappingsWait::NAME => parse(params).and_then(|ask| mappings_wait(rig, &ask, now)),
        DmaSubmit::NAME => parse(params).and_then(|ask| dma_submit(rig, &ask, now)),
        BufferDeclare::NAME => parse(params).and_then(|ask| buffer_declare(rig, ask)),
        BufferUndeclare::NAME => parse(params).and_then(|ask| buffer_undeclare(rig, &ask)),
        BufferList::NAME => parse(params).and_then(|ask| buffer_list(rig, &ask)),
        LedgerRead::NAME => parse(params).and_then(|ask| ledger_read(rig, &ask)),
        LedgerClear::NAME => parse(params).and_then(|LedgerClear {}| {
            for port in &mut rig.duts {
                port.model_mut().clear_ledger();
            }
            done::<LedgerClear>(Empty {})
        }),
        TraceSummary::NAME => parse(params).and_then(|ask| trace_summary(rig, &ask)),
        SabotageSet::NAME => parse(params).and_then(|ask| sabotage_set(rig, &ask)),
        SabotageClear::NAME => parse(params).and_then(|SabotageClear {}| {
            for port in &mut rig.duts {
                port.model_mut().clear_sabotages();
            }
            done::<SabotageClear>(Empty {})
        }),
        SabotageList::NAME => parse(params).and_then(|SabotageList { function }| {
            let sabotages = dut(rig, function)?.model().sabotages();
            done::<SabotageList>(response::Sabotages { sabotages })
        }),
        IommuEnable::NAME => parse(params).and_then(|ask| iommu_methods::enable(rig, &ask)),
        IommuDisable::NAME => parse(params).and_then(|ask| iommu_methods::disable(rig, &ask)),
        IommuInvalidate::NAME => parse(params).and_then(|ask| iommu_methods::invalidate(rig, &ask)),
        IommuWait::NAME => parse(params).and_then(|ask| iommu_methods::wait(rig, &ask)),
        IommuFaults::NAME => parse(params).and_then(|ask| iommu_methods::faults(rig, &ask)),
        FaultsLoad::NAME => parse(params).and_then(|ask| faults::load(rig, &ask)),
        FaultsClear::NAME => parse(params).and_then(|ask| faults::clear(rig, &ask)),
        FaultsStatus::NAME => parse(params).and_then(|ask| faults::status(rig, &ask)),
        FaultsRecord::NAME => parse(params).and_then(|ask| faults::record(rig, &ask)),
        FaultsPoints::NAME => parse(params).and_then(|ask| faults::points(rig, &ask)),
        RegistersCoverage::NAME => {
            parse(params).and_then(|ask| register_methods::coverage(rig, &ask))
        }
        FunctionReset::NAME => parse(params).and_then(|ask| function_reset(rig, &ask)),
        LinkSet::NAME => parse(params).and_then(|ask| link_set(rig, &ask)),
        FunctionDisconnect::NAME => parse(params).and_then(|ask| function_disconnect(rig, &ask)),
        Stop::NAME => parse(params).and_then(|Stop {}| {
            rig.stop();
            done::<Stop>(Empty {})
        }),
        other => Err(unknown_method(other)),
    }
}

fn hello() -> response::Hello {
    response::Hello {
        name: "dmarig-device".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        abi_version: MAILBOX_VERSION,
    }
}

fn status(rig: &Rig) -> response::Status {
    let duts = rig.duts.iter().map(|port| {
        let status = function_status(port.is_connected(), port.model().front());
        (port.name(), status)
    });
    let control = rig
        .control_function
        .as_ref()
        .map(|port| function_status(port.is_connected(), port.model().front()))
        .map(|status| (FunctionName::Control, status));
    let functions = duts.chain(control).collect();
    response::Status {
        functions,
        counters: rig.counters(),
        sandbox: rig.sandbox,
    }
}

fn function_status(connected: bool, front: &PciFront) -> FunctionStatus {
    FunctionStatus {
        connected,
        bus_master: front.is_bus_master(),
        power_state: front.power_state(),
        bound_vectors: front.bound_vectors(),
        link_up: front.link() == Link::Up,
    }
}

fn mailbox_state(rig: &Rig, _: &MailboxState) -> Outcome {
    let guest_state = control_function(rig)?.model().mailbox().guest_state();
    done::<MailboxState>(response::MailboxState { guest_state })
}

fn mailbox_wait_attached(rig: &Rig, ask: &MailboxWaitAttached, now: Instant) -> Outcome {
    let guest_state = control_function(rig)?.model().mailbox().guest_state();
    if guest_state == GuestState::Attached {
        return done::<MailboxWaitAttached>(response::MailboxState { guest_state });
    }
    later(rig, Awaited::Attached, ask.timeout_ms, now)
}

fn mailbox_call(rig: &mut Rig, ask: &MailboxCall, now: Instant) -> Outcome {
    let taken = later(rig, Awaited::MailboxResponse, ask.timeout_ms, now)?;
    let Some(port) = &mut rig.control_function else {
        return Err(no_control_function());
    };
    port.model_mut().begin_call(&ask.program).map_err(|error| {
        let code = match error {
            CallError::NotAttached { .. } => CODE_NOT_ATTACHED,
            CallError::Busy | CallError::Unanswered { .. } => CODE_BUSY,
            CallError::Length { .. } => CODE_BAD_PARAMS,
        };
        RpcError::new(code, error.to_string())
    })?;
    Ok(taken)
}

fn mappings_list(rig: &Rig, ask: &MappingsList) -> Outcome {
    let dut = dut(rig, ask.function)?.model();
    let limit = ask.limit.clamp(1, MAX_MAPPING_RUNS);
    done::<MappingsList>(dut.mappings_page(ask.start, limit))
}

fn mappings_summary(rig: &Rig, ask: &MappingsSummary) -> Outcome {
    done::<MappingsSummary>(dut(rig, ask.function)?.model().mappings_summary())
}

fn mappings_wait(rig: &Rig, ask: &MappingsWait, now: Instant) -> Outcome {
    let epoch = dut(rig, ask.function)?.model().mapping_epoch();
    if epoch > ask.epoch {
        return done::<MappingsWait>(Epoch { epoch });
    }
    let awaited = Awaited::EpochAbove {
        function: ask.function,
        epoch: ask.epoch,
    };
    later(rig, awaited, ask.timeout_ms, now)
}

fn dma_submit(rig: &mut Rig, ask: &DmaSubmit, now: Instant) -> Outcome {
    if !dut(rig, ask.function)?.is_connected() {
        return Err(not_connected(ask.function));
    }
    if !rig.waiters.has_room() {
        return Err(too_many_waiters());
    }
    let request = crate::host_request::from_api(ask)
        .map_err(|message| RpcError::new(CODE_BAD_PARAMS, message))?;
    let function = ask.function;
    let id = dut_mut(rig, function)?
        .submit_host(request)
        .map_err(|error| RpcError::new(CODE_BUSY, error.to_string()))?;
    let deadline = now + DMA_DEADLINE;
    Ok(Taken::Later(Awaited::Dma { function, id }, Some(deadline)))
}

fn buffer_declare(rig: &mut Rig, ask: BufferDeclare) -> Outcome {
    let dut = dut_mut(rig, ask.function)?;
    let buffer = Buffer {
        id: 0,
        function: ask.function,
        name: ask.name,
        iova: ask.iova,
        length: ask.length,
        direction: ask.direction,
    };
    let id = dut.declare_buffer(buffer).map_err(|error| {
        let code = match error {
            DeclareError::Full => CODE_LIMIT,
            DeclareError::Range { .. } | DeclareError::Name => CODE_BAD_PARAMS,
        };
        RpcError::new(code, error.to_string())
    })?;
    done::<BufferDeclare>(BufferId { id })
}

fn buffer_undeclare(rig: &mut Rig, ask: &BufferUndeclare) -> Outcome {
    if !dut_mut(rig, ask.function)?.undeclare_buffer(ask.id) {
        return Err(RpcError::new(
            CODE_BAD_PARAMS,
            format!("no buffer {} is declared; see buffer.list", ask.id),
        ));
    }
    done::<BufferUndeclare>(Empty {})
}

fn buffer_list(rig: &Rig, ask: &BufferList) -> Outcome {
    let mut all = dut(rig, ask.function)?
        .model()
        .ledger()
        .buffers(ask.from)
        .cloned();
    let buffers: Vec<Buffer> = all.by_ref().take(BUFFERS_PER_PAGE).collect();
    let next = all.next().map(|buffer| buffer.id);
    done::<BufferList>(Buffers { buffers, next })
}

fn ledger_read(rig: &Rig, ask: &LedgerRead) -> Outcome {
    let limit = ask.limit.clamp(1, MAX_LEDGER_ENTRIES);
    let limit = usize::try_from(limit).unwrap_or(1);
    let ledger = dut(rig, ask.function)?.model().ledger();
    done::<LedgerRead>(ledger.page(ask.from, limit))
}

fn trace_summary(rig: &Rig, ask: &TraceSummary) -> Outcome {
    let dut = dut(rig, ask.function)?.model();
    let summary = dut.trace_summary();
    done::<TraceSummary>(response::TraceSummary {
        records: summary.map(|summary| summary.records),
        hash: summary.map(|summary| summary.hash.to_string()),
        log_is_cut: dut.is_log_cut(),
    })
}

fn sabotage_set(rig: &mut Rig, ask: &SabotageSet) -> Outcome {
    if ask.times == Some(0) {
        let message = "times must be 1 or more, or null for always";
        return Err(RpcError::new(CODE_BAD_PARAMS, message));
    }
    dut_mut(rig, ask.function)?.set_sabotage(ask.name, ask.times);
    done::<SabotageSet>(Empty {})
}

fn function_reset(rig: &mut Rig, ask: &FunctionReset) -> Outcome {
    match ask.function {
        FunctionName::Control => {
            control_function(rig)?;
            rig.reset_control_function();
        }
        name => dut_mut(rig, name)?.reset_by_control(),
    }
    done::<FunctionReset>(Empty {})
}

fn link_set(rig: &mut Rig, ask: &LinkSet) -> Outcome {
    let link = match ask.link {
        LinkState::Up => Link::Up,
        LinkState::Down => Link::Down,
    };
    dut_mut(rig, ask.function)?.set_link(link);
    done::<LinkSet>(Empty {})
}

fn function_disconnect(rig: &mut Rig, ask: &FunctionDisconnect) -> Outcome {
    let error = no_dut(rig, ask.function);
    rig.dut_mut(ask.function).ok_or(error)?.close();
    done::<FunctionDisconnect>(Empty {})
}

fn control_function(rig: &Rig) -> Result<&Port<ControlFunction>, RpcError> {
    rig.control_function
        .as_ref()
        .ok_or_else(no_control_function)
}

fn no_control_function() -> RpcError {
    RpcError::new(
        CODE_NOT_CONNECTED,
        "there is no control function; start dmarig-device with --control-function PATH",
    )
}

pub(crate) fn not_connected(function: FunctionName) -> RpcError {
    RpcError::new(
        CODE_NOT_CONNECTED,
        format!("no QEMU is connected to {function}; start it first"),
    )
}

pub(crate) fn dut(rig: &Rig, name: FunctionName) -> Result<&Port<Dut>, RpcError> {
    rig.dut(name).ok_or_else(|| no_dut(rig, name))
}

pub(crate) fn dut_mut(rig: &mut Rig, name: FunctionName) -> Result<&mut Dut, RpcError> {
    let error = no_dut(rig, name);
    rig.dut_mut(name).map(Port::model_mut).ok_or(error)
}

fn no_dut(rig: &Rig, name: FunctionName) -> RpcError {
    let names = rig.duts.iter().map(|port| port.name().to_string());
    let names = names.collect::<Vec<_>>().join(", ");
    let message = format!("{name} is no device under test of this process; there is {names}");
    RpcError::new(CODE_BAD_PARAMS, message)
}

fn later(rig: &Rig, awaited: Awaited, timeout_ms: u32, now: Instant) -> Outcome {
    if !rig.waiters.has_room() {
        return Err(too_many_waiters());
    }
    let deadline = now + Duration::from_millis(timeout_ms.into());
    Ok(Taken::Later(awaited, Some(deadline)))
}

fn too_many_waiters() -> RpcError {
    RpcError::new(
        CODE_LIMIT,
        format!("{MAX_WAITERS} requests wait for their answers; await one first"),
    )
}

fn parse<M: Method>(params: Value) -> Result<M, RpcError> {
    serde_json::from_value(params)
        .map_err(|error| RpcError::new(CODE_BAD_PARAMS, format!("{}: {error}", M::NAME)))
}

pub(crate) fn done<M: Method>(result: M::Result) -> Outcome {
    Ok(Taken::Now(to_value::<M>(&result)))
}

/// The JSON form of a method's result.
pub(crate) fn to_value<M: Method>(result: &M::Result) -> Value {
    serde_json::to_value(result).expect("results are structs of numbers, strings and lists")
}

fn unknown_method(name: &str) -> RpcError {
    let shown: String = name.chars().take(64).collect();
    RpcError::new(
        CODE_UNKNOWN_METHOD,
        format!(
            "unknown method {shown:?}; there are {}",
            METHOD_NAMES.join(", ")
        ),
    )
}
