//! DMA domains (rules DD-1, DD-2 of windows-dma-ddi section 2.12): GetDmaDomain, JoinDmaDomain, LeaveDmaDomain,
//! AllocateDomainCommonBuffer.
//!
//! The pages say little. nt has one domain per device, which all adapters of the device are in from the start: an
//! adapter may join its own device's domain and leave it again, and nothing of its buffers changes. Without remapping
//! there is no domain.

use alloc::collections::BTreeSet;

use super::adapter::{self, require_irql};
use super::common_buffer;
use super::operations::{Kind, bounds_of};
use crate::arch::guarded::Guarded;
use crate::ke::irql::PASSIVE_LEVEL;
use crate::log;
use crate::ntoskrnl::shared::write_u64;
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;
use crate::pci::RequesterId;
use crate::vtd;

/// Handles are numbers with no memory behind them.
const HANDLE_BASE: u64 = 0xD0D0_0000_0000_0000;

/// Adapters that have joined a domain.
static JOINED: Guarded<BTreeSet<u64>> = Guarded::new(BTreeSet::new());

fn handle_of(requester: RequesterId) -> u64 {
    HANDLE_BASE | u64::from(requester.raw()) << 4
}

/// `GetDmaDomain`: rule DD-1. IRQL PASSIVE_LEVEL. The handle of the domain that the device is in; null without
/// remapping.
pub(super) extern "win64" fn get_dma_domain(adapter: u64) -> u64 {
    let routine = "GetDmaDomain";
    require_irql(routine, PASSIVE_LEVEL, true);
    match adapter::find(adapter, routine) {
        Some(record) if vtd::is_enabled() => handle_of(record.requester),
        _ => 0,
    }
}

/// `JoinDmaDomain`: rule DD-1. IRQL PASSIVE_LEVEL. STATUS_SUCCESS; STATUS_NOT_SUPPORTED without remapping and for
/// another device's domain; STATUS_INVALID_PARAMETER for what is no handle of a domain.
pub(super) extern "win64" fn join_dma_domain(adapter: u64, domain: u64) -> NtStatus {
    let routine = "JoinDmaDomain";
    require_irql(routine, PASSIVE_LEVEL, true);
    let Some(record) = adapter::find(adapter, routine) else {
        return status::INVALID_PARAMETER;
    };
    let judged = judge(routine, record.requester, domain);
    if judged == status::SUCCESS {
        JOINED.with(|joined| joined.insert(adapter));
    }
    judged
}

/// `LeaveDmaDomain`: rule DD-1. IRQL PASSIVE_LEVEL. STATUS_SUCCESS; STATUS_NOT_SUPPORTED without remapping;
/// STATUS_INVALID_DEVICE_REQUEST where the adapter has joined none.
pub(super) extern "win64" fn leave_dma_domain(adapter: u64) -> NtStatus {
    let routine = "LeaveDmaDomain";
    require_irql(routine, PASSIVE_LEVEL, true);
    if adapter::find(adapter, routine).is_none() {
        return status::INVALID_PARAMETER;
    }
    if !vtd::is_enabled() {
        return status::NOT_SUPPORTED;
    }
    if JOINED.with(|joined| joined.remove(&adapter)) {
        return status::SUCCESS;
    }
    status::INVALID_DEVICE_REQUEST
}

/// Forgets an adapter that is put.
pub(super) fn forget(adapter: u64) {
    JOINED.with(|joined| joined.remove(&adapter));
}

fn judge(routine: &str, requester: RequesterId, domain: u64) -> NtStatus {
    if !vtd::is_enabled() {
        log!("{routine}: DD-1: without remapping there is no domain");
        return status::NOT_SUPPORTED;
    }
    if domain == handle_of(requester) {
        return status::SUCCESS;
    }
    let is_handle = (0..=u16::MAX).any(|raw| domain == handle_of(RequesterId::from_raw(raw)));
    if is_handle {
        log!("{routine}: DD-1: the domain of another device");
        return status::NOT_SUPPORTED;
    }
    verifier::finding(
        "dma-domain-unknown",
        format_args!("{routine} with {domain:#x}, which is no domain"),
    );
    status::INVALID_PARAMETER
}

/// `AllocateDomainCommonBuffer`: rule DD-2. IRQL PASSIVE_LEVEL. STATUS_SUCCESS with both addresses written,
/// STATUS_NOT_SUPPORTED, STATUS_INVALID_PARAMETER, STATUS_INSUFFICIENT_RESOURCES.
pub(super) extern "win64" fn allocate_domain_common_buffer(
    adapter: u64,
    domain: u64,
    maximum: u64,
    len_bytes: u32,
    flags: u32,
    cache_type: u64,
    _node: u32,
    logical: u64,
    va: u64,
) -> NtStatus {
    let routine = "AllocateDomainCommonBuffer";
    require_irql(routine, PASSIVE_LEVEL, true);
    let Some(record) = adapter::find(adapter, routine) else {
        return status::INVALID_PARAMETER;
    };
    let judged = judge(routine, record.requester, domain);
    if judged != status::SUCCESS {
        return judged;
    }
    let Some(kind) = Kind::decode(routine, flags, cache_type) else {
        return status::INVALID_PARAMETER;
    };
    let request = kind.request(len_bytes, bounds_of(0, maximum));
    match common_buffer::allocate(adapter, &record, request) {
        Some((address, iova)) => {
            write_u64(logical, iova);
            write_u64(va, address);
            status::SUCCESS
        }
        None => status::INSUFFICIENT_RESOURCES,
    }
}
