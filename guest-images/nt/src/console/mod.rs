//! How the kernel talks to the harness: text and machine lines out by the debug console (port 0xE9),
//! command lines in by COM1.
//!
//! A machine line starts with `@` and holds one JSON object ([`Event`]); no other line starts so, for
//! [`log_text`] defuses that. Nothing here allocates or waits, so all of it may be used at any IRQL and
//! from the panic path.

mod commands;
mod debug_port;
mod event;

pub use commands::{
    CommandHandler, MAX_COMMAND_BYTES, answer, poll_commands, run_waiting, set_command_handler,
};
pub use debug_port::{log, log_text};
pub use event::Event;

/// Writes one line of text to the debug console, with `format!` arguments.
#[macro_export]
macro_rules! log {
    ($($argument:tt)*) => { $crate::console::log(format_args!($($argument)*)) };
}
