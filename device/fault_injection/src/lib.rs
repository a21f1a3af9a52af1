//! Scripted misbehavior: which fault strikes where.
//!
//! A rule file becomes a [`FaultPlan`] by [`rule_file::parse`]; an [`Injector`] holds one plan and
//! answers, at the named [`Point`]s of the one code path, whether a [`Rule`] strikes there and with
//! which [`Effect`]. Each decision is a function of the plan's seed, the rule, the device under test, the
//! channel and the number of the hit on that channel: never of time, and never of other channels. What an effect does
//! is the business of whoever asked; this crate knows no device and no socket. `docs/faults.md` tells
//! the rule language.
#![forbid(unsafe_code)]

mod call;
mod census;
mod condition;
mod draw;
mod effect;
mod facts;
mod index;
mod injector;
mod number;
mod pattern;
mod plan;
mod point;
mod rule;
pub mod rule_file;

pub use call::{CallRule, CallSite};
pub use census::{PointCount, PointCounts};
pub use condition::Condition;
pub use effect::{Effect, LinkSpeed};
pub use facts::{AccessDirection, AccessPath, Facts, Purpose, RequestOrigin};
pub use injector::{ChannelStatus, Decision, Firing, Injector, MAX_FIRINGS, RuleStatus};
pub use pattern::Pattern;
pub use plan::{FaultPlan, INITIAL_STATE, MAX_FUNCTIONS, MAX_RULES, StateScope};
pub use point::Point;
pub use rule::{Rule, Trigger};
pub use rule_file::{RuleFile, RuleFileError};
