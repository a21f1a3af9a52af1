//! Model-based runs: generated sequences of driver operations against a small reference model.
//!
//! [`generate`] makes a list of [`Action`]s from a seed alone. [`walk`] carries a list out on a
//! [`Rig`](crate::Rig), many actions in one program of the driver, and compares all three views with the
//! [`Model`], which is written from the documents' rules and knows nothing of any guest. [`Shrinker`]
//! makes a failing list short. `content` knows which bytes must be where.

mod action;
mod content;
mod expected_mappings;
mod generate;
mod judge;
mod lower;
mod model;
mod random;
mod shrink;
mod tally;
mod walk;

pub use action::{Action, Bound, Config, Way};
pub use generate::{EPISODE_LENGTH, generate, generate_episode};
pub use judge::Disagreement;
pub use model::{Model, Setting};
pub use shrink::Shrinker;
pub use tally::Tally;
pub use walk::{Progress, walk};
