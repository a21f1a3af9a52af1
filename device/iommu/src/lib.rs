//! Translates (requester, IOVA, length, access) to mapped ranges or a fault; pure, no I/O.
//!
//! [`Translate`] is the one question, and there are two that answer it:
//!
//! - [`MappingTable`] holds what the platform announced by DMA_MAP and DMA_UNMAP: a page-granular radix
//!   table from IOVA to a place in some backing. It is generic over the backing's handle `B`, so it
//!   never sees a file descriptor or a byte of memory; who owns those asks and moves the bytes.
//! - [`vtd::RemappingUnit`] walks the tables of Intel's VT-d in memory that it is given to read, with
//!   IOTLB, invalidation and fault records.
//!
//! ```
//! use dmarig_abi::{Iova, RequesterId};
//! use iommu::{Access, FaultKind, Mapping, MappingTable, Permissions, Translate};
//!
//! let mut table = MappingTable::new();
//! let mapping = Mapping {
//!     iova: Iova::new(0x1_0000_0000),
//!     len_bytes: 0x2000,
//!     backing: "ram",
//!     offset_bytes: 0x5000,
//!     permissions: Permissions::Read,
//! };
//! table.map(&mapping, |_| ())?;
//!
//! let device = RequesterId::try_new(1, 0, 0).expect("a legal number");
//! let mut pieces = table.segments(device, Iova::new(0x1_0000_1f00), 0x200, Access::Read);
//! let piece = pieces.next().expect("an access has a piece")?;
//! assert_eq!((piece.backing, piece.offset_bytes, piece.len_bytes), ("ram", 0x6f00, 0x100));
//! let fault = pieces.next().expect("the rest").expect_err("nothing is mapped there");
//! assert_eq!((fault.kind, fault.iova), (FaultKind::Unmapped, Iova::new(0x1_0000_2000)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

pub mod fault;
mod look_up;
pub mod mapping;
pub mod permissions;
mod radix;
pub mod run;
pub mod translate;
pub mod vtd;
mod walk;

pub use fault::{Fault, FaultKind};
pub use mapping::{Mapping, MappingError, MappingTable, PAGE_SIZE_BYTES, Removed};
pub use permissions::{Access, Permissions};
pub use run::{Run, Runs};
pub use translate::{Segment, Segments, Translate};
