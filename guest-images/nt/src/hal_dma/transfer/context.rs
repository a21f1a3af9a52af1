//! DMA transfer contexts (TC-1): 128 bytes of the driver's, one for each outstanding request.
//!
//! A mark in the bytes says that InitializeDmaTransferContext has been through them; which ones are in use is kept
//! here, where a driver cannot spoil it.

use alloc::collections::BTreeMap;

use crate::arch::guarded::Guarded;
use crate::ntoskrnl::shared::{fill, read_bytes, write_bytes};
use crate::ntoskrnl::verifier;

/// DMA_TRANSFER_CONTEXT_SIZE_V1
const CONTEXT_BYTES: u64 = 128;
/// Xored with the address, so that a copy is no context.
const MARK: u64 = 0x7478_6443_416D_7244;
/// What the rest is filled with: it is no use to a driver.
const FILLING: u8 = 0xC7;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A request with it waits, or holds map registers.
    Outstanding,
    /// As `Outstanding`; CancelMappedTransfer has ended its transfers.
    Stopped,
    /// The next request with it is cancelled (CX-1).
    Cancelled,
}

static STATES: Guarded<BTreeMap<u64, State>> = Guarded::new(BTreeMap::new());

/// How a request that names a context goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// The context is the request's now.
    Taken,
    /// It was cancelled beforehand.
    Cancelled,
    /// It cannot be used; a finding has said why.
    Refused,
}

/// Makes a context of the bytes at `address`; `false` for one in use.
pub(super) fn initialize(address: u64) -> bool {
    let in_use = STATES.with(|states| match states.get(&address) {
        Some(State::Outstanding | State::Stopped) => true,
        Some(State::Cancelled) => {
            states.remove(&address);
            false
        }
        None => false,
    });
    if in_use {
        report_in_use("InitializeDmaTransferContext", address);
        return false;
    }
    fill(address, CONTEXT_BYTES, FILLING);
    write_bytes(address, &mark(address));
    true
}

/// Claims a context for a request.
pub(super) fn claim(routine: &str, address: u64) -> Claim {
    if !is_initialized(routine, address) {
        return Claim::Refused;
    }
    let before = STATES.with(|states| match states.get(&address) {
        Some(State::Cancelled) => states.remove(&address),
        None => states.insert(address, State::Outstanding),
        outstanding => outstanding.copied(),
    });
    match before {
        None => Claim::Taken,
        Some(State::Cancelled) => Claim::Cancelled,
        Some(State::Outstanding | State::Stopped) => {
            report_in_use(routine, address);
            Claim::Refused
        }
    }
}

/// Ends the use of a context.
pub(super) fn release(address: u64) {
    STATES.with(|states| states.remove(&address));
}

/// CX-1: cancels the next request with an idle context. `false` for one in use.
pub(super) fn cancel_next(routine: &str, address: u64) -> bool {
    if !is_initialized(routine, address) {
        return false;
    }
    STATES.with(|states| match states.get(&address) {
        Some(State::Outstanding | State::Stopped) => false,
        Some(State::Cancelled) => true,
        None => {
            states.insert(address, State::Cancelled);
            true
        }
    })
}

/// CX-2: lets no further transfer happen under an outstanding context. `false` for one that is not outstanding.
pub(super) fn stop(routine: &str, address: u64) -> bool {
    is_initialized(routine, address)
        && STATES.with(|states| match states.get_mut(&address) {
            Some(state @ (State::Outstanding | State::Stopped)) => {
                *state = State::Stopped;
                true
            }
            Some(State::Cancelled) | None => false,
        })
}

/// Whether transfers under a context are stopped.
pub(super) fn is_stopped(address: u64) -> bool {
    STATES.with(|states| states.get(&address) == Some(&State::Stopped))
}

fn is_initialized(routine: &str, address: u64) -> bool {
    let is_marked = address != 0 && read_bytes(address, 8) == mark(address);
    if !is_marked {
        verifier::finding(
            "transfer-context-not-initialized",
            format_args!("TC-1: {routine} with {address:#x}, which is no DMA transfer context"),
        );
    }
    is_marked
}

fn report_in_use(routine: &str, address: u64) {
    verifier::finding(
        "transfer-context-in-use",
        format_args!("TC-1: {routine} with context {address:#x}, whose request is outstanding"),
    );
}

fn mark(address: u64) -> [u8; 8] {
    (MARK ^ address).to_le_bytes()
}
