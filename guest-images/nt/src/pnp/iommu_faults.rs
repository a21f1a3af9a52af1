//! What becomes of a fault of the remapping unit: data where the harness has announced its probes, else
//! the bug check of a DMA violation (0xE6/0x26).

use core::sync::atomic::{AtomicBool, Ordering};

use super::device;
use crate::ntoskrnl::verifier::{self, DMA_VIOLATION, Documented};
use crate::vtd::{self, Fault};

static ARE_ANNOUNCED: AtomicBool = AtomicBool::new(true);

/// From here on faults are looked at.
pub(super) fn initialize() {
    vtd::set_fault_handler(judge);
}

/// Whether the faults that come are announced. They are until someone says otherwise.
pub(super) fn set_announced(are_announced: bool) {
    ARE_ANNOUNCED.store(are_announced, Ordering::Relaxed);
}

fn judge(fault: &Fault) {
    if ARE_ANNOUNCED.load(Ordering::Relaxed) {
        return;
    }
    let devices = device::all();
    let pdo = devices
        .iter()
        .find(|device| device.function.id == fault.requester)
        .map_or(0, |device| device.pdo);
    verifier::violation(
        "iommu-fault",
        format_args!(
            "{} may not {} {}, reason {:#x}",
            fault.requester,
            if fault.is_write { "write" } else { "read" },
            fault.iova,
            fault.reason
        ),
        Documented {
            code: DMA_VIOLATION,
            parameters: [0x26, pdo, fault.iova.raw(), fault.reason.into()],
        },
    );
}
