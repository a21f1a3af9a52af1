//! The nt guest: a small NT-compatible kernel that loads Windows driver binaries.
//!
//! A wall runs through the crate: `arch`, `boot::entry` and the few modules that own page tables, port
//! I/O and foreign calls open `unsafe` and stay small; everything else is safe Rust on top of them.
//! What needs no hardware also compiles and is tested on the host; where hardware would be touched the
//! host build (without the feature `kernel`) has an inert twin of the same signature.
//!
//! One CPU, x86-64, q35. CR8 is the one truth of IRQL, because drivers read and write it inline.
//! Order of the parts, lowest first: `console`, `arch`, `memory`, `ke`, `pci` and `vtd`, then what
//! Windows drivers see.
#![cfg_attr(not(test), no_std)]

extern crate alloc;

pub mod acpi;
pub mod arch;
pub mod boot;
pub mod call_faults;
pub mod console;
pub mod hal_dma;
pub mod ke;
pub mod mdl;
pub mod memory;
pub mod ntoskrnl;
pub mod pci;
pub mod pe;
pub mod pnp;
pub mod registry;
pub mod selftest;
pub mod vtd;
pub mod wdf;
