//! Translates (IOVA, length, access) to mapped ranges or a fault; pure, no I/O.
//!
//! [`MappingTable`] holds what the platform announced by DMA_MAP and DMA_UNMAP: a page-granular radix
//! table from IOVA to a place in some backing. It is generic over the backing's handle `B`, so it
//! never sees a file descriptor or a byte of memory; who owns those asks [`MappingTable::translate`]
//! and moves the bytes itself.
#![forbid(unsafe_code)]

pub mod fault;
pub mod mapping;
pub mod permissions;
mod radix;
pub mod run;
pub mod translate;
mod walk;

pub use fault::{Fault, FaultKind};
pub use mapping::{Mapping, MappingError, MappingTable, PAGE_SIZE_BYTES, Removed};
pub use permissions::{Access, Permissions};
pub use run::{Run, Runs};
pub use translate::{Segment, Translation};
