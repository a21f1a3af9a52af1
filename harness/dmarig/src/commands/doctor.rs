//! `dmarig doctor`: whether this machine has what a run needs, and how to mend what it lacks.

mod sandbox;

use std::env;
use std::fmt::Write;

use qemu::binary::{self, QemuBinary};
use qemu::{KvmProbe, accel};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use serde::Serialize;
use serde_json::json;

use crate::artifacts::{self, Kind};
use crate::cli::{DoctorArgs, PartArgs};
use crate::entry::chain;
use crate::exit_code::Exit;
use crate::guest::nt;

/// Version of what `--json` prints.
const SCHEMA_VERSION: u32 = 1;

/// QEMU devices without which nothing runs.
const QEMU_DEVICES: [&str; 5] = [
    "vfio-user-pci",
    "intel-iommu",
    "pcie-root-port",
    "isa-debug-exit",
    "isa-debugcon",
];

/// Programs that build the parts, and the Debian package of each.
const BUILD_TOOLS: [(&str, &str); 4] = [
    ("cargo", "rustup"),
    ("clang", "clang"),
    ("lld-link", "lld"),
    ("llvm-dlltool", "llvm"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// It is there.
    Good,
    /// It is not there, and a run does without it.
    Lacking,
    /// It is not there, and nothing runs without it.
    Missing,
}

#[derive(Clone, Debug, Serialize)]
struct Check {
    name: String,
    state: State,
    detail: String,
}

impl Check {
    fn good(name: &str, detail: String) -> Self {
        Self::new(name, State::Good, detail)
    }

    fn new(name: &str, state: State, detail: String) -> Self {
        Self {
            name: name.into(),
            state,
            detail,
        }
    }
}

/// Checks everything and prints what was found.
pub fn run(arguments: &DoctorArgs) -> Exit {
    let checks = check_all(&arguments.parts);
    let exit = if checks.iter().any(|check| check.state == State::Missing) {
        Exit::EnvironmentMissing
    } else {
        Exit::Success
    };
    let text = if arguments.json {
        let document = json!({ "schema_version": SCHEMA_VERSION, "checks": checks });
        format!("{document:#}\n")
    } else {
        table(&checks)
    };
    super::print(&text, exit)
}

fn check_all(parts: &PartArgs) -> Vec<Check> {
    let mut checks = Vec::new();
    match binary::find(parts.qemu.as_deref()) {
        Ok(found) => {
            let detail = format!("{} ({})", found.version, found.path.display());
            checks.push(Check::good("QEMU", detail));
            checks.push(qemu_devices(&found));
        }
        Err(error) => checks.push(Check::new("QEMU", State::Missing, chain(&error))),
    }
    checks.push(kvm());
    checks.push(sealed_memory());
    for kind in Kind::ALL {
        checks.push(artifact(kind, parts));
    }
    if let Ok(device) = artifacts::find(Kind::Device, parts.device_binary.as_deref()) {
        checks.push(sandbox::check(&device));
    }
    let is_built = checks.iter().all(|check| check.state != State::Missing);
    checks.extend(BUILD_TOOLS.map(|(tool, package)| build_tool(tool, package, is_built)));
    checks
}

fn qemu_devices(found: &QemuBinary) -> Check {
    let missing: Vec<&str> = QEMU_DEVICES
        .into_iter()
        .filter(|device| !binary::has_device(&found.path, device))
        .collect();
    if missing.is_empty() {
        return Check::good("QEMU devices", QEMU_DEVICES.join(", "));
    }
    let detail = format!(
        "{} lacks {}\nhelp: run scripts/setup, or name another QEMU with --qemu",
        found.path.display(),
        missing.join(", ")
    );
    Check::new("QEMU devices", State::Missing, detail)
}

fn kvm() -> Check {
    match accel::probe_kvm(nt::CPU_FEATURES) {
        KvmProbe::Usable => Check::good("KVM", "runs code".into()),
        KvmProbe::Unusable { reason } => Check::new(
            "KVM",
            State::Lacking,
            format!("{reason}; TCG is used instead, which is slower"),
        ),
    }
}

/// Guest memory is a memfd that QEMU seals against shrinking; without that, the device process would
/// not dare to map it.
fn sealed_memory() -> Check {
    let made = memfd_create("dmarig-doctor", MemfdFlags::ALLOW_SEALING)
        .and_then(|memory| fcntl_add_seals(&memory, SealFlags::SHRINK));
    match made {
        Ok(()) => Check::good("sealed shared memory", "memfd with seals".into()),
        Err(error) => Check::new(
            "sealed shared memory",
            State::Missing,
            format!("{error}\nhelp: the kernel must have memfd_create and sealing (Linux 3.17)"),
        ),
    }
}

fn artifact(kind: Kind, parts: &PartArgs) -> Check {
    let named = match kind {
        Kind::Kernel => &parts.kernel,
        Kind::Driver | Kind::KmdfDriver => &parts.driver,
        Kind::Device => &parts.device_binary,
    };
    match artifacts::find(kind, named.as_deref()) {
        Ok(path) => Check::good(kind.name(), path.display().to_string()),
        Err(error) => Check::new(kind.name(), State::Missing, chain(&error)),
    }
}

fn build_tool(tool: &str, package: &str, is_built: bool) -> Check {
    let found = env::var_os("PATH").and_then(|path| {
        env::split_paths(&path)
            .map(|folder| folder.join(tool))
            .find(|candidate| candidate.is_file())
    });
    match found {
        Some(path) => Check::good(tool, path.display().to_string()),
        None if is_built => Check::new(
            tool,
            State::Lacking,
            "needed only to build the parts".into(),
        ),
        None => Check::new(
            tool,
            State::Missing,
            format!("not on PATH\nhelp: run scripts/setup, or install {package}"),
        ),
    }
}

fn table(checks: &[Check]) -> String {
    let width = checks
        .iter()
        .map(|check| check.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for check in checks {
        let word = match check.state {
            State::Good => "ok",
            State::Lacking => "lacking",
            State::Missing => "MISSING",
        };
        let indent = format!("\n{:width$}           ", "");
        let detail = check.detail.replace('\n', &indent);
        let _ = writeln!(text, "{word:>7}  {:width$}  {detail}", check.name);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_part_ends_with_its_mend_on_a_line_of_its_own() {
        let checks = [Check::new(
            "QEMU",
            State::Missing,
            "none found\nhelp: run scripts/setup".into(),
        )];
        insta::assert_snapshot!(table(&checks));
    }

    #[test]
    fn build_tool_is_needed_only_while_something_is_to_build() {
        let state = |is_built| build_tool("no-such-tool", "none", is_built).state;
        assert_eq!(state(true), State::Lacking);
        assert_eq!(state(false), State::Missing);
    }

    #[test]
    fn memory_can_be_sealed_here() {
        assert_eq!(sealed_memory().state, State::Good);
    }
}
