//! The device process: puts the parts together and owns the event loop.
//!
//! [`run`] is the program. [`assemble`] builds a [`Rig`] from the command line, [`event_loop`] drives
//! it; a [`Port`] joins a vfio-user socket with a model: the [`Dut`] (an [`endpoint::Endpoint`] such as
//! the DMA engine, mapping table, guest memory) or the [`ControlFunction`] (mailbox). [`ControlSocket`] carries the
//! harness's questions, [`methods`] answers them, and the [`Ledger`] judges every access. What the
//! process may do at all, once it serves, is what [`sandbox`] leaves it.
#![forbid(unsafe_code)]

pub mod assemble;
mod bar_memory;
mod cli;
mod control_function;
mod control_socket;
mod dut;
mod engine_config;
mod event_loop;
mod exit_code;
mod host_request;
mod iommu_methods;
mod ledger;
mod mailbox;
mod methods;
mod model;
mod pci_front;
mod port;
mod readiness;
mod record;
mod register_methods;
mod replay;
mod rig;
mod sandbox;
mod settle;
mod signals;
mod tick_clock;
mod waiters;

pub use assemble::{run, run_model};
pub use cli::{CommandLine, Options};
pub use control_function::ControlFunction;
pub use control_socket::{ClientId, ControlSocket, SLOW_READER_LIMIT};
pub use device_file::DeviceDescription;
pub use dut::{Divergence, Dut, DutMemory, MessageDma};
pub use ledger::{IovaRange, Ledger};
pub use model::Model;
pub use port::Port;
pub use readiness::Readiness;
pub use record::{RecordError, RecordFolder};
pub use replay::{
    ReplayError, ReplayFolderError, ReplayReport, replay, replay_folder, replay_folder_with,
};
pub use rig::{Event, Next, Rig};
