//! The words of a rule file, before they are checked against each other.

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::condition::Condition;
use crate::effect::Effect;
use crate::number::Number;
use crate::plan::StateScope;
use crate::point::Point;

/// A rule file of dmarig: which faults the device under test has.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct File {
    /// The seed of rules with a probability; 0 by default.
    pub seed: Option<Number>,
    /// Whether each channel has a state of its own.
    pub state_scope: StateScope,
    /// The rules. At a hit the first that strikes decides.
    #[schemars(with = "Vec<RuleForm>")]
    pub rule: Vec<Spanned<RuleForm>>,
    /// Calls of the driver that fail; the guest `nt` does it.
    #[schemars(with = "Vec<CallForm>")]
    pub call: Vec<Spanned<CallForm>>,
}

/// A call of the driver that fails, once.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Call")]
pub(super) struct CallForm {
    /// Its name in reports, unlike that of every other rule.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// The routine: an import, a member of DMA_OPERATIONS or a function of the framework.
    #[schemars(with = "String")]
    pub routine: Spanned<String>,
    /// The call site, such as `dmarig.sys+0x1a2b`: the return address in the driver's image. Any by default.
    #[schemars(with = "Option<String>")]
    pub location: Option<Spanned<String>>,
    /// Which of the calls there fails, from 1; 1 by default.
    #[schemars(with = "Option<u64>", range(min = 1))]
    pub nth: Option<Spanned<i64>>,
    /// Whether a run is good in which it never struck; false by default.
    #[serde(default)]
    pub optional: bool,
}

/// One rule.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(rename = "Rule")]
pub(super) struct RuleForm {
    /// Its name in reports, unlike that of every other rule.
    #[schemars(with = "String")]
    pub name: Spanned<String>,
    /// The point at which it looks.
    pub event: Point,
    /// Which accesses at that point are its hits; all of them by default.
    #[serde(rename = "match")]
    #[schemars(with = "Option<Condition>")]
    pub condition: Option<Spanned<Condition>>,
    /// The first hit on a channel that strikes, from 1; 1 by default.
    #[schemars(with = "Option<u64>", range(min = 1))]
    pub nth: Option<Spanned<i64>>,
    /// From there on every so many hits strike; 1 by default.
    #[schemars(with = "Option<u64>", range(min = 1))]
    pub interval: Option<Spanned<i64>>,
    /// How many times it strikes on a channel; without end by default.
    #[schemars(with = "Option<u64>", range(min = 1))]
    pub times: Option<Spanned<i64>>,
    /// How likely a hit strikes, above 0 and at most 1; 1 by default.
    #[schemars(with = "Option<f64>", range(min = 0.0, max = 1.0))]
    pub probability: Option<Spanned<f64>>,
    /// The state in which it counts hits; in each by default. A plan begins in `start`.
    #[schemars(with = "Option<String>")]
    pub state: Option<Spanned<String>>,
    /// The state that follows a strike.
    #[schemars(with = "Option<String>")]
    pub new_state: Option<Spanned<String>>,
    /// Whether a run is good in which it never struck; false by default.
    #[serde(default)]
    pub optional: bool,
    /// What happens.
    #[schemars(with = "Effect")]
    pub effect: Spanned<Effect>,
}
