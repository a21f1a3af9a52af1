//! Failing a driver's calls one by one: which call sites there are, and the documented failure at the chosen one.
//!
//! With `call-faults=on` each import, DMA operation and framework function that the documents allow to fail is bound to
//! a thunk, which notes the call site (routine and return address) and goes on to the routine, or lets the call fail in
//! its place. Without it drivers are bound to the routines themselves, and nothing here runs.

mod fallible;
mod order;
mod phase;
mod sites;
mod thunk;

pub use order::{Order, OrderError};
pub(crate) use phase::in_phase;
pub use sites::arm;
pub(crate) use sites::{disarm, is_on, report_hits, switch_on};
pub(crate) use thunk::{bind_export, bind_function, bind_member};
