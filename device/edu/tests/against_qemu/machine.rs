//! [`Machine`]: a QEMU with an `edu` device of either make, and what a driver does to it.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use control_api::Client;

use crate::qtest::Qtest;

/// How long what is sure to come is awaited.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// How long an interrupt is awaited that should not come.
const SILENCE: Duration = Duration::from_millis(150);
/// Where BAR 0 is put.
const BAR: u64 = 0xe000_0000;
/// Slot 4 of bus 0, by the way of configuration access 1.
const CONFIG: u32 = 0x8000_0000 | 4 << 11;
/// Line of the I/O APIC that INTA of slot 4 leads to on q35.
const PIN_RAISED: &str = "IRQ raise 20";

/// Whose device.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// QEMU's own.
    Qemus,
    /// `edu-device`, by vfio-user.
    Ours,
}

/// The machine.
pub struct Machine {
    subject: Subject,
    qtest: Qtest,
    device: Option<(Device, Client)>,
}

/// A process that ends with the value.
struct Device(Child);

impl Machine {
    /// Starts device process and QEMU, and gives BAR 0 its address.
    pub fn start(subject: Subject, folder: &Path) -> Self {
        let (device, argument, name) = match subject {
            Subject::Qemus => (None, "edu,bus=pcie.0,addr=04.0".to_owned(), "qemus"),
            Subject::Ours => {
                let socket = folder.join("edu");
                let device = start_device(&socket, &folder.join("control"));
                let argument = format!(
                    r#"{{"driver":"vfio-user-pci","bus":"pcie.0","addr":"04.0","socket":{{"type":"unix","path":"{}"}}}}"#,
                    socket.display()
                );
                (Some(device), argument, "ours")
            }
        };
        let mut machine = Self {
            subject,
            qtest: Qtest::start(&argument, folder, name),
            device,
        };
        machine.write_config(0x10, u32::try_from(BAR).expect("32 bits"));
        machine.set_command(6);
        machine
    }

    /// The control socket of our device.
    pub fn control(&mut self) -> &mut Client {
        &mut self.device.as_mut().expect("our device").1
    }

    /// Writes the command register.
    pub fn set_command(&mut self, command: u32) {
        self.write_config(4, command);
    }

    pub fn read_config(&mut self, offset: u8) -> u32 {
        self.select(offset);
        number(&self.qtest.command("inl 0xcfc"))
            .try_into()
            .expect("32 bits")
    }

    pub fn write_config(&mut self, offset: u8, value: u32) {
        self.select(offset);
        self.qtest.command(&format!("outl 0xcfc {value:#x}"));
    }

    /// Offset of a capability.
    pub fn capability(&mut self, id: u32) -> u8 {
        let byte = |value: u32| value.to_le_bytes()[0];
        let mut offset = byte(self.read_config(0x34));
        while offset != 0 {
            let header = self.read_config(offset);
            if header & 0xff == id {
                return offset;
            }
            offset = byte(header >> 8);
        }
        panic!("no capability {id:#x}");
    }

    /// Reads `size` bytes of BAR 0.
    pub fn read(&mut self, offset: u64, size: u8) -> u64 {
        let command = format!("read{} {:#x}", suffix(size), BAR + offset);
        number(&self.qtest.command(&command))
    }

    /// Writes `size` bytes of BAR 0.
    pub fn write(&mut self, offset: u64, size: u8, value: u64) {
        let command = format!("write{} {:#x} {value:#x}", suffix(size), BAR + offset);
        self.qtest.command(&command);
    }

    /// Reads guest memory, as hexadecimal digits.
    pub fn peek(&mut self, address: u64, len: usize) -> String {
        self.qtest.command(&format!("read {address:#x} {len:#x}"))
    }

    /// Writes guest memory.
    pub fn poke(&mut self, address: u64, bytes: &[u8]) {
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let len = bytes.len();
        self.qtest
            .command(&format!("write {address:#x} {len:#x} 0x{digits}"));
    }

    /// Lets 200 ms pass on the device's clock: QEMU's virtual one, or ours.
    pub fn pass(&mut self) {
        match self.subject {
            Subject::Qemus => {
                self.qtest.command("clock_step 200000000");
            }
            Subject::Ours => {
                std::thread::sleep(Duration::from_millis(200));
                wait_for("the transfer to end", || {
                    (self.read(0x98, 8) & 1 == 0).then_some(())
                });
            }
        }
    }

    /// Waits until a factorial is done.
    pub fn wait_for_factorial(&mut self) {
        wait_for("the factorial", || {
            (self.read(0x20, 4) & 1 == 0).then_some(())
        });
    }

    /// Whether the interrupt pin was asserted since the last look; `expected` says how long to wait.
    pub fn was_pin_raised(&mut self, expected: bool) -> bool {
        let patience = if expected { PATIENCE } else { SILENCE };
        let end = Instant::now() + patience;
        loop {
            // Any command brings the lines that stand before its answer.
            self.qtest.command("inb 0x80");
            let is_raised = self
                .qtest
                .take_interrupts()
                .iter()
                .any(|line| line == PIN_RAISED);
            if is_raised || Instant::now() > end {
                return is_raised;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Waits until a word of guest memory is no longer zero, or for a while; the word.
    pub fn word_that_comes(&mut self, address: u64, expected: bool) -> u64 {
        let patience = if expected { PATIENCE } else { SILENCE };
        let end = Instant::now() + patience;
        loop {
            let word = number(&self.qtest.command(&format!("readl {address:#x}")));
            if word != 0 || Instant::now() > end {
                return word;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn select(&mut self, offset: u8) {
        let address = CONFIG | u32::from(offset & 0xfc);
        self.qtest.command(&format!("outl 0xcf8 {address:#x}"));
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks until there is an answer.
pub fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn start_device(socket: &Path, control: &Path) -> (Device, Client) {
    let child = Command::new(env!("CARGO_BIN_EXE_edu-device"))
        .arg("--socket")
        .arg(socket)
        .arg("--control")
        .arg(control)
        .spawn()
        .expect("edu-device");
    let device = Device(child);
    let client = wait_for("the control socket", || Client::connect(control).ok());
    (device, client)
}

fn suffix(size: u8) -> char {
    match size {
        1 => 'b',
        2 => 'w',
        4 => 'l',
        _ => 'q',
    }
}

fn number(text: &str) -> u64 {
    let digits = text.trim_start_matches("0x");
    u64::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("a number, not {text:?}"))
}
