//! [`Pattern`]: which numbers a rule matches: one, a range, a value under a mask.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::number::{Number, NumberVisitor};

/// Numbers from `min` to `max`, both included, that are `value` under `mask`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The smallest.
    pub min: u64,
    /// The largest.
    pub max: u64,
    /// The bits that are compared; none by default.
    pub mask: u64,
    /// What they are.
    pub value: u64,
}

impl Pattern {
    /// Matches `number` alone.
    #[must_use]
    pub const fn exactly(number: u64) -> Self {
        Self::between(number, number)
    }

    /// Matches from `min` to `max`, both included.
    #[must_use]
    pub const fn between(min: u64, max: u64) -> Self {
        Self {
            min,
            max,
            mask: 0,
            value: 0,
        }
    }

    /// Whether `number` is meant.
    #[must_use]
    pub const fn matches(&self, number: u64) -> bool {
        self.min <= number && number <= self.max && number & self.mask == self.value
    }

    /// Whether the range of `len_bytes` from `start` on touches the pattern's; the mask is for `start`.
    #[must_use]
    pub const fn touches(&self, start: u64, len_bytes: u64) -> bool {
        let last = start.saturating_add(len_bytes.saturating_sub(1));
        start <= self.max && last >= self.min && start & self.mask == self.value
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PatternVisitor)
    }
}

impl JsonSchema for Pattern {
    fn schema_name() -> Cow<'static, str> {
        "Pattern".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let number = generator.subschema_for::<Number>();
        let form = generator.subschema_for::<PatternForm>();
        json_schema!({
            "description": "one number; or a range, or a value under a mask, or both",
            "anyOf": [number, form]
        })
    }
}

/// A pattern as a table.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PatternForm {
    /// The smallest number that matches.
    min: Option<Number>,
    /// The largest number that matches.
    max: Option<Number>,
    /// The bits that are compared with `value`.
    mask: Option<Number>,
    /// What the bits of `mask` must be.
    value: Option<Number>,
}

struct PatternVisitor;

impl<'de> Visitor<'de> for PatternVisitor {
    type Value = Pattern;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, or a table of `min`, `max`, `mask`, `value`")
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Pattern, E> {
        NumberVisitor.visit_i64(value).map(Pattern::exactly)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Pattern, E> {
        NumberVisitor.visit_str(text).map(Pattern::exactly)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Pattern, A::Error> {
        let form = PatternForm::deserialize(MapAccessDeserializer::new(map))?;
        let number = |number: Option<Number>, default| number.map_or(default, |number| number.0);
        let value = number(form.value, 0);
        let pattern = Pattern {
            min: number(form.min, 0),
            max: number(form.max, u64::MAX),
            // A value without a mask is compared whole.
            mask: number(form.mask, if form.value.is_some() { u64::MAX } else { 0 }),
            value,
        };
        if pattern.min > pattern.max {
            return Err(A::Error::custom("`min` is above `max`, so nothing matches"));
        }
        if pattern.value & !pattern.mask != 0 {
            return Err(A::Error::custom(
                "`value` has bits outside `mask`, so nothing matches",
            ));
        }
        Ok(pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn range_touches_what_shares_a_byte() {
        let page = Pattern::between(0x1000, 0x1fff);
        for (start, len_bytes, expected) in [
            (0xfff, 1, false),
            (0xfff, 2, true),
            (0x1fff, 1, true),
            (0x2000, 1, false),
            (0, u64::MAX, true),
            (u64::MAX, 8, false),
        ] {
            assert_eq!(page.touches(start, len_bytes), expected, "{start:#x}");
        }
    }

    #[test]
    fn mask_compares_its_bits_alone() {
        let aligned = Pattern {
            mask: 0xfff,
            ..Pattern::between(0, u64::MAX)
        };
        assert!(aligned.matches(0x5000));
        assert!(!aligned.matches(0x5001));
    }
}
