//! KMDF, the kernel-mode driver framework: what a driver binds to through WDFLDR.SYS.
//!
//! `names` has all 458 functions of the table, `table` those that exist here; any other slot reports its name
//! (`wdf-function-missing`) and gives STATUS_NOT_IMPLEMENTED. `object` keeps every framework object: type,
//! parent, references, contexts; `tree` deletes them. A handle is a number that only `object` understands, so
//! a driver that follows it faults, and a wrong one is bug check 0x10D. Facts: windows-dma-ddi section 4.
//!
//! How to add an object family (`spin_lock.rs`, say):
//!
//! 1. `static KIND: Kind = Kind::new("WDFSPINLOCK")`, with [`object::Kind`]'s hooks for what has to be released:
//!    `on_dispose` before the driver's EvtCleanup, `on_destroy` when the last reference has gone.
//! 2. `static LOCKS: Family<SpinLock> = Family::new()`, the family's own record of each object; take the record out
//!    in `on_destroy`. The closure of [`family::Family::with`] runs with interrupts off: it calls no driver code and
//!    no other guard's owner that waits.
//! 3. Each function is `pub(super) extern "win64" fn create(globals: u64, ...)`, docstring with IRQL and status
//!    codes. In this order: handles by [`object::check`] (bug check 0x10D/5), required pointers by
//!    [`violation::not_null`] (0x10D/4), [`attributes::Attributes::read`] with the [`attributes::Rules`] of the family,
//!    then [`object::create`], the record, and last the handle to the driver's out pointer.
//! 4. Driver callbacks are called by `driver::event` and never inside a guard. What they are called at depends on
//!    [`object::execution_level`] and on the lock of [`lock`] ([`object::synchronization_scope`]).
//! 5. One line for each function in `table`, in order of the index; a test compares name and index.

pub mod attributes;
pub(crate) mod bind;
mod bind_info;
mod collection;
mod common_buffer;
pub mod context;
mod creation;
pub mod device;
mod device_functions;
pub mod device_init;
mod device_init_functions;
pub mod dma_enabler;
mod dma_power;
pub mod dma_profile;
mod dma_transaction;
mod dma_transaction_functions;
mod dma_transfer;
mod dpc;
mod driver;
pub mod family;
mod file_object;
pub mod globals;
mod interrupt;
mod interrupt_functions;
mod io_package;
mod irp;
pub mod lock;
mod memory;
pub mod names;
pub mod object;
mod object_functions;
mod passive;
mod pnp;
mod power;
mod property_functions;
mod queue;
mod queue_functions;
mod registry_key;
mod request;
mod request_buffers;
mod request_functions;
mod resource_list;
mod spin_lock;
mod string;
pub mod table;
mod timer;
pub mod tree;
mod verifier_functions;
pub mod violation;
mod wait_lock;
mod work_item;
