//! The routines of DMA_OPERATIONS that this kernel has, and the tables of each version.

use alloc::vec::Vec;
use core::cell::Cell;

use super::adapter::{self, Adapter, require_irql, violation};
use super::common_buffer::{self, Request};
use super::description::{DESCRIPTION_BYTES, OLD_DESCRIPTION_BYTES, settings};
use super::from_mdl::{self, MdlSnapshot, RawConfiguration};
use super::transfer::{
    self, channel_operations, info_operations, list_operations, map_operations,
    settings as transfer_settings,
};
use super::{domain, space, vector};
use crate::call_faults;
use crate::hal_dma::bounds::Bounds;
use crate::ke::irql::{DISPATCH_LEVEL, PASSIVE_LEVEL};
use crate::log;
use crate::mdl::{Mdl, PAGES_LOCKED, PARTIAL, SOURCE_IS_NONPAGED_POOL};
use crate::memory::low_resources::{collect, reserve};
use crate::memory::{self, Cache, Pfn};
use crate::ntoskrnl::io_mdl::{self, MAX_CHAIN};
use crate::ntoskrnl::shared::{optional, read_into, read_u64, shared, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;
use crate::pnp::device::{self, State};
use crate::vtd;

/// Pages of a chain that are looked at: 4 GiB.
const MAX_CHAIN_PAGES: u64 = 1 << 20;
/// DOMAIN_COMMON_BUFFER_LARGE_PAGE
const LARGE_PAGE: u32 = 1;
/// IRP_MN_REMOVE_DEVICE
const REMOVE_DEVICE: u8 = 2;

/// The table of a version: Size (filled in by the caller), then the members in their order. Versions 1 and 2
/// end where their headers end.
pub(super) fn table(version: u32) -> Vec<u64> {
    let members: [*const (); 40] = [
        core::ptr::null(),
        put_dma_adapter as *const (),
        allocate_common_buffer as *const (),
        free_common_buffer as *const (),
        channel_operations::allocate_adapter_channel as *const (),
        map_operations::flush_adapter_buffers as *const (),
        channel_operations::free_adapter_channel as *const (),
        channel_operations::free_map_registers as *const (),
        map_operations::map_transfer as *const (),
        get_dma_alignment as *const (),
        info_operations::read_dma_counter as *const (),
        list_operations::get_scatter_gather_list as *const (),
        list_operations::put_scatter_gather_list as *const (),
        info_operations::calculate_scatter_gather_list as *const (),
        list_operations::build_scatter_gather_list as *const (),
        list_operations::build_mdl_from_scatter_gather_list as *const (),
        get_dma_adapter_info as *const (),
        info_operations::get_dma_transfer_info as *const (),
        info_operations::initialize_dma_transfer_context as *const (),
        allocate_common_buffer_ex as *const (),
        channel_operations::allocate_adapter_channel_ex as *const (),
        info_operations::configure_adapter_channel as *const (),
        channel_operations::cancel_adapter_channel as *const (),
        map_operations::map_transfer_ex as *const (),
        list_operations::get_scatter_gather_list_ex as *const (),
        list_operations::build_scatter_gather_list_ex as *const (),
        map_operations::flush_adapter_buffers_ex as *const (),
        channel_operations::free_adapter_object as *const (),
        channel_operations::cancel_mapped_transfer as *const (),
        domain::allocate_domain_common_buffer as *const (),
        flush_dma_buffer as *const (),
        domain::join_dma_domain as *const (),
        domain::leave_dma_domain as *const (),
        domain::get_dma_domain as *const (),
        allocate_common_buffer_with_bounds as *const (),
        vector::allocate_common_buffer_vector as *const (),
        vector::get_common_buffer_from_vector_by_index as *const (),
        vector::free_common_buffer_from_vector as *const (),
        vector::free_common_buffer_vector as *const (),
        create_common_buffer_from_mdl as *const (),
    ];
    let len = match version {
        1 => 0x68 / 8,
        2 => 0x80 / 8,
        _ => members.len(),
    };
    let members = members[..len].iter().enumerate();
    members
        .map(|(index, member)| call_faults::bind_member(index, member.expose_provenance() as u64))
        .collect()
}

/// `IoGetDmaAdapter` (wdm.h): rules GA-1 to GA-12. IRQL PASSIVE_LEVEL. Null for a description that breaks a rule
/// or a device that PnP does not know. Documented misuse: 0xE6/0x25 (unknown version).
pub(crate) extern "win64" fn io_get_dma_adapter(
    pdo: u64,
    description: u64,
    n_registers: u64,
) -> u64 {
    require_irql("IoGetDmaAdapter", PASSIVE_LEVEL, true);
    let Some(device) = device::by_pdo(pdo) else {
        log!("IoGetDmaAdapter: GA-10: {pdo:#x} is no physical device object");
        return 0;
    };
    // A device that AddDevice has not been through is Removed as well: what tells is that the REMOVE came down.
    if device.state == State::SurpriseRemoved || device.reached.has(REMOVE_DEVICE) {
        verifier::finding(
            "adapter-of-removed-device",
            format_args!("IoGetDmaAdapter for {}, which is gone", device.name),
        );
        return 0;
    }
    let n_registers = shared::<Cell<u32>>(n_registers);
    let mut bytes = [0; DESCRIPTION_BYTES];
    let version = shared::<Cell<u32>>(description).get();
    let len = if version >= 3 {
        DESCRIPTION_BYTES
    } else {
        OLD_DESCRIPTION_BYTES
    };
    read_into(description, &mut bytes[..len]);
    let mut settings = match settings(&bytes) {
        Ok(settings) => settings,
        Err(refused) => {
            log!("IoGetDmaAdapter: {}: {}", refused.rule, refused.why);
            if refused.rule == "GA-3" {
                let parameters = [0x25, version.into(), 0, 0];
                violation(
                    "device-description-version",
                    format_args!("version {version}"),
                    parameters,
                );
            }
            return 0;
        }
    };
    settings.map_registers = transfer_settings::granted(settings.map_registers);
    let requester = device.function.id;
    if !space::attach(requester) {
        return 0;
    }
    adapter::create(requester, settings).map_or(0, |address| {
        n_registers.set(settings.map_registers);
        address
    })
}

/// `PutDmaAdapter`: rules PA-1 to PA-3. IRQL <= DISPATCH_LEVEL. Documented misuse: 0xE6/0x07 (common buffers left),
/// 0x08 (channels), 0x09 (map registers), 0x0A (scatter/gather lists).
pub(crate) extern "win64" fn put_dma_adapter(adapter: u64) {
    require_irql("PutDmaAdapter", DISPATCH_LEVEL, false);
    if adapter::find(adapter, "PutDmaAdapter").is_none() {
        return;
    }
    domain::forget(adapter);
    vector::check_gone(adapter);
    let left = transfer::abandon(adapter);
    let n_buffers = adapter::put(adapter) as u64;
    let checks = [
        (
            n_buffers,
            "adapter-put-with-common-buffers",
            "common buffers",
            0x07,
        ),
        (
            left.channels as u64,
            "adapter-put-with-channels",
            "channels",
            0x08,
        ),
        (
            left.lists as u64,
            "adapter-put-with-lists",
            "scatter/gather lists",
            0x0A,
        ),
        (
            left.map_registers,
            "adapter-put-with-map-registers",
            "map registers",
            0x09,
        ),
    ];
    for (count, id, what, code) in checks {
        if count > 0 {
            violation(
                id,
                format_args!("PutDmaAdapter with {count} {what} left"),
                [code, adapter, count, 0],
            );
        }
    }
}

/// `AllocateCommonBuffer`: rules AC-1 to AC-10. IRQL PASSIVE_LEVEL. VA, or null.
pub(crate) extern "win64" fn allocate_common_buffer(
    adapter: u64,
    len_bytes: u32,
    logical: u64,
    cache_enabled: u8,
) -> u64 {
    let routine = "AllocateCommonBuffer";
    require_irql(routine, PASSIVE_LEVEL, true);
    let Some(record) = adapter::find(adapter, routine) else {
        return 0;
    };
    let n_pages = len_bytes.div_ceil(0x1000);
    if n_pages > record.settings.map_registers {
        verifier::finding(
            "common-buffer-exceeds-map-registers",
            format_args!(
                "AC-6: {n_pages} pages, {} map registers",
                record.settings.map_registers
            ),
        );
    }
    let request = Request {
        len_bytes,
        bounds: Bounds::of_width(64),
        // AC-3: always cached on x64, whatever the flag says.
        cache: Cache::Cached,
        is_large: false,
        cache_enabled: Some(cache_enabled != 0),
    };
    give(adapter, &record, request, logical)
}

/// `AllocateCommonBufferEx`: rules AX-1 to AX-5. IRQL PASSIVE_LEVEL. VA, or null.
extern "win64" fn allocate_common_buffer_ex(
    adapter: u64,
    maximum: u64,
    len_bytes: u32,
    logical: u64,
    cache_enabled: u8,
    _node: u32,
) -> u64 {
    let routine = "AllocateCommonBufferEx";
    require_irql(routine, PASSIVE_LEVEL, true);
    let Some(record) = adapter::find(adapter, routine) else {
        return 0;
    };
    let request = Request {
        len_bytes,
        bounds: bounds_of(0, maximum),
        cache: if cache_enabled == 0 {
            Cache::NonCached
        } else {
            Cache::Cached
        },
        is_large: false,
        cache_enabled: Some(cache_enabled != 0),
    };
    give(adapter, &record, request, logical)
}

/// `AllocateCommonBufferWithBounds`: rules AB-1 to AB-10. IRQL PASSIVE_LEVEL. VA, or null.
pub(crate) extern "win64" fn allocate_common_buffer_with_bounds(
    adapter: u64,
    minimum: u64,
    maximum: u64,
    len_bytes: u32,
    flags: u32,
    cache_type: u64,
    _node: u32,
    logical: u64,
) -> u64 {
    let routine = "AllocateCommonBufferWithBounds";
    require_irql(routine, PASSIVE_LEVEL, true);
    let Some(record) = adapter::find(adapter, routine) else {
        return 0;
    };
    let Some(kind) = Kind::decode(routine, flags, cache_type) else {
        return 0;
    };
    let request = kind.request(len_bytes, bounds_of(minimum, maximum));
    give(adapter, &record, request, logical)
}

/// What flags and cache type ask for.
pub(super) struct Kind {
    cache: Cache,
    cache_enabled: Option<bool>,
    is_large: bool,
}

impl Kind {
    /// From the flags and an optional pointer to a MEMORY_CACHING_TYPE; `None` for what is not known.
    pub(super) fn decode(routine: &str, flags: u32, cache_type: u64) -> Option<Self> {
        let cache_type = optional::<Cell<u32>>(cache_type).map(Cell::get);
        Self::of(routine, flags, cache_type)
    }

    /// From the flags and a MEMORY_CACHING_TYPE; `None` for what is not known.
    pub(super) fn of(routine: &str, flags: u32, cache_type: Option<u32>) -> Option<Self> {
        // AB-10: which value belongs to a cache type of null is not documented.
        let (cache, cache_enabled) = match cache_type {
            None => (Cache::Cached, None),
            Some(1) => (Cache::Cached, Some(true)),
            Some(0) => (Cache::NonCached, Some(false)),
            Some(other) => {
                log!("{routine}: AB-7: cache type {other} is not supported");
                return None;
            }
        };
        if flags & !LARGE_PAGE != 0 {
            log!("{routine}: AB-6: flags {flags:#x} are not known");
            return None;
        }
        Some(Self {
            cache,
            cache_enabled,
            is_large: flags & LARGE_PAGE != 0,
        })
    }

    /// The allocation of so many bytes within bounds.
    pub(super) fn request(&self, len_bytes: u32, bounds: Bounds) -> Request {
        Request {
            len_bytes,
            bounds,
            cache: self.cache,
            is_large: self.is_large,
            cache_enabled: self.cache_enabled,
        }
    }
}

fn give(address: u64, adapter: &Adapter, request: Request, logical: u64) -> u64 {
    match common_buffer::allocate(address, adapter, request) {
        Some((va, iova)) => {
            write_u64(logical, iova);
            va
        }
        None => 0,
    }
}

/// Optional pointers to PHYSICAL_ADDRESS; null is no bound.
pub(super) fn bounds_of(minimum: u64, maximum: u64) -> Bounds {
    let value = |pointer: u64| optional::<Cell<u64>>(pointer).map(Cell::get);
    Bounds {
        minimum: value(minimum).unwrap_or(0),
        maximum: value(maximum).unwrap_or(u64::MAX),
    }
}

/// `FreeCommonBuffer`: rules FC-1 to FC-4, CM-25, CM-26. IRQL PASSIVE_LEVEL. When it returns, the device has lost
/// the mapping. Documented misuse: 0xE6/0x03 (freed twice), 0xE6/0x0F (wrote beyond the buffer).
pub(crate) extern "win64" fn free_common_buffer(
    adapter: u64,
    len_bytes: u32,
    iova: u64,
    va: u64,
    cache_enabled: u8,
) {
    let routine = "FreeCommonBuffer";
    require_irql(routine, PASSIVE_LEVEL, true);
    if adapter::find(adapter, routine).is_none() {
        return;
    }
    let found = adapter::take_buffer(adapter, |buffer| {
        buffer.len_bytes == len_bytes && buffer.iova == iova && buffer.is_at(va)
    });
    let Some(buffer) = found else {
        report_mismatch(adapter, len_bytes, iova, va);
        return;
    };
    let is_cached = cache_enabled != 0;
    if buffer
        .cache_enabled
        .is_some_and(|expected| expected != is_cached)
    {
        verifier::undocumented_violation(
            "free-common-buffer-cache",
            format_args!("FC-2: CacheEnabled {is_cached} differs from the allocation's"),
        );
    }
    common_buffer::free(buffer);
}

/// Nothing is freed: which buffer was meant is not certain.
fn report_mismatch(adapter: u64, len_bytes: u32, iova: u64, va: u64) {
    match adapter::nearest_buffer(adapter, iova, va) {
        Some((len, right_iova, right_va)) => verifier::undocumented_violation(
            "free-common-buffer-mismatch",
            format_args!(
                "FC-2: length {len_bytes:#x}, logical address {iova:#x}, virtual address {va:#x}; \
                 allocated were {len:#x}, {right_iova:#x}, {right_va:#x}; nothing is freed"
            ),
        ),
        None => violation(
            "common-buffer-freed-twice",
            format_args!("FreeCommonBuffer of {iova:#x}, which is no common buffer of the adapter"),
            [0x03, adapter, 0, 0],
        ),
    }
}

/// `CreateCommonBufferFromMdl`: rules CM-1 to CM-27. IRQL PASSIVE_LEVEL. STATUS_SUCCESS,
/// STATUS_INVALID_PARAMETER, STATUS_NOT_SUPPORTED, STATUS_INSUFFICIENT_RESOURCES.
pub(crate) extern "win64" fn create_common_buffer_from_mdl(
    adapter: u64,
    mdl: u64,
    configurations: u64,
    n_configurations: u32,
    logical: u64,
) -> NtStatus {
    let routine = "CreateCommonBufferFromMdl";
    require_irql(routine, PASSIVE_LEVEL, true);
    let Some(record) = adapter::find(adapter, routine) else {
        return status::INVALID_PARAMETER;
    };
    let Some(chain) = snapshot(mdl) else {
        return status::INSUFFICIENT_RESOURCES;
    };
    if logical == 0 || (configurations == 0 && n_configurations != 0) {
        log!("{routine}: CM-21: a required pointer is null");
        return status::INVALID_PARAMETER;
    }
    let Some(configurations) = read_configurations(configurations, n_configurations) else {
        return status::INSUFFICIENT_RESOURCES;
    };
    let request = from_mdl::Request {
        chain: &chain,
        configurations: &configurations,
        adapter: record.settings.bounds,
        remapping: vtd::is_enabled(),
        is_ram: |pfn| memory::is_ram(Pfn::new(pfn)),
    };
    match from_mdl::check(&request) {
        Ok(plan) => match common_buffer::create_from_plan(adapter, &record, &plan) {
            Some(iova) => {
                write_u64(logical, iova);
                status::SUCCESS
            }
            None => {
                log!("{routine}: CM-22: no room for the mapping");
                status::INSUFFICIENT_RESOURCES
            }
        },
        Err(refusal) => {
            log!("{routine}: {}: {}", refusal.rule, refusal.why);
            refusal.status
        }
    }
}

/// At most one more than there are types: any further one comes twice or is unknown, which the rules find.
fn read_configurations(address: u64, count: u32) -> Option<Vec<RawConfiguration>> {
    const MOST: usize = 4;
    let entries = (0..u64::from(count)).map(|idx| {
        let entry = address.wrapping_add(idx * size_of::<RawConfiguration>() as u64);
        RawConfiguration {
            config_type: shared::<Cell<u32>>(entry).get(),
            reserved: 0,
            union: [0, 1, 2, 3].map(|word| read_u64(entry.wrapping_add(8 + word * 8))),
        }
    });
    collect(entries, MOST)
}

/// Copies what the rules look at. `None` for a chain of absurd size.
pub(super) fn snapshot(mdl: u64) -> Option<Vec<MdlSnapshot>> {
    let mut chain = Vec::new();
    let mut n_pages = 0u64;
    let mut next = mdl;
    while let Some(mdl) = optional::<Mdl>(next) {
        let has_pages = mdl.has(PAGES_LOCKED | SOURCE_IS_NONPAGED_POOL | PARTIAL);
        let n_known = if has_pages { mdl.n_pages() } else { 0 };
        n_pages += n_known;
        if chain.len() == MAX_CHAIN || n_pages > MAX_CHAIN_PAGES {
            return None;
        }
        let pfns = collect(io_mdl::pfns(mdl), usize::try_from(n_known).ok()?)?;
        reserve(&mut chain, 1)?;
        chain.push(MdlSnapshot {
            flags: mdl.flags.get(),
            byte_offset: mdl.byte_offset.get(),
            byte_count: mdl.byte_count.get(),
            mapped_system_va: mdl.mapped_system_va.get(),
            pfns,
        });
        next = mdl.next.get() as u64;
    }
    Some(chain)
}

/// `GetDmaAlignment`: rules AL-1, AL-2. IRQL PASSIVE_LEVEL. 1: bytes.
pub(crate) extern "win64" fn get_dma_alignment(adapter: u64) -> u32 {
    require_irql("GetDmaAlignment", PASSIVE_LEVEL, true);
    adapter::find(adapter, "GetDmaAlignment");
    1
}

/// `GetDmaAdapterInfo`: rule AI-1. IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_NOT_SUPPORTED for a version other
/// than 1.
extern "win64" fn get_dma_adapter_info(adapter: u64, info: u64) -> NtStatus {
    require_irql("GetDmaAdapterInfo", DISPATCH_LEVEL, false);
    let Some(record) = adapter::find(adapter, "GetDmaAdapterInfo") else {
        return status::INVALID_PARAMETER;
    };
    let word = |offset: u64| shared::<Cell<u32>>(info.wrapping_add(offset));
    if word(0).get() != 1 {
        return status::NOT_SUPPORTED;
    }
    let width = u64::BITS - record.settings.bounds.maximum.leading_zeros();
    // ReadDmaCounterAvailable, ScatterGatherLimit, DmaAddressWidth, Flags, MinimumTransferUnit.
    for (offset, value) in [(4, 0), (8, u32::MAX), (0xC, width), (0x10, 0), (0x14, 1)] {
        word(offset).set(value);
    }
    status::SUCCESS
}

/// `FlushDmaBuffer`: rule DD-3. Nothing to do on a coherent machine. STATUS_SUCCESS.
extern "win64" fn flush_dma_buffer(adapter: u64, _mdl: u64, _read: u8) -> NtStatus {
    match adapter::find(adapter, "FlushDmaBuffer") {
        Some(_) => status::SUCCESS,
        None => status::INVALID_PARAMETER,
    }
}
