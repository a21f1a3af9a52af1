//! Files and the network by Landlock: nothing can be opened, made, connected to or signalled; files
//! can be removed in the sockets' folders alone, which is how our sockets go on the way out.

use std::path::Path;

use control_api::response::LandlockState;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// The newest set of rights that was tested. An older kernel enforces what it knows of it.
const RIGHTS: ABI = ABI::V7;

/// Restricts this thread, and those it starts, as far as the kernel can.
///
/// # Errors
/// If Landlock is there and refuses the rules.
pub fn restrict<'a>(
    sockets: impl IntoIterator<Item = &'a Path>,
) -> Result<LandlockState, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(RIGHTS))?
        .handle_access(AccessNet::from_all(RIGHTS))?
        .scope(Scope::from_all(RIGHTS))?
        .create()?;
    for socket in sockets {
        // A folder that cannot be opened has no rule: its socket stays behind, and nothing else.
        if let Ok(folder) = PathFd::new(folder_of(socket)) {
            rules = rules.add_rule(PathBeneath::new(folder, AccessFs::RemoveFile))?;
        }
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => LandlockState::Full,
        RulesetStatus::PartiallyEnforced => LandlockState::Partial,
        RulesetStatus::NotEnforced => LandlockState::Off,
    })
}

fn folder_of(socket: &Path) -> &Path {
    match socket.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_without_folder_lies_in_the_working_directory() {
        for (socket, folder) in [
            ("dut", "."),
            ("./dut", "."),
            ("/run/x/dut", "/run/x"),
            ("/dut", "/"),
        ] {
            assert_eq!(folder_of(Path::new(socket)), Path::new(folder), "{socket}");
        }
    }
}
