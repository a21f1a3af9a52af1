//! What a fault walk tells: each point with what became of it, and the sums.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Mode;

/// How often a point of fault injection was passed on a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PassedPoint {
    /// The point, as rule files call it.
    pub point: String,
    /// The channel; null for what belongs to none.
    pub channel: Option<u32>,
    /// How often.
    pub hits: u64,
}

/// A fault point that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WalkResult {
    /// Its number in the walk, from 1.
    pub number: usize,
    /// `import`, `dma-operation`, `framework` or `device`.
    pub kind: String,
    /// The routine that failed, or the effect and the point of the device.
    pub name: String,
    /// The call site (`module+0xrva`), or the channel.
    pub place: String,
    /// The call site as `function+0xoffset`, where the driver's symbols are there.
    pub symbol: Option<String>,
    /// What was asked of the driver when it was there first (`AddDevice`, ...), or `running`.
    pub phase: String,
    /// The case that came there first.
    pub case: Option<String>,
    /// The profile of the boot.
    pub profile: String,
    /// `on` or `off`.
    pub remapping: Mode,
    /// What became of it.
    pub verdict: WalkVerdict,
    /// The same in words.
    pub detail: String,
    /// How long the boot took.
    pub duration_ms: u64,
    /// The rule file that does it again, if it went badly.
    pub rule_file: Option<String>,
}

/// What a driver made of a fault.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum WalkVerdict {
    /// It reported the failure or went on, works afterwards, and left nothing behind.
    Survived,
    /// An oracle disagreed, or the guest found something.
    Detected,
    /// The driver does not work afterwards.
    Unusable,
    /// Guest or driver did not answer any more.
    Hung,
    /// The guest stopped with a bug check, or failed.
    BugChecked,
    /// Something was still allocated when the driver had been unloaded.
    Leaked,
    /// The point was not reached again, so nothing is known.
    Missed,
    /// A part of ours died or was missing.
    Broken,
}

impl WalkResult {
    /// Whether it speaks against the driver. A fault of the device that an oracle sees need not: nobody can mend
    /// data that the device has spoiled, and it did not go unnoticed.
    #[must_use]
    pub fn is_bad(&self) -> bool {
        match self.verdict {
            WalkVerdict::Survived => false,
            WalkVerdict::Detected => self.kind != "device",
            _ => true,
        }
    }
}

impl WalkVerdict {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 8] = [
        Self::Survived,
        Self::Detected,
        Self::Unusable,
        Self::Hung,
        Self::BugChecked,
        Self::Leaked,
        Self::Missed,
        Self::Broken,
    ];

    /// As reports spell it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Survived => "survived",
            Self::Detected => "detected",
            Self::Unusable => "unusable",
            Self::Hung => "hung",
            Self::BugChecked => "bug-checked",
            Self::Leaked => "leaked",
            Self::Missed => "missed",
            Self::Broken => "broken",
        }
    }
}

/// A count for each verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct WalkSums {
    /// Points of the walk.
    pub n_points: usize,
    /// Points with each verdict, those without any left out.
    pub verdicts: std::collections::BTreeMap<String, usize>,
    /// Points that were not tried: beyond the limit or the time, or after an interruption.
    pub not_tried: usize,
}
