//! WDFDMATRANSACTION: a buffer that is moved in one or more transfers, each as long as adapter and driver allow
//! (KD-19, KD-20; fxdmatransactionbase.cpp). The functions are in [`super::dma_transaction_functions`]; how one
//! transfer is set up and ended is in [`super::dma_transfer`].

use super::dma_enabler::{self, Adapter, Direction, Enabler};
use super::dma_transfer;
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::tree;
use super::violation::{self, reason};
use crate::mdl::{Mdl, pages_spanned};
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::shared;
use crate::ntoskrnl::status::{self, NtStatus};

/// MDLs of a chain that are followed.
const MAX_CHAIN: usize = 4096;
/// Transfers of a transaction that are looked at before the first of them.
const MAX_TRANSFERS_CHECKED: u64 = 4096;
const PAGE_BYTES: u64 = 0x1000;

pub(super) static KIND: Kind = Kind {
    on_dispose: dispose,
    on_destroy: forget,
    ..Kind::new("WDFDMATRANSACTION")
};

/// FxDmaTransactionState, whose numbers bug check 0x10D/8 names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Created = 1,
    Reserved = 2,
    Initialized = 3,
    Transfer = 4,
    Completed = 5,
    Failed = 6,
    Released = 7,
    Deleted = 8,
}

/// What a transfer is done with, taken when the transaction is created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// 128 bytes of a DMA transfer context; 0 before version 3.
    pub(super) context: u64,
    /// A scatter/gather list of the framework's; 0 where the HAL allocates them.
    pub(super) list: u64,
    /// Its bytes.
    pub(super) list_bytes: u32,
}

/// What the framework keeps of a transaction.
#[derive(Clone, Copy)]
pub(super) struct Transaction {
    pub(super) enabler: Handle,
    pub(super) state: State,
    pub(super) direction: Direction,
    /// The adapter of the direction.
    pub(super) adapter: Option<Adapter>,
    /// EvtProgramDma, or EvtReserveDma in [`State::Reserved`], and its context.
    pub(super) callback: u64,
    pub(super) callback_context: u64,
    pub(super) request: Option<Handle>,
    /// Whether this transaction holds a reference on its request.
    is_request_held: bool,
    /// First MDL of the chain, and where in the chain the buffer begins.
    pub(super) mdl: u64,
    pub(super) offset: u64,
    pub(super) len: u64,
    pub(super) transferred: u64,
    pub(super) remaining: u64,
    /// Bytes of the current transfer.
    pub(super) current: u64,
    /// Bytes of one transfer at most.
    pub(super) maximum: u64,
    pub(super) is_single: bool,
    pub(super) is_immediate: bool,
    pub(super) memory: Memory,
    /// The current list of the scatter/gather profiles; 0 for none.
    pub(super) list: u64,
    /// MapRegisterBase of the packet profiles; `None` without registers.
    pub(super) base: Option<u64>,
    /// Registers behind it, and how many of them WdfDmaTransactionAllocateResources has reserved.
    pub(super) n_registers: u32,
    pub(super) n_reserved: u32,
}

static TRANSACTIONS: Family<Transaction> = Family::new();

impl Transaction {
    /// A transaction of an enabler that is not initialized.
    pub(super) fn new(enabler: Handle, memory: Memory, is_single: bool) -> Self {
        Self {
            enabler,
            state: State::Created,
            direction: Direction::ReadFromDevice,
            adapter: None,
            callback: 0,
            callback_context: 0,
            request: None,
            is_request_held: false,
            mdl: 0,
            offset: 0,
            len: 0,
            transferred: 0,
            remaining: 0,
            current: 0,
            maximum: 0,
            is_single,
            is_immediate: false,
            memory,
            list: 0,
            base: None,
            n_registers: 0,
            n_reserved: 0,
        }
    }

    /// Whether the device reads memory.
    pub(super) fn writes_to_device(&self) -> bool {
        self.direction == Direction::WriteToDevice
    }

    /// Where in the chain the current transfer begins.
    pub(super) fn position(&self) -> u64 {
        self.offset + self.transferred
    }
}

/// Adds the record of a transaction.
pub(super) fn insert(handle: Handle, record: Transaction) {
    TRANSACTIONS.insert(handle, record);
}

/// Runs `body` on the record of a transaction, interrupts off.
pub(super) fn with<R>(handle: Handle, body: impl FnOnce(&mut Transaction) -> R) -> Option<R> {
    TRANSACTIONS.with(handle, body)
}

/// The record of a transaction and that of its enabler.
pub(super) fn record(handle: Handle) -> Option<(Transaction, Enabler)> {
    let record = TRANSACTIONS.get(handle)?;
    Some((record, dma_enabler::record(record.enabler)?))
}

/// Requires a state; another one is bug check 0x10D/8 with the state.
pub(super) fn require(function: &str, handle: Handle, allowed: &[State]) {
    let state = with(handle, |record| record.state).unwrap_or(State::Deleted);
    if !allowed.contains(&state) {
        violation::raise(
            "wdf-dma-transaction-state",
            format_args!("{function}: {handle} is in state {state:?}"),
            [reason::DMA_FATAL_ERROR, handle.raw(), state as u64, 0],
        );
    }
}

/// The bytes that a transaction is to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes {
    pub(super) mdl: u64,
    pub(super) offset: u64,
    pub(super) len: u64,
}

/// Initializes a transaction whose state has been checked.
///
/// # Errors
/// STATUS_INVALID_PARAMETER where the chain is shorter, STATUS_WDF_TOO_FRAGMENTED, STATUS_WDF_TOO_MANY_TRANSFERS,
/// STATUS_WDF_NOT_ENOUGH_MAP_REGISTERS, STATUS_INSUFFICIENT_RESOURCES.
pub(super) fn initialize(
    handle: Handle,
    callback: u64,
    direction: Direction,
    bytes: Bytes,
) -> Result<(), NtStatus> {
    let (record, enabler) = record(handle).ok_or(status::DELETE_PENDING)?;
    let adapter = enabler.adapter(direction).ok_or(status::DELETE_PENDING)?;
    let mut record = Transaction {
        direction,
        adapter: Some(adapter),
        callback,
        mdl: bytes.mdl,
        offset: bytes.offset,
        len: bytes.len,
        transferred: 0,
        remaining: bytes.len,
        current: 0,
        maximum: adapter.fragment_bytes,
        ..record
    };
    if record.is_single {
        record.maximum = record.maximum.max(enabler.request.maximum_length.into());
    }
    let checked = check_bytes(&record, &enabler).and_then(|()| {
        let has_reserved = record.base.is_some();
        dma_transfer::begin(&record, &adapter, has_reserved)
    });
    match checked {
        Ok(()) => {
            record.state = State::Initialized;
            with(handle, |slot| *slot = record);
            Ok(())
        }
        Err(status) => {
            release(handle, false);
            Err(status)
        }
    }
}

/// That the chain has the bytes, and that every transfer of them fits the device.
fn check_bytes(record: &Transaction, enabler: &Enabler) -> Result<(), NtStatus> {
    let end = record.offset.checked_add(record.len);
    // The framework hands lengths on as ULONG.
    let fits = u32::try_from(record.len).is_ok();
    if !fits || end.is_none_or(|end| end > chain_bytes(record.mdl)) {
        return Err(status::INVALID_PARAMETER);
    }
    if record.is_single {
        return dma_transfer::check_single(record, enabler);
    }
    if !enabler.request.profile.is_scatter_gather() {
        return Ok(());
    }
    if is_too_fragmented(record, enabler.maximum_elements) {
        return Err(status::WDF_TOO_FRAGMENTED);
    }
    Ok(())
}

/// Whether a transfer of the transaction needs more elements than there may be.
///
/// A driver may ask for billions of transfers of one byte. Those behind the ones that are looked at here are
/// looked at when their turn comes.
fn is_too_fragmented(record: &Transaction, maximum_elements: u64) -> bool {
    let step = record.maximum.max(1);
    let mut starts = (0..MAX_TRANSFERS_CHECKED).map_while(|number| {
        let start = step.checked_mul(number)?;
        (start < record.len).then_some(start)
    });
    starts.any(|start| {
        let len = step.min(record.len - start);
        pages(record.mdl, record.offset.saturating_add(start), len) > maximum_elements
    })
}

/// The MDLs of a chain: address, bytes before it in the chain, header.
fn chain(mdl: u64) -> impl Iterator<Item = (u64, u64, &'static Mdl)> {
    let mut next = mdl;
    let mut before = 0;
    core::iter::from_fn(move || {
        if next == 0 {
            return None;
        }
        let (address, header, begin) = (next, shared::<Mdl>(next), before);
        next = header.next.get() as u64;
        before += u64::from(header.byte_count.get());
        Some((address, begin, header))
    })
    .take(MAX_CHAIN)
}

fn chain_bytes(mdl: u64) -> u64 {
    chain(mdl)
        .map(|(_, _, header)| u64::from(header.byte_count.get()))
        .sum()
}

/// Pages that bytes of a chain touch, each MDL by itself.
pub(super) fn pages(mdl: u64, offset: u64, len: u64) -> u64 {
    let pieces = pieces(mdl, offset, len);
    pieces.map(|(va, len)| pages_spanned(va, len)).sum()
}

/// Virtual address and length of the part of each MDL that bytes of a chain lie in.
fn pieces(mdl: u64, offset: u64, len: u64) -> impl Iterator<Item = (u64, u64)> {
    chain(mdl).filter_map(move |(_, begin, header)| {
        let end = begin + u64::from(header.byte_count.get());
        let (from, to) = (begin.max(offset), end.min(offset + len));
        (from < to).then(|| {
            let va = header.virtual_address().wrapping_add(from - begin);
            (va, to - from)
        })
    })
}

/// The MDL of a chain that a byte lies in, and the byte's address in it.
pub(super) fn locate(mdl: u64, offset: u64) -> Option<(u64, u64)> {
    chain(mdl).find_map(|(address, begin, header)| {
        let end = begin + u64::from(header.byte_count.get());
        (begin..end).contains(&offset).then(|| {
            let va = header.virtual_address().wrapping_add(offset - begin);
            (address, va)
        })
    })
}

/// Bytes of the next transfer: no more than allowed, and whole MDLs where the map registers do not take all of it.
pub(super) fn next_len(record: &Transaction, n_registers: u32) -> u64 {
    let wanted = record.remaining.min(record.maximum);
    let (mut n_pages, mut len) = (0, 0);
    for (va, piece) in pieces(record.mdl, record.position(), wanted) {
        let of_piece = pages_spanned(va, piece);
        if n_pages + of_piece > u64::from(n_registers) {
            break;
        }
        (n_pages, len) = (n_pages + of_piece, len + piece);
    }
    if len > 0 {
        return len;
    }
    // One MDL alone takes more registers than there are.
    let first = pieces(record.mdl, record.position(), wanted).next();
    first.map_or(0, |(va, piece)| {
        let room = u64::from(n_registers) * PAGE_BYTES - (va & (PAGE_BYTES - 1));
        piece.min(room)
    })
}

/// Starts a transaction whose state has been checked.
///
/// # Errors
/// Those of the HAL, STATUS_WDF_TOO_FRAGMENTED, STATUS_WDF_BUSY for a packet while another one of the device is on its
/// way (version 2).
pub(super) fn execute(handle: Handle, context: u64) -> Result<(), NtStatus> {
    let request = with(handle, |record| {
        record.state = State::Transfer;
        record.callback_context = context;
        record.is_request_held = record.request.is_some();
        record.request
    });
    request
        .flatten()
        .inspect(|request| object::reference(*request));
    dma_transfer::start(handle).inspect_err(|_| {
        with(handle, |record| {
            record.state = State::Failed;
            record.callback_context = 0;
        });
        let_request_go(handle);
    })
}

/// How the driver says that a transfer is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Completion {
    /// All of it.
    Full,
    /// So many bytes; the rest is tried again.
    Partial(u64),
    /// So many bytes, and no further transfer.
    Final(u64),
}

/// Ends a transfer. STATUS_MORE_PROCESSING_REQUIRED where the next one has been started; any other status ends the
/// transaction.
pub(super) fn transfer_completed(handle: Handle, completion: Completion) -> NtStatus {
    let Some((record, _)) = record(handle) else {
        return status::DELETE_PENDING;
    };
    let status = match end_transfer(handle, &record, completion) {
        Ok(true) => match dma_transfer::stage(handle) {
            Ok(()) => return status::MORE_PROCESSING_REQUIRED,
            Err(status) => status,
        },
        Ok(false) => status::SUCCESS,
        Err(status) => status,
    };
    with(handle, |record| {
        record.state = if status.is_success() {
            State::Completed
        } else {
            State::Failed
        };
    });
    dma_transfer::release(handle, false);
    let_request_go(handle);
    with(handle, |record| record.current = 0);
    status
}

/// Counts the bytes and flushes them; whether another transfer is due.
fn end_transfer(
    handle: Handle,
    record: &Transaction,
    completion: Completion,
) -> Result<bool, NtStatus> {
    let moved = match completion {
        Completion::Full => record.current,
        Completion::Partial(moved) | Completion::Final(moved) => moved,
    };
    if moved > record.current {
        object::misuse(
            "wdf-dma-transfer-length",
            format_args!(
                "{handle}: {moved:#x} bytes are said to be moved, the transfer has {:#x}",
                record.current
            ),
        );
        return Err(status::INVALID_PARAMETER);
    }
    let remaining = record.remaining + (record.current - moved);
    dma_transfer::finish(handle, record)?;
    with(handle, |record| {
        record.transferred += moved;
        record.remaining = remaining;
        record.current = moved;
    });
    if record.is_single && remaining > 0 {
        return Err(status::WDF_TOO_MANY_TRANSFERS);
    }
    Ok(remaining > 0 && !matches!(completion, Completion::Final(_)))
}

/// Makes a transaction ready to be initialized again. With `is_forced` reserved map registers go as well.
pub(super) fn release(handle: Handle, is_forced: bool) {
    let is_released = with(handle, |record| record.state == State::Released);
    if is_released == Some(true) && !is_forced {
        return;
    }
    with(handle, |record| record.state = State::Released);
    dma_transfer::release(handle, is_forced);
    let_request_go(handle);
    with(handle, |record| {
        (record.request, record.mdl) = (None, 0);
        (record.len, record.transferred) = (0, 0);
        (record.remaining, record.current) = (0, 0);
    });
}

/// Gives the reference on the request back.
fn let_request_go(handle: Handle) {
    let request = with(handle, |record| {
        let was_held = core::mem::take(&mut record.is_request_held);
        record.request.filter(|_| was_held)
    });
    if let Some(Some(request)) = request {
        tree::dereference(request);
    }
}

/// A transfer was cancelled before it had its resources.
pub(super) fn cancelled(handle: Handle) {
    with(handle, |record| record.state = State::Failed);
    let_request_go(handle);
}

fn dispose(handle: Handle) {
    release(handle, true);
    with(handle, |record| record.state = State::Deleted);
}

fn forget(handle: Handle) {
    if let Some(record) = TRANSACTIONS.remove(handle) {
        let blocks = [record.memory.context, record.memory.list];
        for block in blocks.into_iter().filter(|block| *block != 0) {
            kernel_memory::free(block);
        }
    }
}

#[cfg(test)]
#[path = "dma_transaction_tests.rs"]
mod tests;
