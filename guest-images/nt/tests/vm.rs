//! The kernel's own tests (`nt::selftest`), each in a boot of its own under QEMU with TCG.
//!
//! They need QEMU (`DMARIG_QEMU`, set by `scripts/setup --print-env`) and the kernel (`cargo xtask nt`, or
//! `DMARIG_NT_KERNEL`); without them each is listed as ignored, with the reason on standard error.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use nt::arch::exit::ExitCode;
use nt::selftest::{self, End};

/// Wall time that a boot may take on a busy machine.
const BOOT_DEADLINE: Duration = Duration::from_secs(30);
const MEMORY: &str = "256M";

/// What a boot must show.
#[derive(Clone)]
struct Expected {
    exit: ExitCode,
    line: String,
}

fn main() {
    let arguments = Arguments::from_args();
    let machine = Machine::find();
    if let Err(reason) = &machine {
        eprintln!("the tests in a virtual machine are ignored: {reason}");
    }
    let machine = machine.ok();
    let cases = cases().into_iter();
    let ordinary =
        cases.map(|(name, words, expected)| trial(name, words, expected, machine.clone()));
    let lacking = lacking_machines().into_iter().map(|(name, iommu, line)| {
        let machine = machine.clone().map(|machine| Machine { iommu, ..machine });
        let exit = ExitCode::EnvironmentMissing;
        let line = line.into();
        trial(name.into(), String::new(), Expected { exit, line }, machine)
    });
    let trials = ordinary.chain(lacking).collect();
    libtest_mimic::run(&arguments, trials).exit();
}

/// Name, command line, what must come.
fn cases() -> Vec<(String, String, Expected)> {
    let mut cases = Vec::new();
    for name in selftest::names() {
        let line = format!("\"name\":\"{name}\",\"status\":\"pass\"");
        let exit = ExitCode::Clean;
        cases.push((
            name.into(),
            format!("selftest={name}"),
            Expected { exit, line },
        ));
    }
    for (name, end) in selftest::fatal_names() {
        let (exit, line) = match end {
            End::BugCheck(code) => (
                ExitCode::BugCheck,
                format!("\"event\":\"bugcheck\",\"code\":\"{code:#x}\""),
            ),
            End::Panic => (ExitCode::Panic, "\"event\":\"panic\"".into()),
        };
        cases.push((
            name.into(),
            format!("selftest={name}"),
            Expected { exit, line },
        ));
    }
    cases.extend(environment_cases());
    cases
}

/// What the machine or the harness can get wrong.
fn environment_cases() -> Vec<(String, String, Expected)> {
    let line = "command line: unknown word `remaping=on`".into();
    let exit = ExitCode::EnvironmentMissing;
    let name = "misspelled_command_line_is_refused_by_name".into();
    vec![(name, "remaping=on".into(), Expected { exit, line })]
}

/// Machines on which remapping cannot be on: name, their IOMMU, what the guest says.
fn lacking_machines() -> [(&'static str, Option<&'static str>, &'static str); 2] {
    [
        (
            "remapping_without_a_unit_is_refused",
            None,
            "no VT-d unit: start QEMU with",
        ),
        (
            "remapping_without_caching_mode_is_refused",
            Some("intel-iommu,caching-mode=off"),
            "start QEMU with caching-mode=on",
        ),
    ]
}

fn trial(name: String, words: String, expected: Expected, machine: Option<Machine>) -> Trial {
    let is_ignored = machine.is_none();
    Trial::test(name, move || {
        let machine = machine.ok_or("no machine")?;
        machine.boot(&words, &expected)
    })
    .with_ignored_flag(is_ignored)
}

#[derive(Clone)]
struct Machine {
    qemu: PathBuf,
    kernel: PathBuf,
    iommu: Option<&'static str>,
}

impl Machine {
    fn find() -> Result<Self, String> {
        let qemu = env::var_os("DMARIG_QEMU").map(PathBuf::from);
        let qemu = qemu.ok_or("DMARIG_QEMU is not set (scripts/setup --print-env)")?;
        let kernel = env::var_os("DMARIG_NT_KERNEL").map_or_else(default_kernel, PathBuf::from);
        if !kernel.is_file() {
            return Err(format!("there is no {} (cargo xtask nt)", kernel.display()));
        }
        let iommu = Some("intel-iommu,caching-mode=on,intremap=off");
        Ok(Self {
            qemu,
            kernel,
            iommu,
        })
    }

    fn boot(&self, words: &str, expected: &Expected) -> Result<(), Failed> {
        let folder = tempfile::tempdir()?;
        let log_path = folder.path().join("debug.log");
        let child = self.command(words, &log_path).spawn()?;
        let status = wait_bounded(child)?;
        let log = String::from_utf8_lossy(&fs::read(&log_path)?).into_owned();
        // QEMU's exit device gives 2 * code + 1.
        let wanted = 2 * expected.exit as i32 + 1;
        if status != Some(wanted) || !log.contains(&expected.line) {
            let line = &expected.line;
            return Err(format!("status {status:?}, not {wanted}; or no {line} in:\n{log}").into());
        }
        Ok(())
    }

    fn command(&self, words: &str, log: &Path) -> Command {
        let mut command = Command::new(&self.qemu);
        command
            .args([
                "-machine",
                "q35,memory-backend=ram",
                "-accel",
                "tcg",
                "-cpu",
                "max",
            ])
            .args([
                "-m",
                MEMORY,
                "-bios",
                "qboot.rom",
                "-nodefaults",
                "-no-reboot",
            ])
            .args(["-display", "none"])
            .arg("-object")
            .arg(format!(
                "memory-backend-memfd,id=ram,size={MEMORY},share=on"
            ))
            .args(self.iommu.iter().flat_map(|iommu| ["-device", iommu]))
            .args(["-device", "isa-debug-exit,iobase=0xf4"])
            .args(["-device", "pcie-root-port,id=port0,chassis=1"])
            .args(["-device", "nvme,bus=port0,serial=1"])
            .args(["-device", "edu"])
            .arg("-debugcon")
            .arg(format!("file:{}", log.display()))
            .arg("-kernel")
            .arg(&self.kernel)
            .args(["-append", words])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        command
    }
}

/// The exit status; at the deadline the child is ended and none is given.
fn wait_bounded(mut child: Child) -> Result<Option<i32>, Failed> {
    let deadline = Instant::now() + BOOT_DEADLINE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.code());
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn default_kernel() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = env::var_os("CARGO_TARGET_DIR");
    let target = target.map_or_else(|| workspace.join("target"), PathBuf::from);
    target.join("guest/nt-kernel.elf")
}
