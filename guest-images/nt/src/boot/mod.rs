//! From the PVH entry to the first system thread: what the boot protocol hands over, and the order in
//! which the kernel comes up.

#[cfg(feature = "kernel")]
mod entry;
mod startup;

pub use startup::start;
