//! [`Qtest`]: a QEMU whose CPU is the test.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::machine::PATIENCE;

/// A running QEMU. Ends with the value.
pub struct Qtest {
    child: Child,
    reader: BufReader<UnixStream>,
    interrupts: VecDeque<String>,
}

impl Qtest {
    /// Starts QEMU with one device and connects.
    pub fn start(device: &str, folder: &Path, name: &str) -> Self {
        let path = folder.join(name);
        let listener = UnixListener::bind(&path).expect("socket");
        let qemu = std::env::var_os("DMARIG_QEMU").expect("asked for before");
        let child = Command::new(qemu)
            .args([
                "-machine",
                "q35,memory-backend=ram",
                "-m",
                "64",
                "-accel",
                "qtest",
            ])
            .args(["-object", "memory-backend-memfd,id=ram,size=64M,share=on"])
            .args(["-nodefaults", "-display", "none", "-qtest-log", "/dev/null"])
            .arg("-qtest")
            .arg(format!("unix:{}", path.display()))
            .args(["-device", device])
            .stdin(Stdio::null())
            .spawn()
            .expect("QEMU");
        let stream = accept(&listener);
        stream.set_read_timeout(Some(PATIENCE)).expect("time-out");
        let mut qtest = Self {
            child,
            reader: BufReader::new(stream),
            interrupts: VecDeque::new(),
        };
        qtest.command("irq_intercept_in ioapic");
        qtest
    }

    /// Sends a command and returns what follows `OK`.
    pub fn command(&mut self, command: &str) -> String {
        let mut stream = self.reader.get_ref();
        writeln!(stream, "{command}").expect("QEMU takes a command");
        loop {
            let mut line = String::new();
            let n = self.reader.read_line(&mut line).expect("QEMU answers");
            assert!(n > 0, "QEMU ended at {command:?}");
            let line = line.trim();
            if line.starts_with("IRQ ") {
                self.interrupts.push_back(line.to_owned());
            } else {
                let rest = line.strip_prefix("OK");
                return rest
                    .unwrap_or_else(|| panic!("{command}: {line}"))
                    .trim()
                    .to_owned();
            }
        }
    }

    /// The changes of interrupt lines seen since the last call.
    pub fn take_interrupts(&mut self) -> Vec<String> {
        self.interrupts.drain(..).collect()
    }
}

impl Drop for Qtest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn accept(listener: &UnixListener) -> UnixStream {
    listener.set_nonblocking(true).expect("non-blocking");
    crate::machine::wait_for("QEMU to connect", || match listener.accept() {
        Ok((stream, _)) => {
            stream.set_nonblocking(false).expect("blocking");
            Some(stream)
        }
        Err(_) => None,
    })
}
