//! `dmarig run`.
use crate::cli::RunArgs;
use crate::exit_code::Exit;

/// Runs.
pub fn run(_arguments: &RunArgs) -> Exit {
    Exit::OurBug
}
