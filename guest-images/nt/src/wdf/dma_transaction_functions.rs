//! WdfDmaTransaction... (indices 98 to 110, 406, 407, 410, 411, 413 to 415, 444). IRQL <= DISPATCH_LEVEL. A call in the
//! wrong state is bug check 0x10D/8 with the state.

use core::cell::Cell;

use super::attributes::{Attributes, Rules};
use super::creation::give;
use super::dma_enabler::{self, Direction, Enabler};
use super::dma_transaction::{
    self as transaction, Bytes, Completion, KIND, State, Transaction, require,
};
use super::object::{self, Handle};
use super::violation::{at_most, not_null};
use super::{dma_transfer, request, request_buffers};
use crate::ke::irql::DISPATCH_LEVEL;
use crate::mdl::Mdl;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::{optional, shared};
use crate::ntoskrnl::status::{self, NtStatus};

/// States in which a transaction takes a new buffer.
const IDLE: [State; 3] = [State::Created, State::Reserved, State::Released];

/// `WdfDmaTransactionCreate` (wdfdmatransaction.h). STATUS_SUCCESS, STATUS_INSUFFICIENT_RESOURCES, or what
/// [`Attributes::read`] says. The enabler is the parent.
pub(super) extern "win64" fn create(
    _globals: u64,
    enabler: u64,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfDmaTransactionCreate";
    let enabler = object::check(function, enabler, &dma_enabler::KIND);
    not_null(function, "DmaTransactionHandle", out);
    at_most(function, DISPATCH_LEVEL);
    give(out, make(enabler, attributes))
}

fn make(handle: Handle, attributes: u64) -> Result<Handle, NtStatus> {
    let attributes = Attributes::read(attributes, Rules::PLAIN)?;
    let enabler = dma_enabler::record(handle).ok_or(status::DELETE_PENDING)?;
    let memory = dma_transfer::allocate(&enabler)?;
    let created = object::create(&KIND, &attributes, Some(handle)).inspect_err(|_| {
        let blocks = [memory.context, memory.list];
        blocks
            .into_iter()
            .filter(|block| *block != 0)
            .for_each(kernel_memory::free);
    })?;
    let is_single = enabler.request.requires_single_transfer;
    transaction::insert(created, Transaction::new(handle, memory, is_single));
    Ok(created)
}

/// `WdfDmaTransactionInitialize` (wdfdmatransaction.h). STATUS_SUCCESS, STATUS_INVALID_PARAMETER for no bytes, a direction
/// that is none, or an address or length outside of the MDL, and what [`transaction::initialize`] says.
pub(super) extern "win64" fn initialize(
    _globals: u64,
    transaction: u64,
    program: u64,
    direction: u32,
    mdl: u64,
    va: u64,
    len: u64,
) -> NtStatus {
    let function = "WdfDmaTransactionInitialize";
    let handle = checked(function, transaction);
    not_null(function, "EvtProgramDmaFunction", program);
    not_null(function, "Mdl", mdl);
    // An index into the MDL (SG-2): of pages without an address of their own it is null.
    let offset = va.wrapping_sub(shared::<Mdl>(mdl).virtual_address());
    start_in_mdl(
        function,
        handle,
        program,
        direction,
        Bytes { mdl, offset, len },
    )
}

/// `WdfDmaTransactionInitializeUsingOffset` (wdfdmatransaction.h). As [`initialize`], with an offset into the MDL.
pub(super) extern "win64" fn initialize_using_offset(
    _globals: u64,
    transaction: u64,
    program: u64,
    direction: u32,
    mdl: u64,
    offset: u64,
    len: u64,
) -> NtStatus {
    let function = "WdfDmaTransactionInitializeUsingOffset";
    let handle = checked(function, transaction);
    not_null(function, "EvtProgramDmaFunction", program);
    not_null(function, "Mdl", mdl);
    start_in_mdl(
        function,
        handle,
        program,
        direction,
        Bytes { mdl, offset, len },
    )
}

/// Bytes that begin in the first MDL, and end there unless the enabler takes chains.
fn start_in_mdl(
    function: &str,
    handle: Handle,
    program: u64,
    direction: u32,
    bytes: Bytes,
) -> NtStatus {
    let byte_count = u64::from(shared::<Mdl>(bytes.mdl).byte_count.get());
    if bytes.len == 0 || bytes.offset >= byte_count {
        return status::INVALID_PARAMETER;
    }
    if bytes.len > byte_count - bytes.offset && !takes_chains(handle) {
        return status::INVALID_PARAMETER;
    }
    start(function, handle, program, direction, bytes)
}

/// `WdfDmaTransactionInitializeUsingRequest` (wdfdmatransaction.h). As [`initialize`]; STATUS_INVALID_DEVICE_REQUEST for a
/// request without bytes, of another direction, or of METHOD_NEITHER.
pub(super) extern "win64" fn initialize_using_request(
    _globals: u64,
    transaction: u64,
    request: u64,
    program: u64,
    direction: u32,
) -> NtStatus {
    let function = "WdfDmaTransactionInitializeUsingRequest";
    let handle = checked(function, transaction);
    let (request, irp) = request::checked(function, request);
    not_null(function, "EvtProgramDmaFunction", program);
    let Some(known) = Direction::from_raw(direction) else {
        return status::INVALID_PARAMETER;
    };
    let (mdl, len) = match request_buffers::mdl_for_dma(request, irp, known) {
        Ok(found) => found,
        Err(status) => return status,
    };
    let byte_count = u64::from(shared::<Mdl>(mdl).byte_count.get());
    if len > byte_count && !takes_chains(handle) {
        return status::INVALID_PARAMETER;
    }
    let bytes = Bytes {
        mdl,
        offset: 0,
        len,
    };
    let status = start(function, handle, program, direction, bytes);
    if status.is_success() {
        transaction::with(handle, |record| record.request = Some(request));
    }
    status
}

fn start(function: &str, handle: Handle, program: u64, direction: u32, bytes: Bytes) -> NtStatus {
    let Some(direction) = Direction::from_raw(direction) else {
        return status::INVALID_PARAMETER;
    };
    require(function, handle, &IDLE);
    outcome(transaction::initialize(handle, program, direction, bytes))
}

/// Whether a buffer may go on in the next MDL: for lists, and from version 3 on.
fn takes_chains(handle: Handle) -> bool {
    enabler_of(handle).is_some_and(|enabler| {
        enabler.request.profile.is_scatter_gather() || enabler.request.version >= 3
    })
}

fn enabler_of(handle: Handle) -> Option<Enabler> {
    transaction::record(handle).map(|(_, enabler)| enabler)
}

/// `WdfDmaTransactionExecute` (wdfdmatransaction.h). STATUS_SUCCESS: EvtProgramDma is or will be called. What
/// [`transaction::execute`] says.
pub(super) extern "win64" fn execute(_globals: u64, transaction: u64, context: u64) -> NtStatus {
    let function = "WdfDmaTransactionExecute";
    let handle = checked(function, transaction);
    require(function, handle, &[State::Initialized]);
    outcome(transaction::execute(handle, context))
}

/// `WdfDmaTransactionRelease` (wdfdmatransaction.h). STATUS_SUCCESS. During a transfer: bug check 0x10D/8.
pub(super) extern "win64" fn release(_globals: u64, transaction: u64) -> NtStatus {
    let function = "WdfDmaTransactionRelease";
    let handle = checked(function, transaction);
    let is_in_transfer = transaction::with(handle, |record| record.state == State::Transfer);
    if is_in_transfer == Some(true) {
        require(function, handle, &IDLE);
    }
    transaction::release(handle, false);
    status::SUCCESS
}

/// `WdfDmaTransactionDmaCompleted` (wdfdmatransaction.h). FALSE where the next transfer was started
/// (STATUS_MORE_PROCESSING_REQUIRED); TRUE where the transaction is over, with its status.
pub(super) extern "win64" fn dma_completed(_globals: u64, transaction: u64, status_out: u64) -> u8 {
    let function = "WdfDmaTransactionDmaCompleted";
    completed(function, transaction, Completion::Full, status_out)
}

/// `WdfDmaTransactionDmaCompletedWithLength` (wdfdmatransaction.h). As [`dma_completed`]; the rest of the transfer is tried
/// again. More bytes than the transfer has: a finding, and STATUS_INVALID_PARAMETER ends the transaction.
pub(super) extern "win64" fn dma_completed_with_length(
    _globals: u64,
    transaction: u64,
    moved: u64,
    status_out: u64,
) -> u8 {
    let function = "WdfDmaTransactionDmaCompletedWithLength";
    completed(
        function,
        transaction,
        Completion::Partial(moved),
        status_out,
    )
}

/// `WdfDmaTransactionDmaCompletedFinal` (wdfdmatransaction.h). As [`dma_completed_with_length`], and no further transfer.
pub(super) extern "win64" fn dma_completed_final(
    _globals: u64,
    transaction: u64,
    moved: u64,
    status_out: u64,
) -> u8 {
    let function = "WdfDmaTransactionDmaCompletedFinal";
    completed(function, transaction, Completion::Final(moved), status_out)
}

fn completed(function: &str, transaction: u64, completion: Completion, status_out: u64) -> u8 {
    let handle = checked(function, transaction);
    not_null(function, "Status", status_out);
    require(function, handle, &[State::Transfer]);
    let status = transaction::transfer_completed(handle, completion);
    shared::<Cell<u32>>(status_out).set(status.0);
    u8::from(status != status::MORE_PROCESSING_REQUIRED)
}

/// `WdfDmaTransactionGetBytesTransferred` (wdfdmatransaction.h).
pub(super) extern "win64" fn bytes_transferred(_globals: u64, transaction: u64) -> u64 {
    let handle = checked("WdfDmaTransactionGetBytesTransferred", transaction);
    transaction::with(handle, |record| record.transferred).unwrap_or(0)
}

/// `WdfDmaTransactionSetMaximumLength` (wdfdmatransaction.h): of one transfer; between initialization and execution.
pub(super) extern "win64" fn set_maximum_length(_globals: u64, transaction: u64, maximum: u64) {
    let handle = checked("WdfDmaTransactionSetMaximumLength", transaction);
    transaction::with(handle, |record| {
        let of_adapter = record
            .adapter
            .map_or(maximum, |adapter| adapter.fragment_bytes);
        record.maximum = maximum.min(of_adapter);
    });
}

/// `WdfDmaTransactionGetRequest` (wdfdmatransaction.h). Null for none.
pub(super) extern "win64" fn request(_globals: u64, transaction: u64) -> u64 {
    let handle = checked("WdfDmaTransactionGetRequest", transaction);
    let request = transaction::with(handle, |record| record.request).flatten();
    request.map_or(0, Handle::raw)
}

/// `WdfDmaTransactionGetCurrentDmaTransferLength` (wdfdmatransaction.h). Bytes of the transfer that is on its way.
pub(super) extern "win64" fn current_length(_globals: u64, transaction: u64) -> u64 {
    let handle = checked("WdfDmaTransactionGetCurrentDmaTransferLength", transaction);
    transaction::with(handle, |record| record.current).unwrap_or(0)
}

/// `WdfDmaTransactionGetDevice` (wdfdmatransaction.h).
pub(super) extern "win64" fn device(_globals: u64, transaction: u64) -> u64 {
    let handle = checked("WdfDmaTransactionGetDevice", transaction);
    enabler_of(handle).map_or(0, |enabler| enabler.device.raw())
}

/// `WdfDmaTransactionGetTransferInfo` (wdfdmatransaction.h). Map registers and elements that the whole transaction takes;
/// before version 3 both are its pages.
pub(super) extern "win64" fn transfer_info(
    _globals: u64,
    transaction: u64,
    n_registers_out: u64,
    n_elements_out: u64,
) {
    let function = "WdfDmaTransactionGetTransferInfo";
    let handle = checked(function, transaction);
    require(function, handle, &[State::Initialized]);
    let Some((record, enabler)) = transaction::record(handle) else {
        return;
    };
    let needs = if enabler.request.version >= 3 {
        dma_transfer::needs(&record).unwrap_or_default()
    } else {
        let pages = transaction::pages(record.mdl, record.offset, record.len);
        let pages = u32::try_from(pages).unwrap_or(u32::MAX);
        (pages, pages)
    };
    for (out, value) in [(n_registers_out, needs.0), (n_elements_out, needs.1)] {
        if let Some(out) = optional::<Cell<u32>>(out) {
            out.set(value);
        }
    }
}

/// `WdfDmaTransactionSetImmediateExecution` (wdfdmatransaction.h): version 3; resources are had at once or not at all.
pub(super) extern "win64" fn set_immediate(_globals: u64, transaction: u64, is_immediate: u8) {
    let function = "WdfDmaTransactionSetImmediateExecution";
    let handle = checked_version_3(function, transaction);
    let idle = [State::Created, State::Initialized, State::Released];
    set_while(function, handle, &idle, |record| {
        record.is_immediate = is_immediate != 0;
    });
}

/// `WdfDmaTransactionSetSingleTransferRequirement` (wdfdmatransaction.h): version 3; before initialization.
pub(super) extern "win64" fn set_single(_globals: u64, transaction: u64, is_single: u8) {
    let function = "WdfDmaTransactionSetSingleTransferRequirement";
    let handle = checked_version_3(function, transaction);
    set_while(function, handle, &IDLE, |record| {
        record.is_single = is_single != 0;
    });
}

/// Sets something that has its time; at another one it is a finding, and set all the same, as the framework does.
fn set_while(function: &str, handle: Handle, when: &[State], set: impl FnOnce(&mut Transaction)) {
    let state = transaction::with(handle, |record| record.state);
    if state.is_some_and(|state| !when.contains(&state)) {
        object::misuse(
            "wdf-dma-transaction-setting",
            format_args!("{function}: {handle} is in another state than this is set in"),
        );
    }
    transaction::with(handle, set);
}

/// `WdfDmaTransactionAllocateResources` (wdfdmatransaction.h): packet profiles of version 3. `n_registers` 0: what the
/// transaction, which is initialized then, takes. EvtReserveDma comes when they are there. STATUS_SUCCESS,
/// STATUS_INVALID_DEVICE_REQUEST for another profile or version, STATUS_INVALID_PARAMETER for the direction, and those of
/// AllocateAdapterChannelEx. Registers that are reserved already: bug check 0x10D/8.
pub(super) extern "win64" fn allocate_resources(
    _globals: u64,
    transaction: u64,
    direction: u32,
    n_registers: u32,
    callback: u64,
    context: u64,
) -> NtStatus {
    let function = "WdfDmaTransactionAllocateResources";
    let handle = checked(function, transaction);
    not_null(function, "EvtReserveDmaFunction", callback);
    let Some((record, enabler)) = transaction::record(handle) else {
        return status::DELETE_PENDING;
    };
    if enabler.request.version < 3 || enabler.request.profile.is_scatter_gather() {
        return status::INVALID_DEVICE_REQUEST;
    }
    let Some(direction) = Direction::from_raw(direction) else {
        return status::INVALID_PARAMETER;
    };
    let with_number = [State::Created, State::Initialized, State::Released];
    match n_registers {
        0 => require(function, handle, &[State::Initialized]),
        _ => require(function, handle, &with_number),
    }
    if record.n_reserved != 0 {
        require(function, handle, &[]);
    }
    let n_registers = match n_registers {
        0 => transaction::pages(record.mdl, record.offset, record.len),
        number => number.into(),
    };
    let Ok(n_registers) = u32::try_from(n_registers) else {
        return status::INSUFFICIENT_RESOURCES;
    };
    outcome(reserve(
        handle,
        &enabler,
        direction,
        n_registers,
        [callback, context],
    ))
}

fn reserve(
    handle: Handle,
    enabler: &Enabler,
    direction: Direction,
    n_registers: u32,
    callback: [u64; 2],
) -> Result<(), NtStatus> {
    let adapter = enabler.adapter(direction).ok_or(status::DELETE_PENDING)?;
    let record = transaction::with(handle, |record| {
        record.direction = direction;
        record.adapter = Some(adapter);
        [record.callback, record.callback_context] = callback;
        record.n_reserved = n_registers;
        record.state = State::Reserved;
        *record
    });
    let record = record.ok_or(status::DELETE_PENDING)?;
    let reserved = dma_transfer::begin(&record, &adapter, false)
        .and_then(|()| dma_transfer::acquire_channel(handle, &record, enabler, n_registers));
    reserved.inspect_err(|_| {
        transaction::with(handle, |record| {
            record.state = State::Failed;
            (record.callback, record.callback_context) = (0, 0);
            record.n_reserved = 0;
        });
    })
}

/// `WdfDmaTransactionFreeResources` (wdfdmatransaction.h). Before any reservation or during a transfer: bug check
/// 0x10D/8.
pub(super) extern "win64" fn free_resources(_globals: u64, transaction: u64) {
    let function = "WdfDmaTransactionFreeResources";
    let handle = checked_version_3(function, transaction);
    let allowed = [
        State::Reserved,
        State::Initialized,
        State::Completed,
        State::Failed,
        State::Released,
    ];
    require(function, handle, &allowed);
    transaction::release(handle, true);
}

/// `WdfDmaTransactionCancel` (wdfdmatransaction.h): version 3, rule CX-1. TRUE where it was still waiting for its
/// resources: EvtProgramDma will not be called.
pub(super) extern "win64" fn cancel(_globals: u64, transaction: u64) -> u8 {
    let function = "WdfDmaTransactionCancel";
    let handle = checked_version_3(function, transaction);
    let allowed = [
        State::Reserved,
        State::Initialized,
        State::Transfer,
        State::Completed,
        State::Failed,
    ];
    require(function, handle, &allowed);
    let Some((record, enabler)) = transaction::record(handle) else {
        return 0;
    };
    let is_cancelled = enabler.request.version >= 3 && dma_transfer::cancel(&record, &enabler);
    if is_cancelled {
        transaction::cancelled(handle);
    }
    u8::from(is_cancelled)
}

/// `WdfDmaTransactionWdmGetTransferContext` (wdfdmatransaction.h). The DMA transfer context of version 3; null before.
pub(super) extern "win64" fn transfer_context(_globals: u64, transaction: u64) -> u64 {
    let function = "WdfDmaTransactionWdmGetTransferContext";
    let handle = checked_version_3(function, transaction);
    transaction::with(handle, |record| record.memory.context).unwrap_or(0)
}

fn checked(function: &str, transaction: u64) -> Handle {
    let handle = object::check(function, transaction, &KIND);
    at_most(function, DISPATCH_LEVEL);
    handle
}

/// As [`checked`]; an enabler of another version is a finding.
fn checked_version_3(function: &str, transaction: u64) -> Handle {
    let handle = checked(function, transaction);
    if enabler_of(handle).is_some_and(|enabler| enabler.request.version < 3) {
        object::misuse(
            "wdf-dma-version",
            format_args!("{function}: the enabler of {handle} is not of version 3"),
        );
    }
    handle
}

fn outcome(result: Result<(), NtStatus>) -> NtStatus {
    result.err().unwrap_or(status::SUCCESS)
}
