//! Chores of this repository: `cargo xtask --help`.

use clap::{Parser, Subcommand};

/// Chores: build what Cargo alone cannot build.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

/// One chore; each has a file of its own.
#[derive(Subcommand)]
enum Verb {
    /// Write the C header of the test driver from the ABI crate.
    Header(xtask::header::HeaderArgs),
    /// Build the test driver dmarig.sys and print its path.
    Driver(xtask::driver::DriverArgs),
    /// Build the kernel of the nt guest and print the path of the ELF file.
    Nt(xtask::nt::NtArgs),
    /// Look through the nt kernel for accesses below the stack pointer.
    CheckRedzone(xtask::check_redzone::CheckRedzoneArgs),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().verb {
        Verb::Header(args) => xtask::header::run(&args),
        Verb::Driver(args) => xtask::driver::run(&args),
        Verb::Nt(args) => xtask::nt::run(&args),
        Verb::CheckRedzone(args) => xtask::check_redzone::run(&args),
    }
}
