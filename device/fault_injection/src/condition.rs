//! [`Condition`]: the `match` of a rule.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::facts::{AccessDirection, AccessPath, Facts, Purpose, RequestOrigin};
use crate::pattern::Pattern;

/// What an access must be for a rule to see it. What is absent matches everything; what is there
/// matches only accesses that have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Condition {
    /// Who asked for the request: the driver, unless said otherwise.
    pub origin: RequestOrigin,
    /// The number of the device under test, from 0: which device a rule is for, decided when it is
    /// loaded. All of them by default.
    pub function: Option<u16>,
    /// The channel's number.
    pub channel: Option<u8>,
    /// IOVAs of which the access touches at least one; a mask is for its first.
    pub iova: Option<Pattern>,
    /// The access's length in bytes.
    pub length: Option<Pattern>,
    /// Offsets in the region or request of which the access touches at least one; a mask is for its
    /// first.
    pub offset: Option<Pattern>,
    /// The BAR.
    pub bar: Option<u8>,
    /// The value read or written, of accesses of at most 8 bytes.
    pub value: Option<Pattern>,
    /// The direction.
    pub direction: Option<AccessDirection>,
    /// The way to memory.
    pub path: Option<AccessPath>,
    /// What the bytes are for.
    pub purpose: Option<Purpose>,
    /// The vector raised.
    pub vector: Option<u16>,
    /// The request's operation, a number of the ABI's `DMA_OP_*`.
    pub opcode: Option<u16>,
    /// The number of the TLP in its access, from 0.
    pub tlp: Option<Pattern>,
}

impl Condition {
    /// Whether a rule is for this device under test.
    #[must_use]
    pub fn concerns(&self, function: u16) -> bool {
        self.function.is_none_or(|own| own == function)
    }

    /// Whether the access is meant, of a device under test that is.
    #[must_use]
    pub fn matches(&self, facts: &Facts) -> bool {
        self.origin == facts.origin
            && is_same(self.channel, facts.channel)
            && is_touched(self.iova, facts.iova, facts.len_bytes)
            && is_matched(self.length, Some(facts.len_bytes))
            && is_touched(self.offset, facts.offset, facts.len_bytes)
            && is_same(self.bar, facts.bar)
            && is_matched(self.value, facts.value)
            && is_same(self.direction, facts.direction)
            && is_same(self.path, facts.path)
            && is_same(self.purpose, facts.purpose)
            && is_same(self.vector, facts.vector)
            && is_same(self.opcode, facts.opcode)
            && is_matched(self.tlp, facts.tlp.map(u64::from))
    }
}

fn is_same<T: PartialEq>(wanted: Option<T>, seen: Option<T>) -> bool {
    wanted.is_none() || wanted == seen
}

fn is_matched(wanted: Option<Pattern>, seen: Option<u64>) -> bool {
    wanted.is_none_or(|pattern| seen.is_some_and(|number| pattern.matches(number)))
}

fn is_touched(wanted: Option<Pattern>, start: Option<u64>, len_bytes: u64) -> bool {
    wanted.is_none_or(|pattern| start.is_some_and(|start| pattern.touches(start, len_bytes)))
}
