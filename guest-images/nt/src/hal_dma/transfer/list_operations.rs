//! The routines of DMA_OPERATIONS for scatter/gather lists.

use super::channel::{self, Outcome, Request, Work};
use super::channel_operations::{SYNCHRONOUS, claim, status_of};
use super::checks::{self, Bytes, offset_of, rules_of};
use super::lists::{self, ListWork};
use super::plan;
use crate::arch::win64::Routine;
use crate::hal_dma::adapter::{self, Adapter, require_irql};
use crate::ke::irql::DISPATCH_LEVEL;
use crate::log;
use crate::ntoskrnl::shared::write_u64;
use crate::ntoskrnl::status::{self, NtStatus};

/// What the four routines that make lists have in common.
struct ListCall {
    name: &'static str,
    adapter: u64,
    device_object: u64,
    transfer_context: Option<u64>,
    mdl: u64,
    offset: u64,
    len: u32,
    routine: u64,
    argument: u64,
    write_to_device: bool,
    /// The caller's buffer and its bytes.
    buffer: Option<(u64, u32)>,
    is_synchronous: bool,
}

/// `GetScatterGatherList`: rules SG-1 to SG-3. IRQL DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INSUFFICIENT_RESOURCES,
/// STATUS_BUFFER_TOO_SMALL. Documented misuse: those of `checks`.
pub(crate) extern "win64" fn get_scatter_gather_list(
    adapter: u64,
    device_object: u64,
    mdl: u64,
    current_va: u64,
    len: u32,
    routine: u64,
    argument: u64,
    write_to_device: u8,
) -> NtStatus {
    let name = "GetScatterGatherList";
    require_irql(name, DISPATCH_LEVEL, true);
    let call = ListCall {
        name,
        adapter,
        device_object,
        transfer_context: None,
        mdl,
        offset: offset_of(mdl, current_va),
        len,
        routine,
        argument,
        write_to_device: write_to_device != 0,
        buffer: None,
        is_synchronous: false,
    };
    status_of(make_list(call))
}

/// `BuildScatterGatherList`: rule SG-5. As [`get_scatter_gather_list`], into the caller's buffer.
pub(crate) extern "win64" fn build_scatter_gather_list(
    adapter: u64,
    device_object: u64,
    mdl: u64,
    current_va: u64,
    len: u32,
    routine: u64,
    argument: u64,
    write_to_device: u8,
    buffer: u64,
    buffer_len: u32,
) -> NtStatus {
    let name = "BuildScatterGatherList";
    require_irql(name, DISPATCH_LEVEL, true);
    let call = ListCall {
        name,
        adapter,
        device_object,
        transfer_context: None,
        mdl,
        offset: offset_of(mdl, current_va),
        len,
        routine,
        argument,
        write_to_device: write_to_device != 0,
        buffer: Some((buffer, buffer_len)),
        is_synchronous: false,
    };
    status_of(make_list(call))
}

/// `GetScatterGatherListEx`: rules SX-1 to SX-4. IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INVALID_PARAMETER,
/// STATUS_INSUFFICIENT_RESOURCES, STATUS_CANCELLED (the context was cancelled beforehand).
pub(crate) extern "win64" fn get_scatter_gather_list_ex(
    adapter: u64,
    device_object: u64,
    transfer_context: u64,
    mdl: u64,
    offset: u64,
    len: u32,
    flags: u32,
    routine: u64,
    argument: u64,
    write_to_device: u8,
    completion_routine: u64,
    completion_context: u64,
    list_out: u64,
) -> NtStatus {
    let name = "GetScatterGatherListEx";
    require_irql(name, DISPATCH_LEVEL, false);
    let call = ListCall {
        name,
        adapter,
        device_object,
        transfer_context: Some(transfer_context),
        mdl,
        offset,
        len,
        routine,
        argument,
        write_to_device: write_to_device != 0,
        buffer: None,
        is_synchronous: flags & SYNCHRONOUS != 0,
    };
    make_list_ex(
        call,
        flags,
        [completion_routine, completion_context],
        list_out,
    )
}

/// `BuildScatterGatherListEx`: rules SX-1 to SX-5. As [`get_scatter_gather_list_ex`], into the caller's buffer;
/// IRQL DISPATCH_LEVEL. STATUS_BUFFER_TOO_SMALL too.
pub(crate) extern "win64" fn build_scatter_gather_list_ex(
    adapter: u64,
    device_object: u64,
    transfer_context: u64,
    mdl: u64,
    offset: u64,
    len: u32,
    flags: u32,
    routine: u64,
    argument: u64,
    write_to_device: u8,
    buffer: u64,
    buffer_len: u32,
    completion_routine: u64,
    completion_context: u64,
    list_out: u64,
) -> NtStatus {
    let name = "BuildScatterGatherListEx";
    require_irql(name, DISPATCH_LEVEL, true);
    let call = ListCall {
        name,
        adapter,
        device_object,
        transfer_context: Some(transfer_context),
        mdl,
        offset,
        len,
        routine,
        argument,
        write_to_device: write_to_device != 0,
        buffer: Some((buffer, buffer_len)),
        is_synchronous: flags & SYNCHRONOUS != 0,
    };
    make_list_ex(
        call,
        flags,
        [completion_routine, completion_context],
        list_out,
    )
}

fn make_list_ex(call: ListCall, flags: u32, completion: [u64; 2], list_out: u64) -> NtStatus {
    let name = call.name;
    if flags & !SYNCHRONOUS != 0 {
        log!("{name}: SX-1: flags {flags:#x}");
        return status::INVALID_PARAMETER;
    }
    if completion != [0; 2] {
        log!("{name}: SX-4: completion routine and its context must be null");
        return status::INVALID_PARAMETER;
    }
    // BuildScatterGatherListEx's list is the caller's buffer, so its out pointer may be null.
    let nobody_learns = list_out == 0 && call.buffer.is_none();
    if call.routine == 0 && (!call.is_synchronous || nobody_learns) {
        log!("{name}: SX-2: no execution routine");
        return status::INVALID_PARAMETER;
    }
    let outcome = make_list(call);
    if let (Ok(Outcome::Done(list)), true) = (outcome, list_out != 0) {
        write_u64(list_out, list);
    }
    status_of(outcome)
}

fn make_list(call: ListCall) -> Result<Outcome, NtStatus> {
    let name = call.name;
    let record = adapter::find(call.adapter, name).ok_or(status::INVALID_PARAMETER)?;
    let routine = Routine::new(call.routine);
    if routine.is_none() && !call.is_synchronous {
        log!("{name}: SG-1: there is no execution routine");
        return Err(status::INVALID_PARAMETER);
    }
    let bytes = Bytes {
        mdl: call.mdl,
        offset: call.offset,
        len: call.len.into(),
        is_chain: true,
    };
    let pieces = checks::pieces(name, bytes)?;
    let elements = plan::elements(&pieces, rules_of(&record));
    if let Some((_, buffer_len)) = call.buffer
        && elements.len() as u64 > plan::elements_in(buffer_len)
    {
        log!(
            "{name}: SG-5: {buffer_len:#x} bytes hold no {} elements",
            elements.len()
        );
        return Err(status::BUFFER_TOO_SMALL);
    }
    let n_registers = needed(name, &record, plan::registers(&elements))?;
    if let Some(transfer_context) = call.transfer_context {
        claim(name, transfer_context)?;
    }
    let request = Request {
        device_object: call.device_object,
        context: call.transfer_context,
        n_registers,
        work: Work::List(ListWork {
            mdl: call.mdl,
            offset: call.offset,
            pieces,
            write_to_device: call.write_to_device,
            buffer: call.buffer.map(|(buffer, _)| buffer),
            routine,
            argument: call.argument,
        }),
    };
    channel::submit(call.adapter, &record, request, call.is_synchronous)
}

/// SG-1: more registers than the adapter has cannot be waited for.
fn needed(name: &str, record: &Adapter, n_registers: u64) -> Result<u32, NtStatus> {
    let granted = record.settings.map_registers;
    let fitting = u32::try_from(n_registers)
        .ok()
        .filter(|count| *count <= granted);
    if fitting.is_none() {
        log!("{name}: SG-1: {n_registers} map registers are needed, granted are {granted}");
    }
    fitting.ok_or(status::INSUFFICIENT_RESOURCES)
}

/// `PutScatterGatherList`: rule SG-3. IRQL DISPATCH_LEVEL. Documented misuse: 0xE6/0x06 (no such list).
pub(crate) extern "win64" fn put_scatter_gather_list(adapter: u64, list: u64, write_to_device: u8) {
    let name = "PutScatterGatherList";
    require_irql(name, DISPATCH_LEVEL, true);
    if adapter::find(adapter, name).is_some() {
        lists::put(adapter, list, write_to_device != 0);
    }
}

/// `BuildMdlFromScatterGatherList`: rule SG-6. IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INVALID_PARAMETER,
/// STATUS_NONE_MAPPED for a list that has given its MDL.
pub(crate) extern "win64" fn build_mdl_from_scatter_gather_list(
    adapter: u64,
    list: u64,
    original: u64,
    mdl_out: u64,
) -> NtStatus {
    let name = "BuildMdlFromScatterGatherList";
    require_irql(name, DISPATCH_LEVEL, false);
    if adapter::find(adapter, name).is_none() || mdl_out == 0 {
        return status::INVALID_PARAMETER;
    }
    match lists::take_mdl(adapter, list, original) {
        Ok(mdl) => {
            write_u64(mdl_out, mdl);
            status::SUCCESS
        }
        Err(status) => status,
    }
}
