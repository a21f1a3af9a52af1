//! Scatter/gather lists: built when a request's turn comes, valid until PutScatterGatherList.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::Cell;

use super::checks::rules_of;
use super::plan::{self, ELEMENT_BYTES, LIST_HEADER_BYTES, LIST_TAIL_BYTES};
use super::range::{Piece, len_of};
use super::registers::{self, Mapping, RegisterFile};
use super::{callback, channel, context, mapping};
use crate::arch::guarded::Guarded;
use crate::arch::win64::Routine;
use crate::hal_dma::adapter::{Adapter, violation};
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::{fill, shared, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;

const TAG: u32 = u32::from_le_bytes(*b"DmaL");
/// What the private tail of a list holds.
const TAIL_FILLING: u8 = 0xC9;

/// What a list is to be made of.
#[derive(Debug)]
pub(super) struct ListWork {
    /// Head of the MDL chain.
    pub(super) mdl: u64,
    /// Offset of the first byte in it.
    pub(super) offset: u64,
    /// The bytes.
    pub(super) pieces: Vec<Piece>,
    pub(super) write_to_device: bool,
    /// The caller's buffer, whose size has been checked; else the list lies in memory of the HAL.
    pub(super) buffer: Option<u64>,
    /// AdapterListControl; `None` for a synchronous request whose caller goes on itself.
    pub(super) routine: Option<Routine>,
    /// Its context.
    pub(super) argument: u64,
}

#[derive(Clone, Copy, Debug)]
struct List {
    adapter: u64,
    base: u64,
    n_elements: u32,
    is_in_own_memory: bool,
    has_mdl: bool,
}

static LISTS: Guarded<BTreeMap<u64, List>> = Guarded::new(BTreeMap::new());

/// Maps and writes a list, calls its routine, and lets the adapter object go where there is one. Gives the list.
pub(super) fn build(
    adapter: u64,
    record: &Adapter,
    base: u64,
    device_object: u64,
    work: ListWork,
) -> Result<u64, NtStatus> {
    let (routine, argument) = (work.routine, work.argument);
    let list = write(adapter, record, base, work).ok_or(status::INSUFFICIENT_RESOURCES)?;
    if let Some(routine) = routine {
        callback::call(routine, device_object, list, argument);
        channel::let_go(adapter);
    }
    Ok(list)
}

fn write(adapter: u64, record: &Adapter, base: u64, work: ListWork) -> Option<u64> {
    let elements = plan::elements(&work.pieces, rules_of(record));
    let n_elements = u32::try_from(elements.len()).ok()?;
    let list = match work.buffer {
        Some(buffer) => buffer,
        None => kernel_memory::allocate(plan::list_bytes(n_elements.into()), TAG)?,
    };
    let Some(mapped) = mapping::map(record, &work.pieces, &elements, work.write_to_device) else {
        if work.buffer.is_none() {
            kernel_memory::free(list);
        }
        return None;
    };
    write_list(
        list,
        mapped.iter().map(|element| (element.iova, element.len)),
    );
    fill(
        list + LIST_HEADER_BYTES + u64::from(n_elements) * ELEMENT_BYTES,
        LIST_TAIL_BYTES,
        TAIL_FILLING,
    );
    let new = Mapping {
        mdl: work.mdl,
        offset: work.offset,
        len: len_of(&work.pieces),
        write_to_device: work.write_to_device,
        n_registers: plan::registers(&elements),
        is_extended: false,
        elements: mapped,
    };
    registers::with(adapter, base, |file| file.mappings.push(new));
    let record = List {
        adapter,
        base,
        n_elements,
        is_in_own_memory: work.buffer.is_none(),
        has_mdl: false,
    };
    LISTS.with(|lists| lists.insert(list, record));
    Some(list)
}

/// Writes NumberOfElements and the elements (address, bytes); what is reserved is zero.
pub(super) fn write_list(list: u64, elements: impl Iterator<Item = (u64, u64)>) {
    let mut n_elements = 0;
    let mut at = list + LIST_HEADER_BYTES;
    for (address, len) in elements {
        write_u64(at, address);
        write_u64(at + 8, len);
        write_u64(at + 16, 0);
        at += ELEMENT_BYTES;
        n_elements += 1;
    }
    write_u64(list, n_elements);
    write_u64(list + 8, 0);
}

/// `PutScatterGatherList`: flushes and ends a list. Documented misuse: 0xE6/0x06 (no such list).
pub(super) fn put(adapter: u64, list: u64, write_to_device: bool) {
    let found = LISTS.with(|lists| {
        let is_its = lists.get(&list)?.adapter == adapter;
        if is_its { lists.remove(&list) } else { None }
    });
    let Some(found) = found else {
        violation(
            "scatter-gather-list-freed-twice",
            format_args!("PutScatterGatherList of {list:#x}, which is no list of the adapter"),
            [0x06, adapter, list, 0],
        );
        return;
    };
    let n_elements = shared::<Cell<u32>>(list).get();
    if n_elements != found.n_elements {
        verifier::finding(
            "scatter-gather-list-overwritten",
            format_args!(
                "SG-3: the list at {list:#x} has {n_elements} elements, it was given with {}",
                found.n_elements
            ),
        );
    }
    if let Some(file) = registers::close(adapter, found.base) {
        finish(file, write_to_device);
    }
    if found.is_in_own_memory {
        kernel_memory::free(list);
    }
    channel::wake();
}

fn finish(file: RegisterFile, write_to_device: bool) {
    if let Some(context) = file.context {
        context::release(context);
    }
    for mapping in file.mappings {
        flush(mapping, "PutScatterGatherList", write_to_device);
    }
}

/// Ends a mapping; data move only where both directions say that the device wrote.
pub(super) fn flush(mapping: Mapping, routine: &str, write_to_device: bool) {
    if mapping.write_to_device != write_to_device {
        verifier::finding(
            "transfer-flush-direction",
            format_args!(
                "FL-1: {routine} with WriteToDevice {write_to_device}, mapped was {} ({:#x} bytes at offset {:#x})",
                mapping.write_to_device, mapping.len, mapping.offset
            ),
        );
    }
    let moves_data = !mapping.write_to_device && !write_to_device;
    mapping::unmap_all(mapping.elements, moves_data);
}

/// SG-6: the MDL of a list, once. This HAL gives the original one.
pub(super) fn take_mdl(adapter: u64, list: u64, original: u64) -> Result<u64, NtStatus> {
    if original == 0 {
        return Err(status::INVALID_PARAMETER);
    }
    LISTS.with(|lists| match lists.get_mut(&list) {
        Some(found) if found.adapter == adapter && !found.has_mdl => {
            found.has_mdl = true;
            Ok(original)
        }
        Some(found) if found.adapter == adapter => Err(status::NONE_MAPPED),
        Some(_) | None => Err(status::INVALID_PARAMETER),
    })
}

/// The registers at `base` are gone, and with them the list that lay in them.
pub(super) fn forget(base: u64) {
    let lists = LISTS.with(|lists| {
        let is_in = |_: &u64, list: &mut List| list.base == base;
        lists.extract_if(.., is_in).collect::<Vec<_>>()
    });
    for (address, list) in lists {
        if list.is_in_own_memory {
            kernel_memory::free(address);
        }
    }
}

/// Lists of an adapter that are not put, and the registers in them.
pub(super) fn of_adapter(adapter: u64) -> (usize, u64) {
    let bases: Vec<u64> = LISTS.with(|lists| {
        let lists = lists.values().filter(|list| list.adapter == adapter);
        lists.map(|list| list.base).collect()
    });
    let registers = bases
        .iter()
        .filter_map(|base| registers::with(adapter, *base, |file| u64::from(file.count)))
        .sum();
    (bases.len(), registers)
}

/// Lists that are not put.
pub(super) fn live_count() -> usize {
    LISTS.with(|lists| lists.len())
}
