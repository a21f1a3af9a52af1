//! `dmarig completions SHELL`.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit_code::Exit;

/// Prints the shell's completion script.
pub fn run(shell: Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "dmarig", &mut script);
    super::print(&String::from_utf8_lossy(&script), Exit::Success)
}
