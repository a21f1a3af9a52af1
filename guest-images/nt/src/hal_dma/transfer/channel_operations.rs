//! The routines of DMA_OPERATIONS for adapter channels and map registers.

use super::channel::{self, Outcome, Request, Work};
use super::context::{self, Claim};
use super::{lists, registers};
use crate::arch::win64::Routine;
use crate::hal_dma::adapter::{self, Adapter, require_irql, violation};
use crate::ke::irql::DISPATCH_LEVEL;
use crate::log;
use crate::ntoskrnl::shared::write_u64;
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;

/// DMA_SYNCHRONOUS_CALLBACK
pub(super) const SYNCHRONOUS: u32 = 1;

/// `AllocateAdapterChannel`: rule SG-7. IRQL DISPATCH_LEVEL. STATUS_SUCCESS, also for a request that waits;
/// STATUS_INSUFFICIENT_RESOURCES. Documented misuse: 0xE6/0x0B (a second request), 0x15 (more registers than granted).
pub(crate) extern "win64" fn allocate_adapter_channel(
    adapter: u64,
    device_object: u64,
    n_registers: u32,
    routine: u64,
    argument: u64,
) -> NtStatus {
    let name = "AllocateAdapterChannel";
    require_irql(name, DISPATCH_LEVEL, true);
    let Some(record) = adapter::find(adapter, name) else {
        return status::INVALID_PARAMETER;
    };
    let Some(routine) = Routine::new(routine) else {
        log!("{name}: SG-7: there is no execution routine");
        return status::INVALID_PARAMETER;
    };
    if exceeds_grant(name, adapter, &record, n_registers) {
        return status::INSUFFICIENT_RESOURCES;
    }
    if channel::has_basic_request(adapter, device_object) {
        violation(
            "channel-allocated-twice",
            format_args!("SG-7: {name} for {device_object:#x}, whose request is not finished"),
            [0x0B, adapter, device_object, 0],
        );
    }
    let request = Request {
        device_object,
        context: None,
        n_registers,
        work: Work::Channel {
            routine: Some(routine),
            argument,
            is_basic: true,
        },
    };
    status_of(channel::submit(adapter, &record, request, false))
}

/// `AllocateAdapterChannelEx`: rule SX-2 by its sense, TC-1. IRQL DISPATCH_LEVEL. STATUS_SUCCESS, also for a request
/// that waits; STATUS_INVALID_PARAMETER, STATUS_INSUFFICIENT_RESOURCES, STATUS_CANCELLED (the context was cancelled
/// beforehand). Documented misuse: 0xE6/0x15.
pub(crate) extern "win64" fn allocate_adapter_channel_ex(
    adapter: u64,
    device_object: u64,
    transfer_context: u64,
    n_registers: u32,
    flags: u32,
    routine: u64,
    argument: u64,
    base_out: u64,
) -> NtStatus {
    let name = "AllocateAdapterChannelEx";
    require_irql(name, DISPATCH_LEVEL, true);
    let Some(record) = adapter::find(adapter, name) else {
        return status::INVALID_PARAMETER;
    };
    let is_synchronous = flags & SYNCHRONOUS != 0;
    let is_complete = match (is_synchronous, routine, base_out) {
        (true, 0, 0) | (false, 0, _) => false,
        (false, _, base_out) => base_out == 0,
        (true, _, _) => true,
    };
    if flags & !SYNCHRONOUS != 0 || !is_complete {
        log!(
            "{name}: flags {flags:#x}, routine {routine:#x} and MapRegisterBase {base_out:#x} do not go together"
        );
        return status::INVALID_PARAMETER;
    }
    if exceeds_grant(name, adapter, &record, n_registers) {
        return status::INSUFFICIENT_RESOURCES;
    }
    if let Err(status) = claim(name, transfer_context) {
        return status;
    }
    let request = Request {
        device_object,
        context: Some(transfer_context),
        n_registers,
        work: Work::Channel {
            routine: Routine::new(routine),
            argument,
            is_basic: false,
        },
    };
    let outcome = channel::submit(adapter, &record, request, is_synchronous);
    if let (Ok(Outcome::Done(base)), true) = (outcome, base_out != 0) {
        write_u64(base_out, base);
    }
    status_of(outcome)
}

/// Takes a transfer context for a request, or gives the status with which the request fails.
pub(super) fn claim(routine: &str, transfer_context: u64) -> Result<(), NtStatus> {
    match context::claim(routine, transfer_context) {
        Claim::Taken => Ok(()),
        Claim::Cancelled => Err(status::CANCELLED),
        Claim::Refused => Err(status::INVALID_PARAMETER),
    }
}

pub(super) fn status_of(outcome: Result<Outcome, NtStatus>) -> NtStatus {
    match outcome {
        Ok(Outcome::Queued | Outcome::Done(_)) => status::SUCCESS,
        Err(status) => status,
    }
}

fn exceeds_grant(routine: &str, adapter: u64, record: &Adapter, n_registers: u32) -> bool {
    let granted = record.settings.map_registers;
    if n_registers > granted {
        violation(
            "map-registers-exceed-grant",
            format_args!("SG-7: {routine} of {n_registers} map registers, granted are {granted}"),
            [0x15, adapter, n_registers.into(), granted.into()],
        );
    }
    n_registers > granted
}

/// `FreeAdapterChannel`. IRQL DISPATCH_LEVEL. Ends KeepObject: adapter object and map registers go. Documented misuse:
/// 0xE6/0x04 (nothing held), 0x0D (something is mapped).
pub(crate) extern "win64" fn free_adapter_channel(adapter: u64) {
    let name = "FreeAdapterChannel";
    require_irql(name, DISPATCH_LEVEL, true);
    if adapter::find(adapter, name).is_some() {
        channel::release(adapter, name, 2);
    }
}

/// `FreeAdapterObject`: rules FO-1, FO-2. IRQL <= DISPATCH_LEVEL. Documented misuse: 0xE6/0x04 (nothing held), 0x0D
/// (something is mapped in registers that go).
pub(crate) extern "win64" fn free_adapter_object(adapter: u64, action: u32) {
    let name = "FreeAdapterObject";
    require_irql(name, DISPATCH_LEVEL, false);
    if adapter::find(adapter, name).is_some() {
        channel::release(adapter, name, action);
    }
}

/// `FreeMapRegisters`. IRQL DISPATCH_LEVEL. Documented misuse: 0xE6/0x05 (no such registers, or more than there are),
/// 0x10 (something is mapped in them).
pub(crate) extern "win64" fn free_map_registers(adapter: u64, base: u64, n_registers: u32) {
    let name = "FreeMapRegisters";
    require_irql(name, DISPATCH_LEVEL, true);
    if adapter::find(adapter, name).is_none() {
        return;
    }
    let count = registers::with(adapter, base, |file| file.count);
    if count.is_none_or(|count| n_registers > count) {
        violation(
            "map-registers-freed-twice",
            format_args!(
                "{name}: {n_registers} at {base:#x}, where there are {}",
                count.unwrap_or(0)
            ),
            [0x05, adapter, n_registers.into(), count.unwrap_or(0).into()],
        );
        return;
    }
    if count != Some(n_registers) {
        verifier::finding(
            "map-registers-freed-in-part",
            format_args!("{name}: {n_registers} of {count:?} at {base:#x}; all of them go"),
        );
    }
    let Some(file) = registers::close(adapter, base) else {
        return;
    };
    if let Some(transfer_context) = file.context {
        context::release(transfer_context);
    }
    lists::forget(base);
    if let Some(mapping) = file.mappings.first() {
        violation(
            "map-registers-freed-while-mapped",
            format_args!(
                "{name}: {:#x} bytes at offset {:#x} of MDL {:#x} are mapped in them",
                mapping.len, mapping.offset, mapping.mdl
            ),
            [0x10, adapter, base, file.mappings.len() as u64],
        );
    }
    file.drop_mappings();
    channel::wake();
}

/// `CancelAdapterChannel`: rule CX-1. IRQL <= DISPATCH_LEVEL. TRUE for a waiting request, which is gone then, and for
/// a context that no request has yet; FALSE where the routine has run.
pub(crate) extern "win64" fn cancel_adapter_channel(
    adapter: u64,
    _device_object: u64,
    transfer_context: u64,
) -> u8 {
    let name = "CancelAdapterChannel";
    require_irql(name, DISPATCH_LEVEL, false);
    let is_cancelled = adapter::find(adapter, name).is_some()
        && (channel::cancel(adapter, transfer_context)
            || context::cancel_next(name, transfer_context));
    u8::from(is_cancelled)
}

/// `CancelMappedTransfer`: rule CX-2. IRQL <= DISPATCH_LEVEL. No transfer can be mapped under the context any more;
/// what is mapped stays so until it is flushed. STATUS_SUCCESS, STATUS_INVALID_PARAMETER.
pub(crate) extern "win64" fn cancel_mapped_transfer(
    adapter: u64,
    transfer_context: u64,
) -> NtStatus {
    let name = "CancelMappedTransfer";
    require_irql(name, DISPATCH_LEVEL, false);
    let is_stopped =
        adapter::find(adapter, name).is_some() && context::stop(name, transfer_context);
    if is_stopped {
        status::SUCCESS
    } else {
        status::INVALID_PARAMETER
    }
}
