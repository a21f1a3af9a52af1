//! The exported routines of ntoskrnl and HAL, as drivers import them.
//!
//! [`exports`] is the one table from import name to routine. Each routine is one function: a thin
//! `extern "win64"` shell that takes the foreign call, and safe work behind it. Pointers become references
//! in [`shared`] alone, driver code is called by `driver` alone, rules that drivers break go to
//! [`verifier`].

mod c_library;
mod dbg;
pub(crate) mod driver;
mod ex_pool;
pub mod exports;
pub mod format;
mod io_calls;
pub(crate) mod io_device;
mod io_interrupt;
pub(crate) mod io_irp;
pub(crate) mod io_mdl;
pub(crate) mod io_names;
mod io_work_item;
mod ke_execution;
mod ke_objects;
pub(crate) mod kernel_memory;
pub mod loader;
mod missing;
pub(crate) mod mm_mdl;
pub(crate) mod mm_memory;
pub mod objects;
pub(crate) mod objects_by_handle;
pub(crate) mod po;
mod remove_lock;
pub(crate) mod rtl;
mod seh;
pub mod shared;
pub mod status;
mod trace;
pub mod verifier;
mod zw_registry;
