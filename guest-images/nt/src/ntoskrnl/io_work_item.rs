//! Work items: routines that run at PASSIVE_LEVEL in the system worker thread.

use core::cell::Cell;

use super::driver;
use super::io_device;
use super::kernel_memory;
use super::shared::{CellStructure, address_of, shared};
use super::verifier;
use crate::ke::irql::DISPATCH_LEVEL;
use crate::ke::work;

const TAG: u32 = u32::from_le_bytes(*b"IoWk");
const IS_QUEUED: u64 = 1;

/// IO_WORKITEM; opaque to drivers.
#[repr(C)]
struct WorkItem {
    object: Cell<u64>,
    routine: Cell<u64>,
    context: Cell<u64>,
    state: Cell<u64>,
}

// SAFETY: cells of integers only.
#[expect(unsafe_code, reason = "the promise of CellStructure")]
unsafe impl CellStructure for WorkItem {}

/// `IoAllocateWorkItem` (wdm.h). IRQL <= DISPATCH_LEVEL. Null where memory is short.
pub(super) extern "win64" fn io_allocate_work_item(object: u64) -> u64 {
    verifier::at_most_dispatch("IoAllocateWorkItem");
    let Some(address) = kernel_memory::allocate(size_of::<WorkItem>() as u64, TAG) else {
        return 0;
    };
    shared::<WorkItem>(address).object.set(object);
    address
}

/// `IoFreeWorkItem` (wdm.h). IRQL <= DISPATCH_LEVEL. Not while it is queued.
pub(super) extern "win64" fn io_free_work_item(item: u64) {
    verifier::at_most_dispatch("IoFreeWorkItem");
    if shared::<WorkItem>(item).state.get() == IS_QUEUED {
        verifier::undocumented_violation(
            "work-item-freed-while-queued",
            format_args!("IoFreeWorkItem of {item:#x}"),
        );
        return;
    }
    kernel_memory::free(item);
}

/// `IoQueueWorkItem` (wdm.h). IRQL <= DISPATCH_LEVEL. The device object is referenced until the routine
/// returns.
pub(super) extern "win64" fn io_queue_work_item(
    item: u64,
    routine: u64,
    _queue: u32,
    context: u64,
) {
    verifier::at_most("IoQueueWorkItem", DISPATCH_LEVEL);
    let item: &WorkItem = shared(item);
    if item.state.replace(IS_QUEUED) == IS_QUEUED {
        verifier::undocumented_violation(
            "work-item-queued-twice",
            format_args!("IoQueueWorkItem of {:#x}", address_of(item)),
        );
        return;
    }
    item.routine.set(routine);
    item.context.set(context);
    io_device::reference(item.object.get());
    work::queue(run, address_of(item));
}

fn run(item: u64) {
    let item: &WorkItem = shared(item);
    let (object, routine, context) = (item.object.get(), item.routine.get(), item.context.get());
    // The routine may queue the item again or free it: it is not looked at afterwards.
    item.state.set(0);
    driver::work(routine, object, context);
    io_device::dereference(object);
}
