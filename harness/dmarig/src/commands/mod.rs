//! The subcommands, a file each. Results go to standard output, errors to standard error.

pub mod completions;
pub mod doctor;
pub mod explore;
pub mod list;
mod prepare;
pub mod replay;
mod replay_recording;
pub mod rules;
pub mod run;
pub mod walk;

use std::io::{self, Write};

use crate::exit_code::Exit;

/// Prints a result. That nobody reads it (a closed pipe) is no failure of ours.
fn print(text: &str, exit: Exit) -> Exit {
    let _ = io::stdout().write_all(text.as_bytes());
    exit
}
