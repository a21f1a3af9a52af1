//! A fault walk: a golden run tells the fault points of a suite, then each is failed once.
//!
//! `point` is what may be failed, `collect` takes the points out of the golden run's events, `queue` says which can
//! share a boot, `job` and `trial` boot for them, `point_log` keeps how each went, `judge` says what the driver made
//! of it and `settle` for which points that is certain; `state` keeps what is known on disk, `telling` tells it in
//! order, and [`Walk`] goes through them all. [`again()`] boots for one that was recorded.

mod again;
mod collect;
mod job;
mod judge;
mod point;
mod point_log;
mod queue;
mod settle;
mod state;
mod telling;
mod trial;
mod walker;

pub use again::again;
pub use collect::Collector;
pub use point::{Hits, Points};
pub use point_log::{PointLog, TrialCase};
pub use state::{WalkError, WalkState};
pub use walker::{Walk, WalkEnd};
