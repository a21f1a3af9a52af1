//! `[[register]]`: what stands in the BARs, and how each register behaves by itself.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One register.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// Name, by which actions and reports refer to it; letters, digits, `_`, `-`, `.`.
    pub name: String,
    /// BAR that it stands in.
    #[serde(default)]
    #[schemars(range(max = 5))]
    pub bar: u8,
    /// Offset in bytes, a multiple of its width.
    pub offset: u64,
    /// Width in bits: 8, 16, 32 or 64.
    #[serde(default = "default_width")]
    pub width: u8,
    /// What reads and writes do.
    #[serde(default)]
    pub access: RegisterAccess,
    /// Value after power-on and reset.
    #[serde(default)]
    pub reset: u64,
    /// `rw` alone: the bits that keep what is written; all if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_mask: Option<u64>,
    /// `self-clearing` alone: microseconds until what was written is gone.
    #[serde(default)]
    pub clear_after_us: u32,
    /// `counter` alone: what is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// Accesses to a part of the register are in order, too.
    #[serde(default)]
    pub partial: bool,
    /// Named groups of bits, for the report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<Field>,
}

/// Bits of a register that have a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// Name.
    pub name: String,
    /// Its bits.
    pub mask: u64,
}

/// What reads and writes of a register do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RegisterAccess {
    /// Reads its reset value always.
    Const,
    /// Reads what was written.
    #[default]
    Rw,
    /// Read-only for the driver; actions change it.
    Ro,
    /// Write-only: reads zero.
    Wo,
    /// Actions set bits, the driver clears those to which it writes 1.
    W1c,
    /// Bits that were written read 1 until they clear themselves.
    SelfClearing,
    /// Read-only; counts.
    Counter,
}

impl RegisterAccess {
    /// Whether the driver may read.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        !matches!(self, Self::Wo)
    }

    /// Whether the driver may write.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        !matches!(self, Self::Const | Self::Ro | Self::Counter)
    }
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Counts {
    /// Reads of itself.
    Reads,
    /// Transfers that have ended.
    Transfers,
    /// Bytes that transfers have moved.
    Bytes,
    /// Microseconds since the device process began to serve.
    Microseconds,
}

impl Register {
    /// Width in bytes.
    #[must_use]
    pub const fn width_bytes(&self) -> u64 {
        self.width as u64 / 8
    }

    /// All bits that the register has.
    #[must_use]
    pub const fn all_bits(&self) -> u64 {
        match self.width {
            0 => 0,
            width if width >= 64 => u64::MAX,
            width => (1 << width) - 1,
        }
    }
}

const fn default_width() -> u8 {
    32
}
