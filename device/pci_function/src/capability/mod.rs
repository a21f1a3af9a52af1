//! Capabilities. Each module defines its registers (`install`), remembers where they are, and
//! reads or changes them by name.

pub(crate) mod aer;
pub(crate) mod extended;
pub(crate) mod link;
mod list;
pub(crate) mod msi;
pub(crate) mod msix;
pub(crate) mod pcie;
pub(crate) mod power;
mod set;
mod vendor;

pub use list::CapabilityError;
pub(crate) use list::CapabilityList;
pub(crate) use set::CapabilitySet;
