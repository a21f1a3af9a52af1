//! What a driver has touched of a device's registers.

use serde::{Deserialize, Serialize};

use crate::encoding::hex64;

/// One page of registers with their use; the accesses without behavior come with the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterCoverage {
    /// The registers, in the order of the device; those that each channel has are one.
    pub registers: Vec<RegisterUse>,
    /// Accesses without behavior, by BAR and offset; at most 128.
    pub odd_accesses: Vec<OddAccess>,
    /// Accesses without behavior that are not in the list.
    pub dropped_odd_accesses: u64,
    /// Start of the next page.
    pub next: Option<u32>,
}

/// How often a register was touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterUse {
    /// Name.
    pub name: String,
    /// BAR of the first register of that name.
    pub bar: u8,
    /// Its offset.
    #[serde(with = "hex64")]
    pub offset: u64,
    /// Width in bits.
    pub width: u8,
    /// Whether the driver may read it, write it: `r`, `w` or `rw`.
    pub access: String,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
    /// Named bits.
    pub fields: Vec<FieldUse>,
}

/// How often named bits were touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldUse {
    /// Name.
    pub name: String,
    /// The bits.
    #[serde(with = "hex64")]
    pub mask: u64,
    /// Reads in which a bit was 1.
    pub reads_set: u64,
    /// Writes in which a bit was 1.
    pub writes_set: u64,
}

/// An access without behavior.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OddAccess {
    /// BAR.
    pub bar: u8,
    /// Offset.
    #[serde(with = "hex64")]
    pub offset: u64,
    /// Width in bits.
    pub width: u32,
    /// `read` or `write`.
    pub direction: crate::ledger::AccessDirection,
    /// Why it means nothing.
    pub reason: OddReason,
    /// How often it came.
    pub count: u64,
}

/// Why an access means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OddReason {
    /// There is no register.
    NoRegister,
    /// The register has another width.
    Width,
    /// The register is only written.
    WriteOnly,
    /// The register is only read.
    ReadOnly,
}

impl OddReason {
    /// The reason in words.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::NoRegister => "no register there",
            Self::Width => "the register has another width",
            Self::WriteOnly => "the register is only written",
            Self::ReadOnly => "the register is only read",
        }
    }
}
