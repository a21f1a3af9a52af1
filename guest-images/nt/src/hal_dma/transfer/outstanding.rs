//! What of packet DMA is not given back: when an adapter is put, when a driver is unloaded, when pages go.

use super::{channel, lists, registers};
use crate::ntoskrnl::verifier;

/// What is not given back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outstanding {
    /// Requests that have the adapter object or wait for it.
    pub(crate) channels: usize,
    /// Scatter/gather lists.
    pub(crate) lists: usize,
    /// Map registers; of one adapter without those of its lists.
    pub(crate) map_registers: u64,
}

/// Ends an adapter's channel, and tells what is not given back. Registers and lists stay as they are: their pages may
/// be under the device's hands.
pub(crate) fn abandon(adapter: u64) -> Outstanding {
    let (lists, registers_of_lists) = lists::of_adapter(adapter);
    let registers = registers::in_use(adapter);
    Outstanding {
        channels: channel::abandon(adapter),
        lists,
        map_registers: registers.saturating_sub(registers_of_lists),
    }
}

/// Of all adapters.
pub(crate) fn live() -> Outstanding {
    Outstanding {
        channels: channel::live_count(),
        lists: lists::live_count(),
        map_registers: registers::live_count(),
    }
}

/// FL-1: notes that `routine` lets the pages of an MDL go while a device may still write to them.
pub(crate) fn check_unlocked(routine: &str, mdl: u64) {
    if registers::is_mapped(mdl) {
        verifier::undocumented_violation(
            "transfer-memory-released",
            format_args!(
                "FL-1: {routine} of MDL {mdl:#x}, which is mapped for a device and not flushed"
            ),
        );
    }
}
