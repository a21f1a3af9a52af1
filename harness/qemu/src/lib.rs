//! Everything about QEMU that has nothing to do with DMA: whether KVM serves here, which binary is
//! new enough, the command line, the process, QMP, and the guest's consoles.
//!
//! The harness puts these together; none of them knows a rule, a case or a device register.

pub mod accel;
pub mod binary;
pub mod command_line;
pub mod console;
pub mod listener;
pub mod process;
pub mod qmp;
pub mod stderr;
pub mod tether;

pub use accel::{Accel, AccelChoice, CpuFeature, KvmProbe};
pub use binary::{QemuBinary, Version};
pub use command_line::CommandLine;
pub use console::{ConsoleLine, GuestEvent};
pub use listener::Listener;
pub use process::{ChildProcess, ChildSpec};
pub use qmp::Qmp;
