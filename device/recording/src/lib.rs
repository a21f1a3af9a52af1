//! What a device under test was told, and what it did: enough to run it again without a guest.
//!
//! [`log`] is every input in its order (accesses, mappings, replies, the bytes of each read of guest
//! memory) as compact binary. [`trace`] is what came of it, one JSON line a record, without anything
//! that differs from run to run; its SHA-256 is the *ledger hash*. [`bundle`] is the folder
//! that holds both. The crate knows no device: `dmarig_device` feeds it.
#![forbid(unsafe_code)]

pub mod bundle;
pub mod log;
pub mod trace;
