//! WDFCMRESLIST: the resource lists of EvtDevicePrepareHardware (indices 304 and 305).

use alloc::vec::Vec;
use core::cell::Cell;

use super::attributes::Attributes;
use super::family::Family;
use super::object::{self, Handle, Kind};
use super::tree;
use crate::ntoskrnl::kernel_memory;
use crate::ntoskrnl::shared::{read_bytes, shared, write_bytes};

const TAG: u32 = u32::from_le_bytes(*b"WdfR");
/// Size of CM_PARTIAL_RESOURCE_DESCRIPTOR, and where the first one lies in a CM_RESOURCE_LIST.
pub(super) const DESCRIPTOR_BYTES: u64 = 0x14;
const FIRST_DESCRIPTOR: u64 = 0x14;
const DESCRIPTOR_COUNT: u64 = 0x10;
/// Most descriptors that are taken over.
const MAX_DESCRIPTORS: u32 = 4096;

pub(super) static KIND: Kind = Kind {
    is_deletable: false,
    on_destroy: forget,
    ..Kind::new("WDFCMRESLIST")
};

/// The descriptors, in memory that the driver may read.
#[derive(Clone, Copy)]
struct List {
    /// Of the first descriptor; 0 for an empty list.
    address: u64,
    count: u32,
}

static LISTS: Family<List> = Family::new();

/// Makes the raw and the translated list of a START request's CM_RESOURCE_LISTs; a null pointer is an empty one.
pub(super) fn create_pair(device: Handle, lists: [u64; 2]) -> Option<[Handle; 2]> {
    let raw = create(device, lists[0])?;
    match create(device, lists[1]) {
        Some(translated) => Some([raw, translated]),
        None => {
            tree::delete(raw);
            None
        }
    }
}

fn create(device: Handle, list: u64) -> Option<Handle> {
    let count = match list {
        0 => 0,
        list => shared::<Cell<u32>>(list + DESCRIPTOR_COUNT)
            .get()
            .min(MAX_DESCRIPTORS),
    };
    let len_bytes = u64::from(count) * DESCRIPTOR_BYTES;
    let address = match count {
        0 => 0,
        _ => {
            let copy = kernel_memory::allocate(len_bytes, TAG)?;
            let len = usize::try_from(len_bytes).ok()?;
            write_bytes(copy, &read_bytes(list + FIRST_DESCRIPTOR, len));
            copy
        }
    };
    match object::create(&KIND, &Attributes::NONE, Some(device)) {
        Ok(handle) => {
            LISTS.insert(handle, List { address, count });
            Some(handle)
        }
        Err(_) => {
            free(address);
            None
        }
    }
}

fn forget(handle: Handle) {
    if let Some(list) = LISTS.remove(handle) {
        free(list.address);
    }
}

fn free(address: u64) {
    if address != 0 {
        kernel_memory::free(address);
    }
}

/// The addresses of a list's descriptors.
pub(super) fn descriptors(list: Handle) -> Vec<u64> {
    let List { address, count } = LISTS.get(list).unwrap_or(List {
        address: 0,
        count: 0,
    });
    (0..u64::from(count))
        .map(|idx| address + idx * DESCRIPTOR_BYTES)
        .collect()
}

/// `WdfCmResourceListGetCount` (wdfresource.h). IRQL <= DISPATCH_LEVEL.
pub(super) extern "win64" fn count(_globals: u64, list: u64) -> u32 {
    let handle = object::check("WdfCmResourceListGetCount", list, &KIND);
    LISTS.get(handle).map_or(0, |list| list.count)
}

/// `WdfCmResourceListGetDescriptor` (wdfresource.h). IRQL <= DISPATCH_LEVEL. The descriptor, or null for an index beyond
/// the list.
pub(super) extern "win64" fn descriptor(_globals: u64, list: u64, index: u32) -> u64 {
    let handle = object::check("WdfCmResourceListGetDescriptor", list, &KIND);
    descriptors(handle)
        .get(index as usize)
        .copied()
        .unwrap_or(0)
}
