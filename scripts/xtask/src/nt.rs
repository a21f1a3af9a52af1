//! `cargo xtask nt`: builds the kernel of the nt guest, a freestanding ELF for QEMU's PVH loader.
//!
//! It is built alone, in a target folder of its own: the flags below would break ordinary programs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use crate::paths;

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Flags of every crate of the kernel, the linker script's aside.
///
/// No red zone: interrupts run on the stack they find. `rust-lld` comes with the toolchain.
const RUST_FLAGS: [&str; 8] = [
    "-Crelocation-model=static",
    "-Ccode-model=kernel",
    "-Cno-redzone=yes",
    "-Cforce-unwind-tables=no",
    "-Clinker=rust-lld",
    "-Clinker-flavor=ld.lld",
    "-Clink-arg=--gc-sections",
    "-Clink-arg=-static",
];

/// Which cargo profile the kernel is built with.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum Profile {
    /// Quick to build, with overflow checks.
    Dev,
    /// What the harness boots.
    #[default]
    Release,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

/// Arguments of `cargo xtask nt`.
#[derive(Args, Debug, Default)]
pub struct NtArgs {
    /// Cargo profile of the kernel.
    #[arg(long, value_enum, default_value_t)]
    pub profile: Profile,
}

/// Builds the kernel into the folder of guest images and prints its path.
///
/// # Errors
/// As [`build`].
pub fn run(args: &NtArgs) -> Result<()> {
    println!("{}", build(args.profile)?.display());
    Ok(())
}

/// Builds the kernel and gives the path of `nt-kernel.elf`.
///
/// # Errors
/// Cargo cannot be run, the build fails, or the result cannot be copied to its place.
pub fn build(profile: Profile) -> Result<PathBuf> {
    let root = paths::repository();
    let guest_dir = paths::guest_output();
    let linker_script = root.join("guest-images/nt/link.ld");
    let mut flags = RUST_FLAGS.map(String::from).to_vec();
    flags.push(format!("-Clink-arg=-T{}", linker_script.display()));

    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(&root)
        .args(["build", "--package", "nt", "--bin", "nt-kernel"])
        .args(["--features", "kernel", "--target", TARGET])
        .args(["--profile", profile.name()])
        .env("CARGO_TARGET_DIR", &guest_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"))
        .env("CARGO_PROFILE_DEV_PANIC", "abort")
        .env("CARGO_PROFILE_RELEASE_PANIC", "abort")
        .env_remove("RUSTFLAGS")
        .status()
        .context("cannot run cargo")?;
    if !status.success() {
        bail!("the build of the nt kernel failed ({status})");
    }

    let built = guest_dir
        .join(TARGET)
        .join(profile.folder())
        .join("nt-kernel");
    let elf = guest_dir.join("nt-kernel.elf");
    fs::copy(&built, &elf)
        .with_context(|| format!("cannot copy {} to {}", built.display(), elf.display()))?;
    Ok(elf)
}
