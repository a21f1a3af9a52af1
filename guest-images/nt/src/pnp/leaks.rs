//! What a driver has left behind when it is unloaded.

use super::device;
use crate::arch::images;
use crate::console::Event;
use crate::hal_dma::{adapter, transfer};
use crate::ke::{interrupt, thread};
use crate::log;
use crate::memory::pool;
use crate::ntoskrnl::{io_device, io_irp, io_mdl, io_names, mm_mdl, mm_memory, objects_by_handle};
use crate::wdf::{globals, object};

/// Allocations that are named one by one.
const NAMED_ALLOCATIONS: usize = 16;

/// Writes the `leaks` event; before it, a line for each of the first leaked allocations. Call while the images
/// are still registered.
pub(super) fn report() {
    let live = pool::live();
    let of_driver = || {
        live.iter()
            .filter(|allocation| images::contains(allocation.caller))
    };
    for allocation in of_driver().take(NAMED_ALLOCATIONS) {
        log!(
            "leak: {} bytes at {:#x}, tag {}, from {}",
            allocation.len_bytes,
            allocation.address.as_u64(),
            alloc::string::String::from_utf8_lossy(&allocation.tag.to_le_bytes()),
            images::Symbolic(allocation.caller)
        );
    }
    let objects = object::live();
    for (handle, kind, references) in objects.iter().take(NAMED_ALLOCATIONS) {
        log!("leak: {kind} {handle} with {references} references");
    }
    let with_tag = |tag: &[u8; 4]| {
        let tag = u32::from_le_bytes(*tag);
        live.iter()
            .filter(|allocation| allocation.tag == tag && allocation.caller == 0)
            .count()
    };
    let (adapters, common_buffers) = adapter::live_counts();
    let transfers = transfer::live();
    let memory = mm_memory::counts();
    let mappings = memory.io_mappings + mm_mdl::mapping_count();
    // The physical device objects are the bus driver's.
    let n_devices = io_device::live_count().saturating_sub(device::all().len());
    let counts = [
        ("pool_allocations", of_driver().count() as u64),
        (
            "pool_bytes",
            of_driver().map(|allocation| allocation.len_bytes).sum(),
        ),
        ("mdls", (io_mdl::live_count() + with_tag(b"MmPg")) as u64),
        ("page_lists", mm_mdl::page_list_count() as u64),
        ("work_items", with_tag(b"IoWk") as u64),
        ("contiguous", memory.contiguous as u64),
        ("adapters", adapters as u64),
        ("common_buffers", common_buffers as u64),
        ("channels", transfers.channels as u64),
        ("map_registers", transfers.map_registers),
        ("scatter_gather_lists", transfers.lists as u64),
        ("mappings", mappings as u64),
        ("interrupts", interrupt::connected_count() as u64),
        ("threads", thread::driver_thread_count() as u64),
        ("handles", objects_by_handle::open_count() as u64),
        ("irps", io_irp::live_count() as u64),
        ("devices", n_devices as u64),
        ("names", io_names::live_count() as u64),
        ("wdf_objects", objects.len() as u64),
        ("wdf_clients", globals::bound_count() as u64),
    ];
    let event = counts
        .into_iter()
        .fold(Event::new("leaks"), |event, (key, value)| {
            event.hex(key, value)
        });
    event.send();
}
