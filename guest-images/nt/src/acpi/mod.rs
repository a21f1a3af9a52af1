//! ACPI: what the firmware's tables say about PCI's config space (MCFG) and DMA remapping (DMAR).
//!
//! The tables are outside data: each length is checked against its bounds before anything is read by it.

mod error;
mod physical;
mod tables;

pub use error::AcpiError;
pub use physical::{MappedMemory, PhysicalMemory};
pub use tables::{EcamSegment, RemappingUnit, Tables};
