//! The test bed: a folder with fake parts, the program started on them, and what it left.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::{PIDS_VARIABLE, ROLE_VARIABLE, SCENARIO_VARIABLE};

/// How long the program may take to do its part in a test.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A folder with everything.
pub struct Bed {
    folder: tempfile::TempDir,
    scenario: String,
}

/// The started program.
pub struct Running<'a> {
    child: Child,
    bed: &'a Bed,
}

/// What came of it.
pub struct Outcome {
    /// Exit code, or none if it was killed.
    pub exit: Option<i32>,
    /// `junit.xml`.
    pub junit: String,
    /// `events.jsonl`.
    pub events: String,
    /// What it printed.
    pub output: String,
}

impl Bed {
    /// Writes the fake parts.
    pub fn new(scenario: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let bed = Self {
            folder,
            scenario: scenario.into(),
        };
        for name in ["tmp", "pids"] {
            fs::create_dir(bed.path(name)).expect("made");
        }
        fs::write(bed.path("kernel"), b"\x7fELF").expect("written");
        fs::write(bed.path("driver.sys"), b"MZ").expect("written");
        let this = std::env::current_exe().expect("this binary");
        for role in ["device", "qemu"] {
            let path = bed.path(role);
            let script = format!(
                "#!/bin/sh\n{ROLE_VARIABLE}={role} exec '{}' \"$@\"\n",
                this.display()
            );
            fs::write(&path, script).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
        }
        bed
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts `dmarig run` with two cases.
    pub fn start(&self) -> Running<'_> {
        let child = Command::new(env!("CARGO_BIN_EXE_dmarig"))
            .args([
                "run",
                "--remapping",
                "off",
                "--accel",
                "tcg",
                "--timeout",
                "20",
            ])
            .args(["--filter", "CM-4/unmapped-mdl", "--filter", "CM-5/*"])
            .arg("--out")
            .arg(self.path("out"))
            .arg("--qemu")
            .arg(self.path("qemu"))
            .arg("--device-binary")
            .arg(self.path("device"))
            .arg("--kernel")
            .arg(self.path("kernel"))
            .arg("--driver")
            .arg(self.path("driver.sys"))
            .env("TMPDIR", self.path("tmp"))
            .env(SCENARIO_VARIABLE, &self.scenario)
            .env(PIDS_VARIABLE, self.path("pids"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("dmarig starts");
        Running { child, bed: self }
    }

    /// Runs to the end.
    pub fn run(&self) -> Outcome {
        self.start().outcome()
    }

    /// Waits until a case is running.
    pub fn await_case_start(&self) -> Result<(), Failed> {
        eventually(DEADLINE, || {
            if self.read("out/events.jsonl").contains("case-started") {
                Ok(())
            } else {
                Err("no case was started".into())
            }
        })
    }

    /// No fake part lives, and nothing lies in the folder of sockets.
    pub fn expect_tidy(&self) -> Result<(), Failed> {
        let left: Vec<_> = list(&self.path("tmp"));
        if !left.is_empty() {
            return Err(format!("left behind: {left:?}").into());
        }
        for file in list(&self.path("pids")) {
            let pid = file
                .file_name()
                .and_then(|name| name.to_str()?.parse().ok());
            if let Some(pid) = pid.and_then(Pid::from_raw)
                && is_running(pid)
            {
                return Err(format!("process {pid:?} lives on").into());
            }
        }
        Ok(())
    }

    fn read(&self, name: &str) -> String {
        let path = self.path(name);
        // A test may have put a device there that never ends.
        if !path.is_file() {
            return String::new();
        }
        fs::read_to_string(path).unwrap_or_default()
    }
}

/// A zombie that nobody has reaped yet does not count.
fn is_running(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let is_zombie = stat.is_ok_and(|stat| stat.contains(") Z "));
    test_kill_process(pid).is_ok() && !is_zombie
}

fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder of the bed");
    entries.flatten().map(|entry| entry.path()).collect()
}

impl Running<'_> {
    /// Sends a signal to the program alone.
    pub fn signal(&mut self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        kill_process(Pid::from_raw(pid).expect("not zero"), signal).expect("sent");
    }

    /// Waits for its end.
    pub fn outcome(mut self) -> Outcome {
        let mut output = String::new();
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("ours") {
                break status;
            }
            if start.elapsed() > DEADLINE {
                let _ = self.child.kill();
            }
            thread::sleep(POLL_INTERVAL);
        };
        // Children that live on hold no pipe of ours: their output goes elsewhere.
        let stdout = self.child.stdout.take().expect("piped");
        let stderr = self.child.stderr.take().expect("piped");
        let _ = stdout.take(1 << 20).read_to_string(&mut output);
        let _ = stderr.take(1 << 20).read_to_string(&mut output);
        Outcome {
            exit: status.code(),
            junit: self.bed.read("out/junit.xml"),
            events: self.bed.read("out/events.jsonl"),
            output,
        }
    }
}

/// Tries until it succeeds; the last failure, if it never does.
pub fn eventually(
    limit: Duration,
    mut attempt: impl FnMut() -> Result<(), Failed>,
) -> Result<(), Failed> {
    let start = Instant::now();
    loop {
        let outcome = attempt();
        if outcome.is_ok() || start.elapsed() > limit {
            return outcome;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

/// For the fakes: leaves this process's id.
pub fn leave_pid() {
    let folder = std::env::var_os(PIDS_VARIABLE).expect("set by the bed");
    let path = Path::new(&folder).join(std::process::id().to_string());
    fs::write(path, b"").expect("written");
}

/// For the fakes: tells the other one that the guest is shutting down.
pub fn raise_flag() {
    fs::write(flag(), b"").expect("written");
}

/// For the fakes: whether the other one has told.
pub fn is_flag_raised() -> bool {
    flag().exists()
}

fn flag() -> PathBuf {
    let folder = std::env::var_os(PIDS_VARIABLE).expect("set by the bed");
    Path::new(&folder).join("shutdown")
}

/// For the fakes: the scenario.
pub fn scenario() -> String {
    std::env::var(SCENARIO_VARIABLE).expect("set by the bed")
}
