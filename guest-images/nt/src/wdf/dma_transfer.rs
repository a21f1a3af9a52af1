//! One transfer of a transaction (KD-20). Scatter/gather profiles: Build- or GetScatterGatherList, then
//! PutScatterGatherList; packet profiles: an adapter channel, MapTransfer, FlushAdapterBuffers, FreeMapRegisters;
//! the Ex forms of all of them in version 3.

use alloc::collections::BTreeSet;
use core::cell::Cell;

use super::device;
use super::dma_enabler::{Adapter, Enabler};
use super::dma_transaction::{self as transaction, Memory, State, Transaction};
use super::object::Handle;
use crate::arch::guarded::Guarded;
use crate::hal_dma::transfer::{
    channel_operations, info_operations, list_operations, map_operations, plan,
};
use crate::ke::irql::{self, DISPATCH_LEVEL};
use crate::ntoskrnl::driver as call;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::{shared, write_bytes, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};

const TAG: u32 = u32::from_le_bytes(*b"WdfX");
const PAGE_BYTES: u32 = 0x1000;
/// Bytes of a DMA transfer context, of a DMA_TRANSFER_INFO of version 1, of a list with one element.
const CONTEXT_BYTES: u64 = 128;
const INFO_BYTES: u64 = 0x14;
/// A list of one element; MapTransferEx asks for room for its private tail as well (TI-2).
const ONE_ELEMENT_BYTES: u32 = 0x48;
const _: () = assert!(ONE_ELEMENT_BYTES as u64 == plan::list_bytes(1));
/// DMA_SYNCHRONOUS_CALLBACK
const SYNCHRONOUS: u32 = 1;
/// DeallocateObjectKeepRegisters
const KEEP_REGISTERS: u64 = 3;

/// Devices with a packet of version 2 on its way: a device has one at a time.
static BUSY: Guarded<BTreeSet<Handle>> = Guarded::new(BTreeSet::new());

fn is_version_3(enabler: &Enabler) -> bool {
    enabler.request.version >= 3
}

/// The memory of a new transaction.
///
/// # Errors
/// STATUS_INSUFFICIENT_RESOURCES.
pub(super) fn allocate(enabler: &Enabler) -> Result<Memory, NtStatus> {
    let mut memory = Memory::default();
    if is_version_3(enabler) {
        memory.context =
            kernel_memory::allocate(CONTEXT_BYTES, TAG).ok_or(status::INSUFFICIENT_RESOURCES)?;
    }
    memory.list_bytes = if !enabler.request.profile.is_scatter_gather() {
        ONE_ELEMENT_BYTES
    } else if enabler.request.preallocates_lists {
        largest_list(enabler)
    } else {
        0
    };
    if memory.list_bytes > 0 {
        match kernel_memory::allocate(memory.list_bytes.into(), TAG) {
            Some(list) => memory.list = list,
            None => {
                if memory.context != 0 {
                    kernel_memory::free(memory.context);
                }
                return Err(status::INSUFFICIENT_RESOURCES);
            }
        }
    }
    Ok(memory)
}

/// Bytes of the list of the longest transfer (SG-4, KD-19).
fn largest_list(enabler: &Enabler) -> u32 {
    let Some(block) = kernel_memory::allocate(8, TAG) else {
        return 0;
    };
    let adapters = enabler.adapters.iter().flatten();
    let sizes = adapters.map(|adapter| {
        let len = adapter.map_registers.saturating_mul(PAGE_BYTES);
        let (size, count) = (block, block + 4);
        info_operations::calculate_scatter_gather_list(adapter.address, 0, 0, len, size, count);
        shared::<Cell<u32>>(size).get()
    });
    let largest = sizes.max().unwrap_or(0);
    kernel_memory::free(block);
    largest
}

/// Prepares a transaction that is being initialized.
///
/// # Errors
/// STATUS_INVALID_PARAMETER of InitializeDmaTransferContext.
pub(super) fn begin(
    record: &Transaction,
    adapter: &Adapter,
    has_reserved: bool,
) -> Result<(), NtStatus> {
    if record.memory.context == 0 || has_reserved {
        return Ok(());
    }
    let context = record.memory.context;
    match info_operations::initialize_dma_transfer_context(adapter.address, context) {
        status if status.is_success() => Ok(()),
        status => Err(status),
    }
}

/// Whether one transfer can carry the transaction.
///
/// # Errors
/// STATUS_WDF_TOO_MANY_TRANSFERS, STATUS_WDF_NOT_ENOUGH_MAP_REGISTERS, STATUS_WDF_TOO_FRAGMENTED, and those of
/// GetDmaTransferInfo.
pub(super) fn check_single(record: &Transaction, enabler: &Enabler) -> Result<(), NtStatus> {
    if record.len > record.maximum {
        return Err(status::WDF_TOO_MANY_TRANSFERS);
    }
    let (n_registers, n_elements) = needs(record)?;
    let granted = record.adapter.map_or(0, |adapter| adapter.map_registers);
    let available = match record.n_reserved {
        0 => granted,
        reserved => reserved,
    };
    if n_registers > available {
        return Err(status::WDF_NOT_ENOUGH_MAP_REGISTERS);
    }
    let most = match enabler.request.profile.is_scatter_gather() {
        true => enabler.maximum_elements,
        false => 1,
    };
    if u64::from(n_elements) > most {
        return Err(status::WDF_TOO_FRAGMENTED);
    }
    Ok(())
}

/// Map registers and elements that a transaction takes: GetDmaTransferInfo.
///
/// # Errors
/// Those of GetDmaTransferInfo, STATUS_INSUFFICIENT_RESOURCES.
pub(super) fn needs(record: &Transaction) -> Result<(u32, u32), NtStatus> {
    let adapter = record.adapter.ok_or(status::DELETE_PENDING)?;
    let info = kernel_memory::allocate(INFO_BYTES, TAG).ok_or(status::INSUFFICIENT_RESOURCES)?;
    let word = |offset: u64| shared::<Cell<u32>>(info + offset);
    word(0).set(1);
    let status = info_operations::get_dma_transfer_info(
        adapter.address,
        record.mdl,
        record.offset,
        low_half(record.len),
        u8::from(record.writes_to_device()),
        info,
    );
    let needs = (word(4).get(), word(8).get());
    kernel_memory::free(info);
    if status.is_success() {
        Ok(needs)
    } else {
        Err(status)
    }
}

/// Starts the first transfer.
///
/// # Errors
/// As [`transaction::execute`].
pub(super) fn start(handle: Handle) -> Result<(), NtStatus> {
    let (record, enabler) = transaction::record(handle).ok_or(status::DELETE_PENDING)?;
    if enabler.request.profile.is_scatter_gather() {
        return stage(handle);
    }
    if record.base.is_some() {
        // WdfDmaTransactionAllocateResources has got the channel and the registers already.
        return irql::at(DISPATCH_LEVEL, || stage(handle));
    }
    let len = record.remaining.min(record.maximum);
    let n_registers = if len == record.remaining {
        transaction::pages(record.mdl, record.position(), len)
    } else {
        // A later transfer may begin anywhere in a page.
        len.div_ceil(u64::from(PAGE_BYTES)) + 1
    };
    let n_registers = u32::try_from(n_registers).map_err(|_| status::INSUFFICIENT_RESOURCES)?;
    acquire_channel(handle, &record, &enabler, n_registers)
}

/// Asks for the channel and map registers of a packet; [`adapter_control`] goes on.
///
/// # Errors
/// STATUS_WDF_BUSY, and those of AllocateAdapterChannel(Ex).
pub(super) fn acquire_channel(
    handle: Handle,
    record: &Transaction,
    enabler: &Enabler,
    n_registers: u32,
) -> Result<(), NtStatus> {
    let adapter = record.adapter.ok_or(status::DELETE_PENDING)?;
    let wdm = device::with(enabler.device, |device| device.wdm).unwrap_or(0);
    if !is_version_3(enabler) && !BUSY.with(|busy| busy.insert(enabler.device)) {
        return Err(status::WDF_BUSY);
    }
    transaction::with(handle, |record| record.n_registers = n_registers);
    let routine = (adapter_control as *const ()).expose_provenance() as u64;
    let flags = if record.is_immediate { SYNCHRONOUS } else { 0 };
    let status = irql::at(DISPATCH_LEVEL, || match is_version_3(enabler) {
        false => channel_operations::allocate_adapter_channel(
            adapter.address,
            wdm,
            n_registers,
            routine,
            handle.raw(),
        ),
        true => channel_operations::allocate_adapter_channel_ex(
            adapter.address,
            wdm,
            record.memory.context,
            n_registers,
            flags,
            routine,
            handle.raw(),
            0,
        ),
    });
    if status.is_success() {
        return Ok(());
    }
    BUSY.with(|busy| busy.remove(&enabler.device));
    Err(status)
}

/// The DRIVER_CONTROL of a packet: its map registers are there.
extern "win64" fn adapter_control(_device: u64, _irp: u64, base: u64, context: u64) -> u64 {
    let handle = Handle::from_raw(context);
    let record = transaction::with(handle, |record| {
        record.base = Some(base);
        *record
    });
    match record {
        Some(record) if record.state == State::Reserved => {
            let arguments = [handle.raw(), record.callback_context];
            call::event(record.callback, "EvtReserveDma", &arguments);
        }
        Some(_) => {
            if let Err(status) = stage(handle) {
                // There is nobody to give the status to.
                super::object::misuse(
                    "wdf-dma-transfer-failed",
                    format_args!("{handle}: the first transfer could not be mapped: {status}"),
                );
            }
        }
        None => {}
    }
    KEEP_REGISTERS
}

/// Sets the next transfer up and has the driver program it.
///
/// # Errors
/// Those of the HAL, STATUS_WDF_TOO_FRAGMENTED.
pub(super) fn stage(handle: Handle) -> Result<(), NtStatus> {
    let (record, enabler) = transaction::record(handle).ok_or(status::DELETE_PENDING)?;
    let adapter = record.adapter.ok_or(status::DELETE_PENDING)?;
    if enabler.request.profile.is_scatter_gather() {
        stage_list(handle, &record, &enabler, adapter)
    } else {
        stage_packet(handle, &record, &enabler, adapter)
    }
}

fn stage_list(
    handle: Handle,
    record: &Transaction,
    enabler: &Enabler,
    adapter: Adapter,
) -> Result<(), NtStatus> {
    let len = if record.is_single {
        record.remaining
    } else {
        transaction::next_len(record, adapter.map_registers)
    };
    let n_elements = transaction::pages(record.mdl, record.position(), len);
    if !record.is_single && n_elements > enabler.maximum_elements {
        return Err(status::WDF_TOO_FRAGMENTED);
    }
    transaction::with(handle, |record| {
        record.current = len;
        record.remaining -= len;
    });
    let status = irql::at(DISPATCH_LEVEL, || {
        make_list(handle, record, enabler, adapter, len)
    });
    if status.is_success() {
        return Ok(());
    }
    transaction::with(handle, |record| {
        record.remaining += len;
        record.current = 0;
    });
    Err(status)
}

fn make_list(
    handle: Handle,
    record: &Transaction,
    enabler: &Enabler,
    adapter: Adapter,
    len: u64,
) -> NtStatus {
    let wdm = device::with(enabler.device, |device| device.wdm).unwrap_or(0);
    let routine = (list_control as *const ()).expose_provenance() as u64;
    let write = u8::from(record.writes_to_device());
    let (adapter, argument, len) = (adapter.address, handle.raw(), low_half(len));
    let Memory {
        context,
        list,
        list_bytes,
    } = record.memory;
    if is_version_3(enabler) {
        let flags = if record.is_immediate { SYNCHRONOUS } else { 0 };
        let (mdl, offset) = (record.mdl, record.position());
        return match list {
            0 => list_operations::get_scatter_gather_list_ex(
                adapter, wdm, context, mdl, offset, len, flags, routine, argument, write, 0, 0, 0,
            ),
            _ => list_operations::build_scatter_gather_list_ex(
                adapter, wdm, context, mdl, offset, len, flags, routine, argument, write, list,
                list_bytes, 0, 0, 0,
            ),
        };
    }
    let Some((mdl, va)) = transaction::locate(record.mdl, record.position()) else {
        return status::INVALID_PARAMETER;
    };
    match list {
        0 => list_operations::get_scatter_gather_list(
            adapter, wdm, mdl, va, len, routine, argument, write,
        ),
        _ => list_operations::build_scatter_gather_list(
            adapter, wdm, mdl, va, len, routine, argument, write, list, list_bytes,
        ),
    }
}

/// The DRIVER_LIST_CONTROL of a scatter/gather transfer.
extern "win64" fn list_control(_device: u64, _irp: u64, list: u64, context: u64) {
    let handle = Handle::from_raw(context);
    transaction::with(handle, |record| record.list = list);
    program(handle, list);
}

/// Calls EvtProgramDma, at DISPATCH_LEVEL.
fn program(handle: Handle, list: u64) {
    let Some((record, enabler)) = transaction::record(handle) else {
        return;
    };
    let arguments = [
        handle.raw(),
        enabler.device.raw(),
        record.callback_context,
        u64::from(record.writes_to_device()),
        list,
    ];
    call::event(record.callback, "EvtProgramDma", &arguments);
}

fn stage_packet(
    handle: Handle,
    record: &Transaction,
    enabler: &Enabler,
    adapter: Adapter,
) -> Result<(), NtStatus> {
    let base = record.base.ok_or(status::INVALID_DEVICE_STATE)?;
    let asked = transaction::next_len(record, record.n_registers);
    let list = record.memory.list;
    let len = map_packet(record, enabler, adapter, base, asked)?;
    transaction::with(handle, |record| {
        record.current = len;
        record.remaining -= len;
    });
    irql::at(DISPATCH_LEVEL, || program(handle, list));
    Ok(())
}

/// Maps the bytes of a packet and writes its list of one element; the bytes that are mapped.
fn map_packet(
    record: &Transaction,
    enabler: &Enabler,
    adapter: Adapter,
    base: u64,
    len: u64,
) -> Result<u64, NtStatus> {
    let block = kernel_memory::allocate(4, TAG).ok_or(status::INSUFFICIENT_RESOURCES)?;
    let mapped: &Cell<u32> = shared(block);
    mapped.set(low_half(len));
    let write = u8::from(record.writes_to_device());
    let (adapter, list) = (adapter.address, record.memory.list);
    let status = if is_version_3(enabler) {
        let (mdl, offset) = (record.mdl, record.position());
        let list_bytes = record.memory.list_bytes;
        map_operations::map_transfer_ex(
            adapter, mdl, base, offset, 0, block, write, list, list_bytes, 0, 0,
        )
    } else {
        match transaction::locate(record.mdl, record.position()) {
            Some((mdl, va)) => {
                let iova = map_operations::map_transfer(adapter, mdl, base, va, block, write);
                write_list(list, iova, mapped.get());
                status::SUCCESS
            }
            None => status::INVALID_PARAMETER,
        }
    };
    let len = mapped.get();
    kernel_memory::free(block);
    match status {
        status if !status.is_success() => Err(status),
        _ if len == 0 => Err(status::INSUFFICIENT_RESOURCES),
        _ => Ok(len.into()),
    }
}

/// SCATTER_GATHER_LIST with one element.
fn write_list(list: u64, iova: u64, len: u32) {
    write_u64(list, 1);
    write_u64(list + 0x08, 0);
    write_u64(list + 0x10, iova);
    write_bytes(list + 0x18, &len.to_le_bytes());
    write_u64(list + 0x20, 0);
}

/// Ends the mapping of the current transfer; all of it, however many bytes were moved (FL-1).
///
/// # Errors
/// Those of FlushAdapterBuffersEx.
pub(super) fn finish(handle: Handle, record: &Transaction) -> Result<(), NtStatus> {
    let Some((_, enabler)) = transaction::record(handle) else {
        return Ok(());
    };
    let Some(adapter) = record.adapter else {
        return Ok(());
    };
    if enabler.request.profile.is_scatter_gather() {
        put_list(handle);
        return Ok(());
    }
    let Some(base) = record.base.filter(|_| record.current > 0) else {
        return Ok(());
    };
    let (len, write) = (
        low_half(record.current),
        u8::from(record.writes_to_device()),
    );
    if is_version_3(&enabler) {
        let (mdl, offset) = (record.mdl, record.position());
        let status = map_operations::flush_adapter_buffers_ex(
            adapter.address,
            mdl,
            base,
            offset,
            len,
            write,
        );
        return if status.is_success() {
            Ok(())
        } else {
            Err(status)
        };
    }
    if let Some((mdl, va)) = transaction::locate(record.mdl, record.position()) {
        map_operations::flush_adapter_buffers(adapter.address, mdl, base, va, len, write);
    }
    Ok(())
}

fn put_list(handle: Handle) {
    let taken = transaction::with(handle, |record| {
        let list = core::mem::take(&mut record.list);
        (list, record.adapter, record.writes_to_device())
    });
    if let Some((list, Some(adapter), write)) = taken
        && list != 0
    {
        irql::at(DISPATCH_LEVEL, || {
            list_operations::put_scatter_gather_list(adapter.address, list, u8::from(write));
        });
    }
}

/// Gives list, map registers and channel back. Reserved registers stay unless `is_forced`.
pub(super) fn release(handle: Handle, is_forced: bool) {
    put_list(handle);
    let Some((record, enabler)) = transaction::record(handle) else {
        return;
    };
    if record.n_reserved > 0 && !is_forced {
        return;
    }
    if let (Some(base), Some(adapter)) = (record.base, record.adapter) {
        irql::at(DISPATCH_LEVEL, || {
            channel_operations::free_map_registers(adapter.address, base, record.n_registers);
        });
        BUSY.with(|busy| busy.remove(&enabler.device));
    }
    transaction::with(handle, |record| {
        record.base = None;
        (record.n_registers, record.n_reserved) = (0, 0);
    });
}

/// Cancels what waits for the channel or for map registers; whether something did (CX-1).
pub(super) fn cancel(record: &Transaction, enabler: &Enabler) -> bool {
    let wdm = device::with(enabler.device, |device| device.wdm).unwrap_or(0);
    record.adapter.is_some_and(|adapter| {
        let context = record.memory.context;
        channel_operations::cancel_adapter_channel(adapter.address, wdm, context) != 0
    })
}

/// Lengths of transactions have 32 bits, as MaximumLength.
fn low_half(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
