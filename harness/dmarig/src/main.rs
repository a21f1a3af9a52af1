//! The `dmarig` program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    dmarig::run(std::env::args_os()).into()
}
