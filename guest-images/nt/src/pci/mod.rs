//! PCI: enumeration by ECAM, resource assignment, capabilities, MSI-X, line interrupts.
//!
//! The kernel owns all of it: the firmware (qboot) assigns no BARs. [`initialize`] walks the buses through
//! root ports and gives every BAR an address below 4 GiB; [`reassign`] moves a device as a rebalance does.

mod assign;
mod bar;
mod bus;
mod config;
mod discover;
mod ecam;
mod function;
mod line;
mod msix;
mod service;
mod window;

pub use config::{capability, command};
pub use dmarig_abi::RequesterId;
pub use function::{Bar, BarKind, Function, LineInterrupt, Messages, PciError};
pub use service::{
    PciStartError, devices, disable_line, disable_msix, enable_line, find_capability, initialize,
    program_msix, read_config, reassign, reserve_msix, update_command, write_config,
};

#[cfg(test)]
mod fake;
