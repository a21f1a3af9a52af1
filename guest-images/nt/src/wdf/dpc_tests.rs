//! DPC objects. On the host no interrupt comes: a test runs the queue by [`dpc::flush`].

use core::sync::atomic::{AtomicU64, Ordering};

use super::super::tree;
use super::*;
use crate::ke::irql;
use crate::ntoskrnl::shared::address_of;

static LAST: AtomicU64 = AtomicU64::new(0);

extern "win64" fn note(dpc: u64) {
    assert_eq!(irql::current(), DISPATCH_LEVEL);
    LAST.store(dpc, Ordering::Relaxed);
}

#[test]
fn dpc_runs_with_its_handle_and_a_cancelled_one_does_not() {
    let device =
        object::create(&super::super::device::KIND, &Attributes::NONE, None).expect("memory");
    let callback = (note as *const ()).expose_provenance() as u64;
    let config = [0x18, callback, 0].map(Cell::new);
    let attributes = [0x38, 0, 0, 1 | (1 << 32), device.raw(), 0, 0].map(Cell::new);
    let out = Cell::new(0u64);
    let status = create(
        0,
        address_of(&config),
        address_of(&attributes),
        address_of(&out),
    );
    assert_eq!(status, status::SUCCESS);
    let dpc = out.get();
    assert_eq!(parent_object(0, dpc), device.raw());
    let kernel_dpc = wdm_dpc(0, dpc);
    irql::at(DISPATCH_LEVEL, || run(kernel_dpc, dpc, 0, 0));
    assert_eq!(LAST.swap(0, Ordering::Relaxed), dpc);
    assert_eq!((enqueue(0, dpc), enqueue(0, dpc)), (1, 0));
    assert_eq!((cancel(0, dpc, 0), cancel(0, dpc, 0)), (1, 0));
    enqueue(0, dpc);
    tree::delete(device);
    assert_eq!(LAST.load(Ordering::Relaxed), 0, "the deletion cancelled it");
}
