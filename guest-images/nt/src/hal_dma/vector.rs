//! Vectors of common buffers (rule DD-4 of windows-dma-ddi section 2.12). Misuse is bug check 0x1DC.
//!
//! The elements are common buffers of the adapter; the vector knows which of them still live.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::Cell;

use super::adapter;
use super::bounds::Bounds;
use super::common_buffer;
use super::operations::Kind;
use crate::arch::guarded::Guarded;
use crate::ke::bugcheck;
use crate::ke::irql::{self, PASSIVE_LEVEL};
use crate::log;
use crate::memory::low_resources;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::{shared, write_u64};
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;

/// DMA_COMMON_BUFFER_VECTOR_ERROR
const VECTOR_ERROR: u32 = 0x1DC;
/// Its first parameter.
mod reason {
    pub const WRONG_IRQL: u64 = 1;
    pub const NOT_EMPTY: u64 = 2;
    pub const OUT_OF_BOUNDS: u64 = 3;
    pub const INDEX_FREED: u64 = 4;
    pub const LEAKED: u64 = 5;
}

const TAG: u32 = u32::from_le_bytes(*b"DmaV");
/// Most elements: a driver that asks for more gets STATUS_INSUFFICIENT_RESOURCES.
const ELEMENTS_MAX: u32 = 4096;

#[derive(Clone, Copy, Debug)]
struct Element {
    va: u64,
    iova: u64,
}

#[derive(Debug)]
struct Vector {
    adapter: u64,
    /// `None` once it is freed.
    elements: Vec<Option<Element>>,
}

static VECTORS: Guarded<BTreeMap<u64, Vector>> = Guarded::new(BTreeMap::new());

/// The bug check of a misused vector, in either mode; a finding tells of it first.
fn misuse(reason: u64, detail: core::fmt::Arguments<'_>, vector: u64, index: u64) -> ! {
    verifier::finding("common-buffer-vector-misused", detail);
    bugcheck::raise(VECTOR_ERROR, [reason, vector, index, 0])
}

fn require_passive(routine: &str, vector: u64) {
    let current = irql::current();
    if current != PASSIVE_LEVEL {
        let detail = format_args!("DD-4: {routine} at IRQL {current}, documented: 0");
        misuse(reason::WRONG_IRQL, detail, vector, current.into());
    }
}

/// `AllocateCommonBufferVector`. IRQL PASSIVE_LEVEL. STATUS_SUCCESS with the vector written, STATUS_INVALID_PARAMETER,
/// STATUS_INSUFFICIENT_RESOURCES.
pub(super) extern "win64" fn allocate_common_buffer_vector(
    adapter: u64,
    low: u64,
    high: u64,
    cache_type: u32,
    _node: u32,
    flags: u32,
    n_elements: u32,
    element_bytes: u64,
    out: u64,
) -> NtStatus {
    let routine = "AllocateCommonBufferVector";
    require_passive(routine, 0);
    let Some(record) = adapter::find(adapter, routine) else {
        return status::INVALID_PARAMETER;
    };
    let kind = Kind::of(routine, flags, Some(cache_type));
    let (Some(kind), Ok(len_bytes)) = (kind, u32::try_from(element_bytes)) else {
        return status::INVALID_PARAMETER;
    };
    if n_elements == 0 || len_bytes == 0 || out == 0 {
        log!("{routine}: no elements, no length, or nowhere to put the vector");
        return status::INVALID_PARAMETER;
    }
    let bounds = Bounds {
        minimum: low,
        maximum: high,
    };
    let mut elements = Vec::new();
    let count = usize::try_from(n_elements).unwrap_or(usize::MAX);
    if n_elements > ELEMENTS_MAX || low_resources::reserve(&mut elements, count).is_none() {
        return status::INSUFFICIENT_RESOURCES;
    }
    while elements.len() < count {
        let request = kind.request(len_bytes, bounds);
        let Some((va, iova)) = common_buffer::allocate(adapter, &record, request) else {
            elements
                .iter()
                .for_each(|element| give_back(adapter, *element));
            return status::INSUFFICIENT_RESOURCES;
        };
        elements.push(Some(Element { va, iova }));
    }
    let Some(address) = kernel_memory::allocate(0x10, TAG) else {
        elements
            .iter()
            .for_each(|element| give_back(adapter, *element));
        return status::INSUFFICIENT_RESOURCES;
    };
    let vector = Vector { adapter, elements };
    VECTORS.with(|vectors| vectors.insert(address, vector));
    write_u64(out, address);
    status::SUCCESS
}

/// `GetCommonBufferFromVectorByIndex`. Writes both addresses.
pub(super) extern "win64" fn get_common_buffer_from_vector_by_index(
    adapter: u64,
    vector: u64,
    index: u32,
    va: u64,
    logical: u64,
) {
    let element = element("GetCommonBufferFromVectorByIndex", adapter, vector, index);
    shared::<Cell<u64>>(va).set(element.va);
    shared::<Cell<u64>>(logical).set(element.iova);
}

/// `FreeCommonBufferFromVector`. IRQL PASSIVE_LEVEL. The other elements stay.
pub(super) extern "win64" fn free_common_buffer_from_vector(adapter: u64, vector: u64, index: u32) {
    let routine = "FreeCommonBufferFromVector";
    require_passive(routine, vector);
    let element = element(routine, adapter, vector, index);
    VECTORS.with(|vectors| {
        let slot = usize::try_from(index).ok();
        let vector = vectors.get_mut(&vector);
        if let Some(element) = vector
            .zip(slot)
            .and_then(|(v, idx)| v.elements.get_mut(idx))
        {
            *element = None;
        }
    });
    give_back(adapter, Some(element));
}

/// `FreeCommonBufferVector`. IRQL PASSIVE_LEVEL. All elements were freed before.
pub(super) extern "win64" fn free_common_buffer_vector(adapter: u64, vector: u64) {
    let routine = "FreeCommonBufferVector";
    require_passive(routine, vector);
    check_is_vector(routine, adapter, vector);
    let n_live = VECTORS.with(|vectors| {
        let vector = vectors.get(&vector)?;
        Some(vector.elements.iter().flatten().count())
    });
    if let Some(n_live @ 1..) = n_live {
        let detail = format_args!("DD-4: {routine} with {n_live} elements left");
        misuse(reason::NOT_EMPTY, detail, vector, n_live as u64);
    }
    VECTORS.with(|vectors| vectors.remove(&vector));
    kernel_memory::free(vector);
}

/// An adapter is put: its vectors must be gone.
pub(super) fn check_gone(adapter: u64) {
    let left = VECTORS.with(|vectors| {
        let mut of_adapter = vectors
            .iter()
            .filter(|(_, vector)| vector.adapter == adapter);
        of_adapter.next().map(|(address, _)| *address)
    });
    if let Some(vector) = left {
        let detail = format_args!("DD-4: PutDmaAdapter leaves the vector {vector:#x}");
        misuse(reason::LEAKED, detail, vector, 0);
    }
}

fn check_is_vector(routine: &str, adapter: u64, vector: u64) {
    let is_right = VECTORS.with(|vectors| {
        vectors
            .get(&vector)
            .is_some_and(|found| found.adapter == adapter)
    });
    if !is_right {
        let detail =
            format_args!("DD-4: {routine} of {vector:#x}, which is no vector of the adapter");
        misuse(reason::LEAKED, detail, vector, 0);
    }
}

fn element(routine: &str, adapter: u64, vector: u64, index: u32) -> Element {
    adapter::find(adapter, routine);
    check_is_vector(routine, adapter, vector);
    let found = VECTORS.with(|vectors| {
        let slot = usize::try_from(index).ok()?;
        vectors.get(&vector)?.elements.get(slot).copied()
    });
    match found {
        Some(Some(element)) => element,
        Some(None) => {
            let detail = format_args!("DD-4: {routine}: element {index} is freed");
            misuse(reason::INDEX_FREED, detail, vector, index.into())
        }
        None => {
            let detail = format_args!("DD-4: {routine}: element {index} is out of bounds");
            misuse(reason::OUT_OF_BOUNDS, detail, vector, index.into())
        }
    }
}

fn give_back(adapter: u64, element: Option<Element>) {
    let Some(element) = element else {
        return;
    };
    if let Some(buffer) = adapter::take_buffer(adapter, |buffer| buffer.iova == element.iova) {
        common_buffer::free(buffer);
    }
}
