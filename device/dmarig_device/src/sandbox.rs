//! The sandbox: what the process gives up once all that it needs is open.
//!
//! The peers are hostile (docs/security.md): a guest that breaks out of the device process must not
//! find a way on. [`enter`] is called after the device file is parsed, the sockets are bound and every
//! output is open, and before the first byte of a peer is read. It takes away file access
//! ([`files`], by Landlock, as far as the kernel has it) and system calls ([`calls`], by seccomp).
//! What is open stays usable. There is no way back.

mod calls;
mod files;
mod probe;

use std::path::Path;

use control_api::response::SandboxState;
use landlock::RulesetError;
use thiserror::Error;

pub use probe::{Probe, probe};

/// Why the process cannot be sandboxed.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// Landlock is there and refuses the rules.
    #[error("Landlock\nhelp: --no-sandbox runs without, for trusted guests only")]
    Landlock(#[from] RulesetError),
    /// The kernel takes no filter of system calls, or we have made none that is valid.
    #[error("seccomp\nhelp: --no-sandbox runs without, for trusted guests only")]
    Seccomp(#[from] seccompiler::Error),
}

/// Gives up everything but what is open, and the removal of files in the folders of `sockets`.
///
/// # Errors
/// [`SandboxError`]. A kernel without Landlock is none: the state returned tells of it.
pub fn enter<'a>(
    sockets: impl IntoIterator<Item = &'a Path>,
) -> Result<SandboxState, SandboxError> {
    let landlock = files::restrict(sockets)?;
    calls::restrict()?;
    Ok(SandboxState {
        landlock,
        seccomp: true,
    })
}
