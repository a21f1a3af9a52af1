//! A device as its file describes it: registers, and what their writes set off.
//!
//! [`DescribedBoard`] interprets the sections `[[register]]`, `[[action]]` and `[[ring]]` of a checked
//! device file. Names are resolved once, into numbers ([`layout`]); values change by [`values`];
//! delays are [`timers`]; a ring is a small state machine of its own ([`ring`]). DMA is the board's: both
//! paths, ledger and sabotage as the engine has them, and no status, cause or vector before all writes
//! of its transfer are answered.
#![forbid(unsafe_code)]

mod board;
mod effects;
mod layout;
mod ring;
mod timers;
mod values;

pub use crate::board::DescribedBoard;
