//! The exported routines of ntoskrnl and HAL, as drivers import them.
//!
//! `exports` is the one table from import name to routine. Each routine is one function: a thin
//! `extern "win64"` shell that takes the foreign call, and safe work behind it.

pub mod format;
pub mod objects;
pub mod status;
