//! What is checked of a driver's arguments before anything happens.

use alloc::vec::Vec;

use super::plan::PlanRules;
use super::range::{self, Piece, RangeError};
use super::settings;
use crate::hal_dma::adapter::{Adapter, violation};
use crate::hal_dma::operations::snapshot;
use crate::log;
use crate::mdl::Mdl;
use crate::memory::{self, Pfn};
use crate::ntoskrnl::shared::optional;
use crate::ntoskrnl::status::{self, NtStatus};
use crate::ntoskrnl::verifier;
use crate::vtd;

/// The bytes that a call names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes {
    /// The MDL, or the head of the chain.
    pub(super) mdl: u64,
    /// Offset of the first byte.
    pub(super) offset: u64,
    pub(super) len: u64,
    /// Whether the MDLs behind the first count.
    pub(super) is_chain: bool,
}

/// What makes elements of an adapter's transfers.
pub(super) fn rules_of(adapter: &Adapter) -> PlanRules {
    PlanRules {
        bounce: settings::bounce(),
        scatter_gather: adapter.settings.scatter_gather,
        remapping: vtd::is_enabled(),
        reach: adapter.settings.bounds,
    }
}

/// SG-2: what a CurrentVa means. It is an index into the MDL, whether anything is mapped there or not.
pub(super) fn offset_of(mdl: u64, current_va: u64) -> u64 {
    let start = optional::<Mdl>(mdl).map_or(0, Mdl::virtual_address);
    current_va.wrapping_sub(start)
}

/// The pieces that a call names, or the status with which it fails. Documented misuse: 0xE6/0x0E (not locked), 0x1B
/// (outside the MDL), 0x21 (no byte), 0x24 (the MDL is too short).
pub(super) fn pieces(routine: &str, bytes: Bytes) -> Result<Vec<Piece>, NtStatus> {
    let Some(mut chain) = snapshot(bytes.mdl) else {
        return Err(status::INSUFFICIENT_RESOURCES);
    };
    if !bytes.is_chain {
        chain.truncate(1);
    }
    let is_ram = |pfn| memory::is_ram(Pfn::new(pfn));
    range::pieces(&chain, bytes.offset, bytes.len, is_ram)
        .map_err(|error| report(routine, bytes, error))
}

fn report(routine: &str, bytes: Bytes, error: RangeError) -> NtStatus {
    let Bytes {
        mdl, offset, len, ..
    } = bytes;
    match error {
        RangeError::Empty => {
            violation(
                "transfer-of-no-bytes",
                format_args!("{routine} with length 0 on MDL {mdl:#x}"),
                [0x21, mdl, 0, 0],
            );
            status::INVALID_PARAMETER
        }
        RangeError::Outside => {
            violation(
                "transfer-outside-mdl",
                format_args!("{routine} at offset {offset:#x}, which is not in MDL {mdl:#x}"),
                [0x1B, mdl, offset, 0],
            );
            status::INVALID_PARAMETER
        }
        RangeError::TooShort(missing) => {
            violation(
                "transfer-longer-than-mdl",
                format_args!(
                    "{routine}: {len:#x} bytes at offset {offset:#x}, of which MDL {mdl:#x} lacks {missing:#x}"
                ),
                [0x24, missing, mdl, 0],
            );
            status::BUFFER_TOO_SMALL
        }
        RangeError::NotLocked(idx) => {
            violation(
                "transfer-mdl-not-locked",
                format_args!("{routine}: MDL {idx} of the chain at {mdl:#x} is not locked"),
                [0x0E, mdl, 0, 0],
            );
            status::INVALID_PARAMETER
        }
        RangeError::NotRam(pfn) => {
            verifier::finding(
                "transfer-page-is-no-ram",
                format_args!("{routine}: page frame {pfn:#x} of MDL {mdl:#x} is no RAM"),
            );
            status::INVALID_PARAMETER
        }
        RangeError::NoMemory => {
            log!("{routine}: no memory for {len:#x} bytes' list of pages");
            status::INSUFFICIENT_RESOURCES
        }
    }
}
