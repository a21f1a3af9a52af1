//! The routines of DMA_OPERATIONS that tell what a transfer takes, and those of system DMA, which this machine lacks.

use core::cell::Cell;

use super::checks::{self, Bytes, offset_of, rules_of};
use super::{context, plan};
use crate::hal_dma::adapter::{self, Adapter, require_irql};
use crate::ke::irql::DISPATCH_LEVEL;
use crate::mdl::pages_spanned;
use crate::ntoskrnl::shared::{optional, shared};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;

/// What a transfer takes.
struct Needs {
    n_elements: u32,
    n_registers: u32,
    list_bytes: u32,
}

impl Needs {
    fn new(n_elements: u64, n_registers: u64) -> Option<Self> {
        Some(Self {
            n_elements: u32::try_from(n_elements).ok()?,
            n_registers: u32::try_from(n_registers).ok()?,
            list_bytes: u32::try_from(plan::list_bytes(n_elements)).ok()?,
        })
    }

    /// Counts elements and registers as the list will have them.
    fn of(record: &Adapter, routine: &str, bytes: Bytes) -> Result<Self, NtStatus> {
        let pieces = checks::pieces(routine, bytes)?;
        let elements = plan::elements(&pieces, rules_of(record));
        Self::new(elements.len() as u64, plan::registers(&elements))
            .ok_or(status::INSUFFICIENT_RESOURCES)
    }
}

/// `CalculateScatterGatherList`: rule SG-4. Any IRQL. STATUS_SUCCESS, STATUS_INSUFFICIENT_RESOURCES,
/// STATUS_BUFFER_TOO_SMALL. Without an MDL the size is that of the worst case: each page an element.
pub(crate) extern "win64" fn calculate_scatter_gather_list(
    adapter: u64,
    mdl: u64,
    current_va: u64,
    len: u32,
    size_out: u64,
    n_registers_out: u64,
) -> NtStatus {
    let name = "CalculateScatterGatherList";
    let Some(record) = adapter::find(adapter, name) else {
        return status::INVALID_PARAMETER;
    };
    let needs = if mdl == 0 {
        let n_pages = pages_spanned(current_va, len.into());
        Needs::new(n_pages, n_pages).ok_or(status::INSUFFICIENT_RESOURCES)
    } else {
        let bytes = Bytes {
            mdl,
            offset: offset_of(mdl, current_va),
            len: len.into(),
            is_chain: true,
        };
        Needs::of(&record, name, bytes)
    };
    match needs {
        Ok(needs) => {
            shared::<Cell<u32>>(size_out).set(needs.list_bytes);
            if let Some(n_registers) = optional::<Cell<u32>>(n_registers_out) {
                n_registers.set(needs.n_registers);
            }
            status::SUCCESS
        }
        Err(status) => status,
    }
}

/// `GetDmaTransferInfo`: rules TI-1 to TI-3. IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_NOT_SUPPORTED for another
/// version than 1 and 2, STATUS_INVALID_PARAMETER.
pub(crate) extern "win64" fn get_dma_transfer_info(
    adapter: u64,
    mdl: u64,
    offset: u64,
    len: u32,
    _write_only: u8,
    info: u64,
) -> NtStatus {
    let name = "GetDmaTransferInfo";
    require_irql(name, DISPATCH_LEVEL, false);
    let Some(record) = adapter::find(adapter, name) else {
        return status::INVALID_PARAMETER;
    };
    let word = |offset: u64| shared::<Cell<u32>>(info.wrapping_add(offset));
    let version = word(0).get();
    if !matches!(version, 1 | 2) {
        return status::NOT_SUPPORTED;
    }
    let bytes = Bytes {
        mdl,
        offset,
        len: len.into(),
        is_chain: true,
    };
    match Needs::of(&record, name, bytes) {
        Ok(needs) => {
            word(0x4).set(needs.n_registers);
            word(0x8).set(needs.n_elements);
            word(0xC).set(needs.list_bytes);
            if version == 2 {
                word(0x10).set(needs.n_registers);
            }
            status::SUCCESS
        }
        Err(status) => status,
    }
}

/// `InitializeDmaTransferContext`: rule TC-1. IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INVALID_PARAMETER.
pub(crate) extern "win64" fn initialize_dma_transfer_context(
    adapter: u64,
    transfer_context: u64,
) -> NtStatus {
    let name = "InitializeDmaTransferContext";
    require_irql(name, DISPATCH_LEVEL, false);
    let is_done = adapter::find(adapter, name).is_some()
        && transfer_context != 0
        && context::initialize(transfer_context);
    if is_done {
        status::SUCCESS
    } else {
        status::INVALID_PARAMETER
    }
}

/// `ReadDmaCounter`: system DMA only. IRQL <= DISPATCH_LEVEL. 0, and a finding: every adapter here is a bus master's.
pub(crate) extern "win64" fn read_dma_counter(adapter: u64) -> u32 {
    let name = "ReadDmaCounter";
    require_irql(name, DISPATCH_LEVEL, false);
    if adapter::find(adapter, name).is_some() {
        report_system_dma(name);
    }
    0
}

/// `ConfigureAdapterChannel`: system DMA only. IRQL <= DISPATCH_LEVEL. STATUS_NOT_IMPLEMENTED, and a finding.
pub(crate) extern "win64" fn configure_adapter_channel(
    adapter: u64,
    _function: u32,
    _argument: u64,
) -> NtStatus {
    let name = "ConfigureAdapterChannel";
    require_irql(name, DISPATCH_LEVEL, false);
    if adapter::find(adapter, name).is_some() {
        report_system_dma(name);
    }
    status::NOT_IMPLEMENTED
}

fn report_system_dma(name: &str) {
    verifier::finding(
        "system-dma-routine",
        format_args!("{name} for a bus master; it is for system DMA"),
    );
}
