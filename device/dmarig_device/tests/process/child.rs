//! [`DeviceProcess`]: `dmarig-device` in a folder of its own, ended with the test.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use control_api::Client;
use rustix::process::{Pid, Signal, kill_process};

/// How long anything is awaited that is sure to come.
pub const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);

pub struct DeviceProcess {
    pub folder: tempfile::TempDir,
    child: Child,
}

impl DeviceProcess {
    /// Starts it with both functions and a control socket, and waits until it listens.
    pub fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let child = command(folder.path())
            .args(arguments)
            .spawn()
            .expect("dmarig-device");
        let process = Self { folder, child };
        let control = process.path("control");
        wait_until("the control socket", || Client::connect(&control).is_ok());
        process
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn harness(&self) -> Client {
        Client::connect(&self.path("control")).expect("connect")
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid is positive");
        let pid = Pid::from_raw(pid).expect("a pid is not zero");
        kill_process(pid, signal).expect("signal");
    }

    pub fn wait(&mut self) -> ExitStatus {
        wait_for(&mut self.child)
    }

    /// What is left in the folder.
    pub fn files(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.folder.path()).expect("folder");
        entries.map(|entry| entry.expect("entry").path()).collect()
    }
}

impl Drop for DeviceProcess {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The program with sockets in `folder`, not yet started.
pub fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dmarig-device"));
    command
        .arg("--socket")
        .arg(folder.join("dut"))
        .arg("--control-function")
        .arg(folder.join("control-function"))
        .arg("--control")
        .arg(folder.join("control"))
        .arg("--die-with-parent")
        .stdin(Stdio::null());
    command
}

pub fn wait_for(child: &mut Child) -> ExitStatus {
    let mut status = None;
    wait_until("the end of a process", || {
        status = child.try_wait().expect("child");
        status.is_some()
    });
    status.expect("it has ended")
}

pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(PAUSE);
    }
}
