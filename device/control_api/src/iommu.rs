//! What a remapping unit of the DUT's own is told, and what it tells.

use std::num::NonZeroU32;

use dmarig_abi::{Iova, RequesterId};
use serde::{Deserialize, Serialize};

use crate::encoding::{hex64, iova, requester_id};

/// What the unit can do; docs/iommu.md has the details. What is left out is as QEMU's `intel-iommu` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct IommuSettings {
    /// Bits of a guest physical address, 36 to 52.
    pub host_address_bits: u8,
    /// Bits of an IOVA, 30 to 48.
    pub guest_address_bits: u8,
    /// Entries of the context cache: 0, or a power of two.
    pub context_entries: usize,
    /// Entries of the IOTLB: 0, or a power of two.
    pub iotlb_entries: usize,
    /// When an invalidation takes effect.
    pub invalidation: IommuInvalidation,
    /// Fault recording registers, 1 to 256.
    pub fault_records: usize,
    /// Whether further faults of a requester are dropped while one of its records is pending.
    pub compress_faults: bool,
}

impl Default for IommuSettings {
    fn default() -> Self {
        Self {
            host_address_bits: 48,
            guest_address_bits: 48,
            context_entries: 64,
            iotlb_entries: 1024,
            invalidation: IommuInvalidation::Immediate,
            fault_records: 16,
            compress_faults: false,
        }
    }
}

/// When an invalidation takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub enum IommuInvalidation {
    /// When it is ordered.
    Immediate,
    /// At the next `iommu.wait`, or so many translations later.
    Deferred {
        /// Null: at the wait only.
        #[serde(default)]
        ticks: Option<NonZeroU32>,
    },
}

/// What to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum IommuOrder {
    /// All context entries.
    ContextGlobal,
    /// The context entries of a domain.
    ContextDomain {
        /// The domain.
        domain: u16,
    },
    /// The context entries of a function and its neighbors.
    ContextDevice {
        /// The function.
        #[serde(with = "requester_id")]
        requester: RequesterId,
        /// How many bits of the function number do not count, 0 to 3.
        masked_bits: u8,
    },
    /// All pages.
    IotlbGlobal,
    /// The pages of a domain.
    IotlbDomain {
        /// The domain.
        domain: u16,
    },
    /// Some pages of a domain.
    IotlbPages {
        /// The domain.
        domain: u16,
        /// The first page.
        #[serde(with = "iova")]
        iova: Iova,
        /// There are 2^`address_mask` pages of 4 KiB.
        address_mask: u8,
    },
}

/// One fault record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IommuFault {
    /// Who asked.
    #[serde(with = "requester_id")]
    pub requester: RequesterId,
    /// The page that was refused.
    #[serde(with = "iova")]
    pub iova: Iova,
    /// Whether it was to be written.
    pub write: bool,
    /// The fault reason's code (VT-d specification, section 7.1.3).
    #[serde(with = "hex64")]
    pub reason: u64,
    /// The reason in words.
    pub text: String,
    /// The domain, where there was a valid context entry.
    pub domain: Option<u16>,
}
