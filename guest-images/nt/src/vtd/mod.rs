//! The VT-d driver: one translation domain per device, page-selective invalidation, faults as data.
//!
//! Legacy mode with second-level tables. Translation is on from the first moment, with nothing attached: a
//! request of a function without a [`Domain`] faults.

mod fault;
mod invalidate;
mod registers;
mod service;
mod tables;
mod types;
mod unit;

pub use dmarig_abi::{Iova, RequesterId};
pub use service::{Domain, fault_count, faults, initialize, is_enabled, poll, set_fault_handler};
pub use types::{DomainError, Fault, Permissions, VtdError};
