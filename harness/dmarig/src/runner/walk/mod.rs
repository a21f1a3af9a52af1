//! A fault walk: a golden run tells the fault points of a suite, then each is failed once in a boot of its own.
//!
//! `point` is what may be failed, `collect` takes the points out of the golden run's events, `trial` boots for one
//! of them, `judge` says what the driver made of it, `state` keeps what is known on disk, and [`Walk`] goes
//! through them all.

mod collect;
mod judge;
mod point;
mod state;
mod trial;
mod walker;

pub use collect::Collector;
pub use point::Points;
pub use state::{WalkError, WalkState};
pub use walker::{Walk, WalkEnd};
