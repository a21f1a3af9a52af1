//! PCI: enumeration by ECAM, resource assignment, capabilities, MSI-X, MSI, line interrupts.
//!
//! The kernel owns all of it: the firmware (qboot) assigns no BARs. [`initialize`] walks the buses through
//! root ports and gives every BAR an address below 4 GiB; [`reassign`] moves a device as a rebalance does, [`plug`] and
//! [`unplug`] take in and let go what comes and goes in a hot-plug [`Slot`].

mod assign;
mod bar;
mod bus;
mod config;
mod discover;
mod ecam;
mod function;
mod line;
mod msi;
mod msix;
mod reset;
mod service;
mod slot;
mod window;

pub use config::{capability, command};
pub use dmarig_abi::RequesterId;
pub use function::{Bar, BarKind, Function, LineInterrupt, Messages, PciError};
pub use reset::{reset_function, resettable};
pub use service::{
    PciStartError, clear_slot, devices, disable_line, disable_messages, enable_line,
    find_capability, initialize, plug, program_messages, read_config, read_slot, reassign,
    reserve_messages, set_slot_power, slots, unplug, update_command, write_config,
};
pub use slot::{Slot, SlotPower, SlotStatus};

#[cfg(test)]
mod fake;
