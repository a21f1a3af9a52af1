//! [`Machine`]: one boot, bounded in time, judged by exit code and lines.

use std::env;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Failed;

use crate::cases::Case;

/// Wall time that a boot may take on a busy machine.
const BOOT_DEADLINE: Duration = Duration::from_secs(30);
const MEMORY: &str = "256M";
/// What does not depend on the case: a q35 with a root port, an NVMe controller behind it, and `edu`.
const ARGUMENTS: &str = "-machine q35,memory-backend=ram -accel tcg -cpu max -bios qboot.rom -nodefaults \
    -no-reboot -display none -serial stdio -device isa-debug-exit,iobase=0xf4 \
    -device pcie-root-port,id=port0,chassis=1 -device nvme,bus=port0,serial=1 -device edu";

/// The programs to boot with.
#[derive(Clone)]
pub struct Machine {
    qemu: PathBuf,
    kernel: PathBuf,
}

impl Machine {
    /// Finds QEMU and kernel, or says what is missing.
    pub fn find() -> Result<Self, String> {
        let qemu = env::var_os("DMARIG_QEMU").map(PathBuf::from);
        let qemu = qemu.ok_or("DMARIG_QEMU is not set (scripts/setup --print-env)")?;
        let kernel = env::var_os("DMARIG_NT_KERNEL").map_or_else(default_kernel, PathBuf::from);
        if !kernel.is_file() {
            return Err(format!("there is no {} (cargo xtask nt)", kernel.display()));
        }
        Ok(Self { qemu, kernel })
    }

    /// Boots and compares with what the case expects.
    pub fn boot(&self, case: &Case) -> Result<(), Failed> {
        let folder = tempfile::tempdir()?;
        let log_path = folder.path().join("debug.log");
        let mut child = self.command(case, folder.path(), &log_path)?.spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(&case.serial)?;
        }
        let status = wait_bounded(child)?;
        let log = String::from_utf8_lossy(&fs::read(&log_path)?).into_owned();
        // QEMU's exit device gives 2 * code + 1.
        let wanted = 2 * case.exit as i32 + 1;
        if status != Some(wanted) {
            return Err(format!("status {status:?}, not {wanted}:\n{log}").into());
        }
        match case.lines.iter().find(|line| !log.contains(line.as_str())) {
            Some(line) => Err(format!("no {line} in:\n{log}").into()),
            None => Ok(()),
        }
    }

    fn command(&self, case: &Case, folder: &Path, log: &Path) -> Result<Command, Failed> {
        let mut command = Command::new(&self.qemu);
        command
            .args(["-m", MEMORY, "-object"])
            .arg(format!(
                "memory-backend-memfd,id=ram,size={MEMORY},share=on"
            ))
            .args(case.iommu.iter().flat_map(|iommu| ["-device", iommu]))
            .args(ARGUMENTS.split_ascii_whitespace())
            .arg("-debugcon")
            .arg(format!("file:{}", log.display()))
            .arg("-kernel")
            .arg(&self.kernel)
            .args(["-append", &case.words])
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        if let Some(archive) = &case.archive {
            let path = folder.join("archive.cpio");
            fs::write(&path, archive)?;
            command.arg("-initrd").arg(path);
        }
        Ok(command)
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
