//! WDFCOMMONBUFFER (indices 21 to 24, 383): rules KD-8 to KD-18.

use core::cell::Cell;

use super::attributes::{Attributes, Rules};
use super::dma_enabler::{self, Direction};
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::violation::{check_level, not_null};
use super::{globals, tree};
use crate::hal_dma::operations;
use crate::ke::irql::PASSIVE_LEVEL;
use crate::log;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::{read_u64, shared, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};

const TAG: u32 = u32::from_le_bytes(*b"WdfB");
/// Size of WDF_COMMON_BUFFER_CONFIG.
const CONFIG_BYTES: u32 = 8;
/// The largest mask that page alignment covers.
const PAGE_MASK: u64 = 0xFFF;
/// TRUE: CacheEnabled of AllocateCommonBuffer and FreeCommonBuffer (KD-14).
const CACHE_ENABLED: u8 = 1;

/// The kind of common buffers.
pub static KIND: Kind = Kind {
    is_passive: true,
    on_dispose: free,
    on_destroy: forget,
    ..Kind::new("WDFCOMMONBUFFER")
};

/// A common buffer as the HAL gave it, and what the driver is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct CommonBuffer {
    adapter: u64,
    len_bytes: u64,
    raw: Raw,
    aligned: Aligned,
    is_freed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Raw {
    len_bytes: u32,
    virtual_address: u64,
    logical_address: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Aligned {
    virtual_address: u64,
    logical_address: u64,
}

static BUFFERS: Family<CommonBuffer> = Family::new();

/// `WdfCommonBufferCreate` (wdfcommonbuffer.h). As [`create_with_config`], with the enabler's alignment (KD-7).
pub(super) extern "win64" fn create(
    globals: u64,
    enabler: u64,
    len_bytes: u64,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfCommonBufferCreate";
    let enabler = object::check(function, enabler, &dma_enabler::KIND);
    not_null(function, "CommonBufferHandle", out);
    write_u64(out, 0);
    finish(
        function,
        globals,
        enabler,
        [len_bytes, attributes, out],
        None,
    )
}

/// `WdfCommonBufferCreateWithConfig` (wdfcommonbuffer.h): the checks come in the order of KD-9. IRQL PASSIVE_LEVEL
/// (else STATUS_INVALID_DEVICE_REQUEST with `verifier=on`). STATUS_SUCCESS, STATUS_INFO_LENGTH_MISMATCH,
/// STATUS_INVALID_PARAMETER for length 0, STATUS_INTEGER_OVERFLOW, STATUS_INSUFFICIENT_RESOURCES, or what
/// [`Attributes::read`] says; a parent is not allowed (KD-10).
pub(super) extern "win64" fn create_with_config(
    globals: u64,
    enabler: u64,
    len_bytes: u64,
    config: u64,
    attributes: u64,
    out: u64,
) -> NtStatus {
    let function = "WdfCommonBufferCreateWithConfig";
    let enabler = object::check(function, enabler, &dma_enabler::KIND);
    not_null(function, "Config", config);
    if shared::<Cell<u32>>(config).get() != CONFIG_BYTES {
        return status::INFO_LENGTH_MISMATCH;
    }
    not_null(function, "CommonBufferHandle", out);
    write_u64(out, 0);
    let mask = shared::<Cell<u32>>(config.wrapping_add(4)).get();
    finish(
        function,
        globals,
        enabler,
        [len_bytes, attributes, out],
        Some(mask),
    )
}

/// The part of both that follows the pointers.
fn finish(
    function: &str,
    globals: u64,
    enabler: Handle,
    [len_bytes, attributes, out]: [u64; 3],
    mask: Option<u32>,
) -> NtStatus {
    if let Err(status) = check_level(function, PASSIVE_LEVEL) {
        return status;
    }
    if len_bytes == 0 {
        return status::INVALID_PARAMETER;
    }
    let created = Attributes::read(attributes, Rules::NO_PARENT)
        .and_then(|attributes| object::create(&KIND, &attributes, Some(enabler)));
    let handle = match created {
        Ok(handle) => handle,
        Err(status) => return status,
    };
    let is_new_client = globals::is_at_least(globals, 11);
    match allocate(enabler, len_bytes, mask, is_new_client) {
        Ok(buffer) => {
            BUFFERS.insert(handle, buffer);
            write_u64(out, handle.raw());
            status::SUCCESS
        }
        Err(status) => {
            tree::discard(handle);
            status
        }
    }
}

fn allocate(
    enabler: Handle,
    len_bytes: u64,
    mask: Option<u32>,
    is_new_client: bool,
) -> Result<CommonBuffer, NtStatus> {
    let enabler = dma_enabler::record(enabler).ok_or(status::INSUFFICIENT_RESOURCES)?;
    // KD-6: common buffers always come from the read adapter.
    let adapter = enabler
        .adapter(Direction::ReadFromDevice)
        .ok_or(status::INSUFFICIENT_RESOURCES)?
        .address;
    let mask = mask.unwrap_or(enabler.alignment).into();
    let raw_bytes = raw_length(len_bytes, mask, is_new_client)?;
    let Ok(raw_bytes) = u32::try_from(raw_bytes) else {
        log!("KD-12: a common buffer of {raw_bytes:#x} bytes does not fit a ULONG");
        return Err(status::INSUFFICIENT_RESOURCES);
    };
    let logical = kernel_memory::allocate(8, TAG).ok_or(status::INSUFFICIENT_RESOURCES)?;
    let virtual_address =
        operations::allocate_common_buffer(adapter, raw_bytes, logical, CACHE_ENABLED);
    let raw = Raw {
        len_bytes: raw_bytes,
        virtual_address,
        logical_address: read_u64(logical),
    };
    kernel_memory::free(logical);
    if virtual_address == 0 {
        return Err(status::INSUFFICIENT_RESOURCES);
    }
    Ok(CommonBuffer {
        adapter,
        len_bytes,
        raw,
        aligned: align(raw, mask),
        is_freed: false,
    })
}

/// KD-11: bytes that are asked of the HAL.
fn raw_length(len_bytes: u64, mask: u64, is_new_client: bool) -> Result<u64, NtStatus> {
    if is_new_client && mask <= PAGE_MASK {
        return Ok(len_bytes);
    }
    len_bytes.checked_add(mask).ok_or(status::INTEGER_OVERFLOW)
}

/// KD-13: the logical address is aligned; the virtual one too up to a page, beyond that it keeps the distance. KD-18:
/// the mask is used as it comes.
fn align(raw: Raw, mask: u64) -> Aligned {
    let up = |address: u64| address.wrapping_add(mask) & !mask;
    let logical_address = up(raw.logical_address);
    let virtual_address = if mask <= PAGE_MASK {
        up(raw.virtual_address)
    } else {
        let distance = logical_address.wrapping_sub(raw.logical_address);
        raw.virtual_address.wrapping_add(distance)
    };
    Aligned {
        virtual_address,
        logical_address,
    }
}

/// KD-14: FreeCommonBuffer with what the HAL gave.
fn free(handle: Handle) {
    let buffer = BUFFERS.with(handle, |buffer| {
        let is_first = !core::mem::replace(&mut buffer.is_freed, true);
        is_first.then_some(*buffer)
    });
    if let Some(CommonBuffer { adapter, raw, .. }) = buffer.flatten() {
        operations::free_common_buffer(
            adapter,
            raw.len_bytes,
            raw.logical_address,
            raw.virtual_address,
            CACHE_ENABLED,
        );
    }
}

fn forget(handle: Handle) {
    BUFFERS.remove(handle);
}

fn checked(function: &str, buffer: u64) -> Option<CommonBuffer> {
    BUFFERS.get(object::check(function, buffer, &KIND))
}

/// `WdfCommonBufferGetAlignedVirtualAddress` (wdfcommonbuffer.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn virtual_address(_globals: u64, buffer: u64) -> u64 {
    let buffer = checked("WdfCommonBufferGetAlignedVirtualAddress", buffer);
    buffer.map_or(0, |buffer| buffer.aligned.virtual_address)
}

/// `WdfCommonBufferGetAlignedLogicalAddress` (wdfcommonbuffer.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn logical_address(_globals: u64, buffer: u64) -> u64 {
    let buffer = checked("WdfCommonBufferGetAlignedLogicalAddress", buffer);
    buffer.map_or(0, |buffer| buffer.aligned.logical_address)
}

/// `WdfCommonBufferGetLength` (wdfcommonbuffer.h): rule KD-15. IRQL <= DISPATCH_LEVEL. The length that was asked for.
pub(super) extern "win64" fn length(_globals: u64, buffer: u64) -> u64 {
    let buffer = checked("WdfCommonBufferGetLength", buffer);
    buffer.map_or(0, |buffer| buffer.len_bytes)
}

#[cfg(test)]
#[path = "common_buffer_tests.rs"]
mod tests;
