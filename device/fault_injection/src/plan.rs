//! [`FaultPlan`]: the rules of a rule file as plain data.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rule::Rule;

/// Most devices under test, which rules tell apart by their numbers from 0 on.
pub const MAX_FUNCTIONS: u16 = 8;
/// Most rules of a plan.
pub const MAX_RULES: usize = 4096;
/// The state in which every plan begins.
pub const INITIAL_STATE: &str = "start";

/// Who has a state of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StateScope {
    /// Each channel, and the function beside them: no channel's faults hang on another's work.
    #[default]
    Channel,
    /// The function alone: what one channel does counts for all, so the order of the channels'
    /// accesses counts, too.
    Function,
}

/// Rules in the order of their precedence, and what they share.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FaultPlan {
    /// The seed of every draw.
    pub seed: u64,
    /// Who has a state.
    pub state_scope: StateScope,
    /// At a hit the first that strikes decides.
    pub rules: Vec<Rule>,
}
