//! The guest's debug console: free text, and machine lines that start with `@` and carry one JSON
//! object each.

pub mod event;
pub mod exit;
pub mod lines;
mod reader;
mod tap;

pub use event::{GuestEvent, GuestEventKind};
pub use exit::GuestExit;
pub use reader::{ConsoleLine, ConsoleReader};
pub use tap::{Tap, TappedStream, tap};
