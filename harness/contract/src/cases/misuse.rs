//! Misuse: what Driver Verifier stops, what only nt stops, and what goes on without a verifier.

mod buffers;
mod mdls;
mod silent;

use crate::case::Case;
use crate::profile::{Profile, Stop};

pub(super) const LISTS: &[&[Case]] = &[buffers::CASES, mdls::CASES, silent::CASES];

/// Without the verifier misuse ends in a status or in silence, as on retail Windows.
static VERIFIER_OFF: Profile = Profile {
    name: "verifier-off",
    verifier: false,
    ..Profile::DEFAULT
};

/// DRIVER_VERIFIER_DMA_VIOLATION with this first parameter.
const fn dma_violation(parameter_1: u64) -> Stop {
    Stop::BugCheck {
        code: 0xe6,
        parameter_1,
    }
}

/// DRIVER_VERIFIER_DETECTED_VIOLATION with this first parameter.
const fn detected_violation(parameter_1: u64) -> Stop {
    Stop::BugCheck {
        code: 0xc4,
        parameter_1,
    }
}
