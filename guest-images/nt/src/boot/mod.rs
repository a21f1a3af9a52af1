//! From the PVH entry to the first system thread: what the boot protocol hands over, and the order in
//! which the kernel comes up.

mod archive;
mod command_line;
#[cfg(feature = "kernel")]
pub mod entry;
mod start_info;
mod startup;

pub use archive::{Archive, ArchiveError, File};
pub use command_line::{Bounce, BusAnswer, ExecutionCallback, OptionError, Options, Switch};
pub use start_info::{StartInfo, StartInfoError};
pub use startup::{BootInfo, info, start};
