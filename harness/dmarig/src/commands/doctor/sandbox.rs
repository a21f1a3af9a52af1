//! Whether the device process can lock itself in here: it is started, enters its sandbox, and tries
//! to open a file, which must be denied.

use std::env;
use std::path::Path;
use std::process::Command;

use control_api::response::{LandlockState, SandboxState};

use super::{Check, State};
use crate::run_folder::RunFolder;

const NAME: &str = "sandbox";
/// Exit code of `dmarig-device` when what it tried was denied.
const PROBE_DENIED: i32 = 4;

/// Starts `device`, as built or named, and tells how far it was locked in.
pub fn check(device: &Path) -> Check {
    match probe(device) {
        Ok(state) => judge(state),
        Err(reason) => Check::new(NAME, State::Missing, reason),
    }
}

fn probe(device: &Path) -> Result<SandboxState, String> {
    let program = env::current_exe().map_err(|error| format!("this program's path: {error}"))?;
    let folder = RunFolder::create(&program).map_err(|error| crate::entry::chain(&error))?;
    let output = Command::new(device)
        .arg("--socket")
        .arg(folder.join("probe"))
        .args(["--sandbox-probe", "open-file"])
        .output()
        .map_err(|error| format!("starting {}: {error}", device.display()))?;
    if output.status.code() != Some(PROBE_DENIED) {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(format!(
            "the device process could open a file, or did not start: {}\n{}",
            output.status,
            text.trim_end()
        ));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("{} is of another version: {error}", device.display()))
}

fn judge(state: SandboxState) -> Check {
    let landlock = match state.landlock {
        LandlockState::Full => "Landlock",
        LandlockState::Partial => "Landlock in part",
        LandlockState::Off => {
            let detail = "seccomp; the kernel has no Landlock (Linux 5.13, lsm=landlock)";
            return Check::new(NAME, State::Lacking, detail.into());
        }
    };
    Check::good(
        NAME,
        format!("seccomp and {landlock}; opening a file was denied"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn program_that_is_not_locked_in_is_missing_its_sandbox() {
        let check = check(Path::new("/bin/true"));
        assert_eq!(check.state, State::Missing);
        assert!(check.detail.contains("could open a file"), "{check:?}");
    }

    #[test]
    fn kernel_without_landlock_lacks_something_and_runs() {
        let state = |landlock| {
            let seccomp = true;
            judge(SandboxState { landlock, seccomp }).state
        };
        assert_eq!(state(LandlockState::Off), State::Lacking);
        assert_eq!(state(LandlockState::Partial), State::Good);
    }
}
