//! The routines of DMA_OPERATIONS that map and flush transfers.

use core::cell::Cell;

use super::checks::{self, Bytes, offset_of, rules_of};
use super::plan::{self, Element};
use super::range::{Piece, first_of, len_of};
use super::registers::{self, Flush, Mapping};
use super::{context, lists, mapping};
use crate::hal_dma::adapter::{self, Adapter, require_irql, violation};
use crate::ke::irql::DISPATCH_LEVEL;
use crate::log;
use crate::ntoskrnl::shared::shared;
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;

/// Which transfer is meant.
#[derive(Clone, Copy)]
struct Target {
    adapter: u64,
    base: u64,
    bytes: Bytes,
    write_to_device: bool,
}

/// `MapTransfer`. IRQL <= DISPATCH_LEVEL. The logical address of the first bytes that are one piece; Length is their
/// number, for a device without scatter/gather always what was asked for. 0 and Length 0 where nothing is mapped.
/// Documented misuse: 0xE6/0x0C (too few registers), 0x1D (mapped already), and those of `checks`.
pub(crate) extern "win64" fn map_transfer(
    adapter: u64,
    mdl: u64,
    base: u64,
    current_va: u64,
    len: u64,
    write_to_device: u8,
) -> u64 {
    let name = "MapTransfer";
    require_irql(name, DISPATCH_LEVEL, false);
    let len = shared::<Cell<u32>>(len);
    let bytes = Bytes {
        mdl,
        offset: offset_of(mdl, current_va),
        len: len.get().into(),
        is_chain: false,
    };
    let target = Target {
        adapter,
        base,
        bytes,
        write_to_device: write_to_device != 0,
    };
    let mapped = adapter::find(adapter, name)
        .ok_or(status::INVALID_PARAMETER)
        .and_then(|record| map_first(name, &record, target));
    match mapped {
        Ok((iova, n_bytes)) => {
            len.set(n_bytes);
            iova
        }
        Err(status) => {
            log!("{name}: {status}");
            len.set(0);
            0
        }
    }
}

fn map_first(name: &str, record: &Adapter, target: Target) -> Result<(u64, u32), NtStatus> {
    let pieces = checks::pieces(name, target.bytes)?;
    let n_free = free_registers(name, target)?;
    let mut elements = plan::elements(&pieces, rules_of(record));
    elements.truncate(1);
    let Some(first) = elements.first() else {
        return Err(status::INVALID_PARAMETER);
    };
    if first.n_pages() > n_free {
        violation(
            "map-registers-exhausted",
            format_args!(
                "{name}: {:#x} bytes take {} map registers, {n_free} are left at {:#x}",
                first.len,
                first.n_pages(),
                target.base
            ),
            [0x0C, target.adapter, first.n_pages(), n_free],
        );
        return Err(status::INSUFFICIENT_RESOURCES);
    }
    let n_bytes = u32::try_from(first.len).map_err(|_| status::INVALID_PARAMETER)?;
    let iova = put_mapping(record, target, &pieces, &elements, false)?;
    Ok((iova, n_bytes))
}

/// Registers left at the base, once it is sure that the bytes are not mapped in them already.
fn free_registers(name: &str, target: Target) -> Result<u64, NtStatus> {
    let Bytes {
        mdl, offset, len, ..
    } = target.bytes;
    let looked = registers::with(target.adapter, target.base, |file| {
        let other = file.overlapping(mdl, offset, len);
        (
            file.free_count(),
            other.map(|other| (other.offset, other.len)),
        )
    });
    let Some((n_free, other)) = looked else {
        verifier::undocumented_violation(
            "map-registers-unknown",
            format_args!(
                "{name} with MapRegisterBase {:#x}, which the adapter has not",
                target.base
            ),
        );
        return Err(status::INVALID_PARAMETER);
    };
    if let Some((other_offset, other_len)) = other {
        violation(
            "transfer-mapped-twice",
            format_args!(
                "{name}: {len:#x} bytes at offset {offset:#x} of MDL {mdl:#x}; mapped are {other_len:#x} at {other_offset:#x}"
            ),
            [0x1D, mdl, offset, len],
        );
        return Err(status::INVALID_PARAMETER);
    }
    Ok(n_free)
}

/// Maps elements into the registers of the target; the first one's logical address.
fn put_mapping(
    record: &Adapter,
    target: Target,
    pieces: &[Piece],
    elements: &[Element],
    is_extended: bool,
) -> Result<u64, NtStatus> {
    let mapped = mapping::map(record, pieces, elements, target.write_to_device)
        .ok_or(status::INSUFFICIENT_RESOURCES)?;
    let iova = mapped.first().map_or(0, |first| first.iova);
    let new = Mapping {
        mdl: target.bytes.mdl,
        offset: target.bytes.offset,
        len: elements.iter().map(|element| element.len).sum(),
        write_to_device: target.write_to_device,
        n_registers: plan::registers(elements),
        is_extended,
        elements: mapped,
    };
    registers::with(target.adapter, target.base, |file| file.mappings.push(new));
    Ok(iova)
}

/// `MapTransferEx`: rules MX-1 to MX-3. IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS with as many bytes as registers and list
/// buffer hold; STATUS_INVALID_PARAMETER, STATUS_INSUFFICIENT_RESOURCES, STATUS_CANCELLED. Documented misuse:
/// 0xE6/0x1D (mapped already), and those of `checks`.
pub(crate) extern "win64" fn map_transfer_ex(
    adapter: u64,
    mdl: u64,
    base: u64,
    offset: u64,
    device_offset: u32,
    len: u64,
    write_to_device: u8,
    list: u64,
    list_len: u32,
    completion_routine: u64,
    completion_context: u64,
) -> NtStatus {
    let name = "MapTransferEx";
    require_irql(name, DISPATCH_LEVEL, false);
    let Some(record) = adapter::find(adapter, name) else {
        return status::INVALID_PARAMETER;
    };
    let n_fitting = plan::elements_in(list_len);
    if device_offset != 0 || completion_routine != 0 || completion_context != 0 || list == 0 {
        log!(
            "{name}: MX-1: a bus master gives a list buffer, and no device offset or completion routine"
        );
        return status::INVALID_PARAMETER;
    }
    if n_fitting == 0 {
        log!("{name}: MX-2: a list buffer of {list_len:#x} bytes holds no element");
        return status::INVALID_PARAMETER;
    }
    let len = shared::<Cell<u32>>(len);
    let bytes = Bytes {
        mdl,
        offset,
        len: len.get().into(),
        is_chain: true,
    };
    let target = Target {
        adapter,
        base,
        bytes,
        write_to_device: write_to_device != 0,
    };
    match map_list(name, &record, target, list, n_fitting) {
        Ok(n_bytes) => {
            len.set(n_bytes);
            status::SUCCESS
        }
        Err(status) => status,
    }
}

fn map_list(
    name: &str,
    record: &Adapter,
    target: Target,
    list: u64,
    n_fitting: u64,
) -> Result<u32, NtStatus> {
    let pieces = checks::pieces(name, target.bytes)?;
    let n_free = free_registers(name, target)?;
    check_may_map(name, target)?;
    // A piece takes one register at least, so no more of them can come in.
    let n_free = u32::try_from(n_free).unwrap_or(u32::MAX);
    let pieces = first_of(&pieces, n_free).ok_or(status::INSUFFICIENT_RESOURCES)?;
    let mut elements = plan::elements(&pieces, rules_of(record));
    elements.truncate(usize::try_from(n_fitting).unwrap_or(usize::MAX));
    if elements.is_empty() {
        log!(
            "{name}: MX-1: no map register is free at {:#x}",
            target.base
        );
        return Err(status::INSUFFICIENT_RESOURCES);
    }
    put_mapping(record, target, &pieces, &elements, true)?;
    let written = registers::with(target.adapter, target.base, |file| {
        let mapping = file.mappings.last()?;
        let elements = mapping.elements.iter();
        let elements: alloc::vec::Vec<_> = elements
            .map(|element| (element.iova, element.len))
            .collect();
        Some((elements, mapping.len))
    });
    let (elements, n_bytes) = written.flatten().ok_or(status::INVALID_PARAMETER)?;
    lists::write_list(list, elements.into_iter());
    debug_assert!(n_bytes <= len_of(&pieces));
    u32::try_from(n_bytes).map_err(|_| status::INVALID_PARAMETER)
}

/// MX-3 and CX-2.
fn check_may_map(name: &str, target: Target) -> Result<(), NtStatus> {
    let looked = registers::with(target.adapter, target.base, |file| {
        let unflushed = file.mappings.iter().find(|mapping| mapping.is_extended);
        (
            unflushed.map(|mapping| (mapping.offset, mapping.len)),
            file.context,
        )
    });
    let Some((unflushed, transfer_context)) = looked else {
        return Err(status::INVALID_PARAMETER);
    };
    if let Some((offset, len)) = unflushed {
        verifier::undocumented_violation(
            "transfer-mapped-before-flush",
            format_args!(
                "MX-3: {name} before FlushAdapterBuffersEx of {len:#x} bytes at offset {offset:#x}"
            ),
        );
        return Err(status::INVALID_PARAMETER);
    }
    if transfer_context.is_some_and(context::is_stopped) {
        return Err(status::CANCELLED);
    }
    Ok(())
}

/// `FlushAdapterBuffers`: rule FL-1 by its sense. IRQL <= DISPATCH_LEVEL. TRUE. Documented misuse: 0xE6/0x16, 0x20
/// (not mapped), 0x00/1 (more pages than registers).
pub(crate) extern "win64" fn flush_adapter_buffers(
    adapter: u64,
    mdl: u64,
    base: u64,
    current_va: u64,
    len: u32,
    write_to_device: u8,
) -> u8 {
    let offset = offset_of(mdl, current_va);
    let target = Target {
        adapter,
        base,
        bytes: Bytes {
            mdl,
            offset,
            len: len.into(),
            is_chain: false,
        },
        write_to_device: write_to_device != 0,
    };
    u8::from(flush("FlushAdapterBuffers", target).is_ok())
}

/// `FlushAdapterBuffersEx`: rule FL-1. IRQL <= DISPATCH_LEVEL. STATUS_SUCCESS, STATUS_INVALID_PARAMETER. Documented
/// misuse: as [`flush_adapter_buffers`].
pub(crate) extern "win64" fn flush_adapter_buffers_ex(
    adapter: u64,
    mdl: u64,
    base: u64,
    offset: u64,
    len: u32,
    write_to_device: u8,
) -> NtStatus {
    let target = Target {
        adapter,
        base,
        bytes: Bytes {
            mdl,
            offset,
            len: len.into(),
            is_chain: true,
        },
        write_to_device: write_to_device != 0,
    };
    flush("FlushAdapterBuffersEx", target).map_or_else(|status| status, |()| status::SUCCESS)
}

fn flush(name: &str, target: Target) -> Result<(), NtStatus> {
    require_irql(name, DISPATCH_LEVEL, false);
    if adapter::find(target.adapter, name).is_none() {
        return Err(status::INVALID_PARAMETER);
    }
    let Bytes {
        mdl, offset, len, ..
    } = target.bytes;
    let flushed = registers::with(target.adapter, target.base, |file| {
        (file.count, file.take_flushed(mdl, offset, len))
    });
    let Some((count, flushed)) = flushed else {
        report_unmapped(name, target, 0x20);
        return Err(status::INVALID_PARAMETER);
    };
    let mappings = match flushed {
        Flush::Exact(mappings) => mappings,
        Flush::Other(mappings) => {
            report_other_bytes(name, target, count, &mappings);
            mappings
        }
        Flush::NothingMapped => {
            report_unmapped(name, target, 0x20);
            return Err(status::INVALID_PARAMETER);
        }
        Flush::NotThis => {
            report_unmapped(name, target, 0x16);
            return Err(status::INVALID_PARAMETER);
        }
    };
    for mapping in mappings {
        lists::flush(mapping, name, target.write_to_device);
    }
    Ok(())
}

fn report_unmapped(name: &str, target: Target, code: u64) {
    let Bytes {
        mdl, offset, len, ..
    } = target.bytes;
    violation(
        "flush-of-unmapped-buffer",
        format_args!(
            "{name}: {len:#x} bytes at offset {offset:#x} of MDL {mdl:#x} are not mapped at {:#x}",
            target.base
        ),
        [code, mdl, target.base, offset],
    );
}

/// What is mapped there goes all the same: the driver means to be done with it.
fn report_other_bytes(name: &str, target: Target, count: u32, mappings: &[Mapping]) {
    let Bytes {
        mdl, offset, len, ..
    } = target.bytes;
    let n_pages = crate::mdl::pages_spanned(offset, len);
    if n_pages > u64::from(count) + 1 {
        violation(
            "flush-past-map-registers",
            format_args!(
                "{name}: {len:#x} bytes at offset {offset:#x}, with {count} map registers"
            ),
            [0x00, 1, target.base, n_pages],
        );
    }
    let mapped: u64 = mappings.iter().map(|mapping| mapping.len).sum();
    let start = mappings.iter().map(|mapping| mapping.offset).min();
    verifier::finding(
        "flush-of-other-bytes",
        format_args!(
            "FL-1: {name} of {len:#x} bytes at offset {offset:#x} of MDL {mdl:#x}; mapped are {mapped:#x} at {:#x}",
            start.unwrap_or(0)
        ),
    );
}
