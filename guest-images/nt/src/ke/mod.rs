//! The kernel core in Windows' terms: IRQL, spin locks, DPCs, threads, waits, timers, interrupts.
//!
//! Dispatcher objects live in driver memory with Windows' layouts; [`Foreign`] is the checked pointer to
//! one. A routine of a driver is a [`crate::arch::win64::Routine`].

pub mod bugcheck;
mod dispatcher;
pub mod dpc;
pub mod event;
pub mod foreign;
pub mod interrupt;
pub mod irql;
pub mod mutex;
pub mod pool;
mod scheduler;
pub mod semaphore;
mod shared_data;
pub mod spin_lock;
mod startup;
pub mod status;
pub mod thread;
pub mod time;
pub mod timer;
mod timer_queue;
pub mod wait;
mod wait_table;
pub mod work;

pub use foreign::Foreign;
pub use startup::{idle, start, watch_at_idle};
pub use status::NtStatus;
