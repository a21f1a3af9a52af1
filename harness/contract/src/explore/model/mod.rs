//! [`Model`]: what must come of an action, by the documents' rules alone.
//!
//! `object` holds what the model knows of each slot, `verdict` the words for what must come, `predict` and
//! `from_mdl` the rules, `effect` what a carried-out action changes, `answer` what only the guest can tell
//! (frames, addresses, outcomes that the rules leave open).

mod answer;
mod effect;
mod from_mdl;
mod object;
mod predict;
mod verdict;

#[cfg(test)]
mod tests;

pub(super) use object::{Mdl, Object};
pub use object::{Model, Setting};
pub(super) use verdict::{Expect, Verdict};
