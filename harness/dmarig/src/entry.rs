//! [`run`]: from the program's arguments to its exit code.

use std::ffi::OsString;
use std::io::{self, Write};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command};
use crate::commands;
use crate::exit_code::Exit;
use crate::run_folder;

/// Environment variable with the log filter, such as `debug` or `qemu=trace`.
const LOG_VARIABLE: &str = "DMARIG_LOG";

/// Runs the program and says how it ends. `arguments` begins with the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> Exit {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(exit) = inner_verb(&arguments) {
        return exit;
    }
    start_log();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() {
                Exit::Usage
            } else {
                Exit::Success
            };
        }
    };
    guarded(|| dispatch(cli.command))
}

fn dispatch(command: Command) -> Exit {
    match command {
        Command::Run(arguments) => commands::run::run(&arguments),
        Command::Walk(arguments) => commands::walk::run(&arguments),
        Command::Explore(arguments) => commands::explore::run(&arguments),
        Command::Replay(arguments) => commands::replay::run(&arguments),
        Command::List(arguments) => commands::list::run(&arguments),
        Command::Rules(arguments) => commands::rules::run(&arguments),
        Command::Doctor(arguments) => commands::doctor::run(&arguments),
        Command::Completions { shell } => commands::completions::run(shell),
    }
}

/// A panic is our bug. Its message was printed; whatever was started has been ended on the way up.
fn guarded(work: impl FnOnce() -> Exit) -> Exit {
    // What the work has left half done is never looked at again.
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or(Exit::OurBug)
}

/// The two parts that this program plays for itself in processes of their own; they are no
/// subcommands, so they stand in no help.
fn inner_verb(arguments: &[OsString]) -> Option<Exit> {
    let (verb, rest) = arguments.get(1..)?.split_first()?;
    match (verb.to_str()?, rest) {
        (qemu::tether::VERB, rest) => {
            let error = qemu::tether::run(rest.iter().cloned());
            print_error(&error);
            Some(Exit::EnvironmentMissing)
        }
        (run_folder::JANITOR_VERB, [folder]) => {
            run_folder::tidy_after_eof(io::stdin(), Path::new(folder));
            Some(Exit::Success)
        }
        _ => None,
    }
}

fn start_log() {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new("warn"));
    // A second start in the same process (tests) keeps the first one's subscriber.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .try_init();
}

/// Prints an error and its causes on standard error; the mend stands last, on lines of its own.
pub(crate) fn print_error(error: &dyn std::error::Error) {
    complain(&format!("error: {}", chain(error)));
}

/// Prints a line on standard error. With nobody to read it there is nobody to tell.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// The error and its causes in one text, with the `help:` lines moved to the end.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut said = Vec::new();
    let mut helps = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        let mut lines = text.lines();
        said.extend(lines.next().map(str::to_owned));
        helps.extend(lines.map(str::to_owned));
        next = error.source();
    }
    let mut text = said.join(": ");
    for help in helps {
        text.push('\n');
        text.push_str(&help);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot do it\nhelp: do it otherwise")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn panic_is_our_bug() {
        assert_eq!(guarded(|| panic!("on purpose")), Exit::OurBug);
        assert_eq!(guarded(|| Exit::NothingRan), Exit::NothingRan);
    }

    #[test]
    fn chain_puts_causes_in_line_and_help_last() {
        let error = Outer(std::io::Error::other("disk full"));
        assert_eq!(
            chain(&error),
            "cannot do it: disk full\nhelp: do it otherwise"
        );
    }
}
