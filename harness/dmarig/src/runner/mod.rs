//! One run, from the start of its processes to the verdict.
//!
//! [`Run`] walks the modes; a mode is one boot, or more where the guest ended under a case. `machine`
//! starts and owns the processes of a boot, `worker` is the thread that runs the cases, `watch` the
//! main thread's state machine that sees everything and decides when the boot is over. `explore` gives
//! boots to a model-based run instead of cases, `walk` to the fault points of a run.

mod boot;
mod coverage;
mod crew;
mod device_faults;
mod ending;
mod explore;
mod farewell;
mod history;
mod journal;
mod machine;
mod pin;
mod proof;
mod recording;
mod run;
mod signals;
mod slots;
mod walk;
mod watch;
mod worker;

pub use explore::{Bundle, BundleError, Campaign, CampaignEnd, Found, Origin, Search};
pub use journal::Journal;
pub use pin::{allowed_cpus, choose_cpu};
pub use recording::{RecordedRun, RecordingError, recording_at};
pub use run::{DescribedDevice, Plan, Run, first_recording, is_log_folder};
pub use signals::Signals;
pub use walk::{Collector, Hits, Points, Walk, WalkEnd, WalkError, WalkState, again};
