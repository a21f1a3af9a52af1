//! A remapping unit as Intel's VT-d specification has it, walking tables in somebody's memory.
//!
//! Legacy mode: root table, context tables, second-stage tables of 3 or 4 levels with leaves of 4 KiB,
//! 2 MiB and 1 GiB. [`RemappingUnit`] is the unit with its context cache, IOTLB, invalidation queue and
//! fault recording registers, [`RegisterFile`] the registers by which a driver programs it, and
//! [`PhysicalMemory`] all that it asks of the world. Sections are those of
//! revision 5.10 of the specification. docs/iommu.md says what is there and what is not.
//!
//! ```
//! use std::collections::HashMap;
//!
//! use dmarig_abi::{GuestPhysAddr, Iova, RequesterId};
//! use iommu::vtd::{FaultReason, Invalidation, PhysicalMemory, RemappingUnit, UnitConfig};
//! use iommu::{Access, Translate};
//!
//! /// Memory of a few words; the rest reads as zero.
//! struct Words(HashMap<u64, u64>);
//!
//! impl PhysicalMemory for Words {
//!     fn read_u64(&self, address: GuestPhysAddr) -> Option<u64> {
//!         Some(self.0.get(&address.raw()).copied().unwrap_or(0))
//!     }
//! }
//!
//! let device = RequesterId::try_new(0, 1, 0).expect("a legal number");
//! let mut memory = Words(HashMap::from([
//!     (0x1000, 0x2000 | 1),          // root entry of bus 0: its context table, present
//!     (0x2080, 0x3000 | 1),          // context entry of 00:01.0: its top table, present
//!     (0x2088, 5 << 8 | 1),          // domain 5, 39 bits
//!     (0x3000, 0x4000 | 3),          // the first GiB: a table, read and write
//!     (0x4008, 0x4000_0000 | 1 << 7 | 1), // its second 2 MiB: a leaf, read
//! ]));
//! let root = GuestPhysAddr::new(0x1000);
//! let mut unit = RemappingUnit::try_new(UnitConfig::default(), root)?;
//!
//! let page = unit.over(&memory).translate(device, Iova::new(0x20_1234), 4, Access::Read)?;
//! assert_eq!(page.offset_bytes, 0x4000_1234);
//!
//! // The page is taken away, and nobody has told the unit.
//! memory.0.remove(&0x4008);
//! assert!(unit.over(&memory).translate(device, Iova::new(0x20_0000), 4, Access::Read).is_ok());
//!
//! unit.invalidate(Invalidation::IotlbDomain { domain: 5 })?;
//! assert!(unit.over(&memory).translate(device, Iova::new(0x20_0000), 4, Access::Read).is_err());
//! assert_eq!(unit.take_faults()[0].reason, FaultReason::ReadPermission);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cache;
mod command;
mod config;
mod context_cache;
mod entry;
mod fault_log;
mod invalidation;
mod iotlb;
mod physical_memory;
mod reason;
mod register_file;
pub mod register_layout;
mod unit;
mod walk;

pub use config::{ConfigError, UnitConfig};
pub use entry::{ContextEntry, PageTranslation, TranslationType};
pub use fault_log::{FaultCounters, FaultFate, FaultRecord};
pub use invalidation::{Invalidation, InvalidationError, InvalidationMode, MAX_PENDING};
pub use physical_memory::{GuestPhysical, PhysicalMemory};
pub use reason::{FaultReason, Refusal};
pub use register_file::{RegisterEffect, RegisterFile};
pub use register_layout::window_bytes;
pub use unit::{CacheCounters, FaultRecording, RemappingUnit, UnitOver};
