//! [`QTest`]: QEMU's memory and ports without a CPU, by the qtest protocol (one line there, one back).

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use dmarig_abi::GuestPhysAddr;
use iommu::vtd::PhysicalMemory;

use crate::child::PATIENCE;
use crate::machine::RAM_BYTES;

/// QEMU with a line to it; killed with the test.
pub struct QTest {
    child: Child,
    line: RefCell<Line>,
}

struct Line {
    commands: ChildStdin,
    answers: Receiver<String>,
}

impl QTest {
    /// Starts QEMU with `-qtest stdio` and these arguments.
    pub fn start(mut qemu: Command) -> Self {
        let mut child = qemu
            .args(["-accel", "qtest", "-qtest", "stdio", "-qtest-log", "none"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("QEMU");
        let commands = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, answers) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let line = RefCell::new(Line { commands, answers });
        Self { child, line }
    }

    pub fn write_u32(&self, address: u64, value: u32) {
        self.ask(&format!("writel {address:#x} {value:#x}"));
    }

    pub fn write_u64(&self, address: u64, value: u64) {
        self.ask(&format!("writeq {address:#x} {value:#x}"));
    }

    pub fn read_u32(&self, address: u64) -> u32 {
        u32::try_from(self.number(&format!("readl {address:#x}"))).expect("32 bits")
    }

    pub fn read_u64(&self, address: u64) -> u64 {
        self.number(&format!("readq {address:#x}"))
    }

    pub fn fill(&self, address: u64, len_bytes: u64, byte: u8) {
        self.ask(&format!("memset {address:#x} {len_bytes:#x} {byte:#x}"));
    }

    pub fn out_u32(&self, port: u16, value: u32) {
        self.ask(&format!("outl {port:#x} {value:#x}"));
    }

    fn number(&self, command: &str) -> u64 {
        let answer = self.ask(command);
        let digits = answer.trim().trim_start_matches("0x");
        u64::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("{command}: {answer:?}"))
    }

    /// One command; what follows `OK` in its answer.
    fn ask(&self, command: &str) -> String {
        let mut line = self.line.borrow_mut();
        writeln!(line.commands, "{command}").expect("QEMU takes commands");
        let answer = line.answers.recv_timeout(PATIENCE);
        let answer = answer.unwrap_or_else(|error| panic!("{command}: {error}"));
        let rest = answer.strip_prefix("OK");
        rest.unwrap_or_else(|| panic!("{command}: {answer:?}"))
            .to_owned()
    }
}

/// The walker reads what QEMU's unit reads.
impl PhysicalMemory for QTest {
    fn read_u64(&self, address: GuestPhysAddr) -> Option<u64> {
        let is_memory = address.raw() < RAM_BYTES;
        is_memory.then(|| Self::read_u64(self, address.raw()))
    }
}

impl Drop for QTest {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
