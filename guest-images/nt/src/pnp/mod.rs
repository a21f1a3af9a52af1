//! Plug and play: device stacks for the PCI functions that a driver binds to, requests to them, and the run
//! from load to unload.
//!
//! [`run`] is where the NT side starts; `bus` answers at the bottom of each stack, `hardware` is its hand on the function, `requests` sends from the
//! top, `hot_plug` looks after what comes and goes, [`device`] keeps the records, [`resources`] lays out resource lists.

mod bus;
pub mod device;
mod driver_object;
mod hardware;
mod hot_plug;
mod iommu_faults;
mod later;
mod leaks;
mod manager;
mod requests;
mod reset_interface;
pub mod resources;

pub use manager::run;
