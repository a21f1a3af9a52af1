//! The power callbacks of a device's DMA enablers (KD-21): Fill, Enable, SelfManagedIoStart on the way up;
//! SelfManagedIoStop, Disable, Flush on the way down.

use super::dma_enabler;
use super::object::Handle;
use crate::ntoskrnl::driver as call;
use crate::ntoskrnl::status::NtStatus;

// Places in WDF_DMA_ENABLER_CONFIG.
const FILL: usize = 0;
const FLUSH: usize = 1;
const DISABLE: usize = 2;
const ENABLE: usize = 3;
const START: usize = 4;
const STOP: usize = 5;

const NAMES: [&str; 6] = [
    "EvtDmaEnablerFill",
    "EvtDmaEnablerFlush",
    "EvtDmaEnablerDisable",
    "EvtDmaEnablerEnable",
    "EvtDmaEnablerSelfManagedIoStart",
    "EvtDmaEnablerSelfManagedIoStop",
];

/// Takes the enablers of a device to D0, in the order of their creation.
///
/// # Errors
/// The status of the callback that failed; [`down`] undoes.
pub(super) fn up(device: Handle) -> Result<(), NtStatus> {
    for enabler in dma_enabler::of_device(device) {
        for which in [FILL, ENABLE, START] {
            let status = run(enabler, which);
            if !status.is_success() {
                dma_enabler::with(enabler, |record| match which {
                    FILL => record.has_failed[0] = true,
                    ENABLE => record.has_failed[1] = true,
                    _ => {}
                });
                return Err(status);
            }
        }
    }
    Ok(())
}

/// Takes them out of D0; whether every callback succeeded. What was not filled is neither disabled nor flushed, what was
/// not enabled is not flushed.
pub(super) fn down(device: Handle) -> bool {
    let mut is_sound = true;
    for enabler in dma_enabler::of_device(device) {
        let [fill_failed, enable_failed] =
            dma_enabler::with(enabler, |record| record.has_failed).unwrap_or_default();
        is_sound &= run(enabler, STOP).is_success();
        if !fill_failed {
            is_sound &= run(enabler, DISABLE).is_success();
        }
        if !fill_failed && !enable_failed {
            is_sound &= run(enabler, FLUSH).is_success();
        }
    }
    is_sound
}

fn run(enabler: Handle, which: usize) -> NtStatus {
    let routine = dma_enabler::with(enabler, |record| record.callbacks[which]).unwrap_or(0);
    if routine == 0 {
        return crate::ntoskrnl::status::SUCCESS;
    }
    call::event_status(routine, NAMES[which], &[enabler.raw()])
}
