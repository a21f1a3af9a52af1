//! What is done to both devices, and what came of each operation as a line of text.

use crate::machine::Machine;

/// Guest memory that the operations use.
const MEMORY: u64 = 0x10_0000;
/// The device's buffer.
const BUFFER: u64 = 0x4_0000;

const LIVENESS: u64 = 0x04;
const FACTORIAL: u64 = 0x08;
const STATUS: u64 = 0x20;
const INTERRUPT_STATUS: u64 = 0x24;
const RAISE: u64 = 0x60;
const ACKNOWLEDGE: u64 = 0x64;
const SOURCE: u64 = 0x80;
const DESTINATION: u64 = 0x88;
const COUNT: u64 = 0x90;
const COMMAND: u64 = 0x98;

struct Session<'a> {
    machine: &'a mut Machine,
    lines: Vec<String>,
}

/// Carries out all operations.
pub fn run(machine: &mut Machine) -> Vec<String> {
    let mut session = Session {
        machine,
        lines: Vec::new(),
    };
    session.identity();
    session.every_register_in_every_size();
    session.liveness();
    session.factorial();
    session.interrupts();
    session.dma_registers();
    session.dma();
    session.dma_at_its_limits();
    session.message_signaled_interrupts();
    session.lines
}

impl Session<'_> {
    fn note(&mut self, what: String) {
        self.lines.push(what);
    }

    fn read(&mut self, offset: u64, size: u8) {
        let value = self.machine.read(offset, size);
        self.note(format!("read of {size} bytes at {offset:#x}: {value:#x}"));
    }

    /// Writes, then reads what stands there now.
    fn write(&mut self, offset: u64, size: u8, value: u64) {
        self.machine.write(offset, size, value);
        let seen = self
            .machine
            .read(offset, if offset < SOURCE { 4 } else { 8 });
        self.note(format!(
            "write of {size} bytes {value:#x} at {offset:#x}: reads {seen:#x}"
        ));
    }

    fn memory(&mut self, address: u64, len: usize) {
        let bytes = self.machine.peek(address, len);
        self.note(format!("memory at {address:#x}: {bytes}"));
    }

    fn pin(&mut self, expected: bool) {
        let is_raised = self.machine.was_pin_raised(expected);
        self.note(format!("interrupt pin was asserted: {is_raised}"));
    }

    fn transfer(&mut self, source: u64, destination: u64, count: u64, command: u64) {
        for (offset, value) in [(SOURCE, source), (DESTINATION, destination), (COUNT, count)] {
            self.write(offset, 8, value);
        }
        self.write(COMMAND, 4, command);
        self.machine.pass();
        self.read(COMMAND, 8);
    }

    fn identity(&mut self) {
        for offset in [0x00, 0x08, 0x2c] {
            let value = self.machine.read_config(offset);
            self.note(format!("configuration at {offset:#x}: {value:#x}"));
        }
        let pin = self.machine.read_config(0x3c) >> 8 & 0xff;
        self.note(format!("interrupt pin {pin}"));
        let bar = self.machine.read_config(0x10);
        self.machine.write_config(0x10, u32::MAX);
        let size = self.machine.read_config(0x10);
        self.machine.write_config(0x10, bar);
        self.note(format!("BAR 0 sizes as {size:#x}"));
        let msi = self.machine.capability(0x05);
        let control = self.machine.read_config(msi) >> 16;
        self.note(format!("MSI control {control:#x}"));
    }

    fn every_register_in_every_size(&mut self) {
        let registers = [
            0x00, 0x04, 0x08, 0x0c, 0x10, 0x20, 0x24, 0x28, 0x60, 0x64, 0x68, 0x78, 0x80, 0x84,
            0x88, 0x8c, 0x90, 0x94, 0x98, 0x9c, 0xa0, 0x100, 0x1000, 0x3_fff8, 0x4_0000, 0x4_0ff8,
            0xf_fff8,
        ];
        for offset in registers {
            for size in [1, 2, 4, 8] {
                self.read(offset, size);
            }
        }
    }

    fn liveness(&mut self) {
        for (size, value) in [
            (4, 0x1234_5678),
            (4, 0),
            (4, 0xffff_ffff),
            (1, 0x55),
            (2, 0x5555),
            (8, 0x5555_5555),
            (4, 0x00ff_00ff),
        ] {
            self.write(LIVENESS, size, value);
        }
        self.write(0, 4, 1);
        self.write(INTERRUPT_STATUS, 4, 1);
        self.write(0x10, 4, 1);
    }

    fn factorial(&mut self) {
        for number in [0, 1, 5, 12, 13, 20, 33, 34, 1000] {
            self.machine.write(FACTORIAL, 4, number);
            self.machine.wait_for_factorial();
            self.read(FACTORIAL, 4);
        }
        self.read(INTERRUPT_STATUS, 4);
        self.write(STATUS, 4, 0xffff_ffff);
        self.machine.write(FACTORIAL, 4, 6);
        self.machine.wait_for_factorial();
        self.pin(true);
        self.read(FACTORIAL, 4);
        self.read(INTERRUPT_STATUS, 4);
        self.machine.write(ACKNOWLEDGE, 4, 1);
        self.read(INTERRUPT_STATUS, 4);
        self.write(STATUS, 4, 0);
        self.machine.was_pin_raised(false);
        self.machine.write(FACTORIAL, 4, 7);
        self.machine.wait_for_factorial();
        self.pin(false);
        self.read(INTERRUPT_STATUS, 4);
    }

    fn interrupts(&mut self) {
        self.machine.write(RAISE, 4, 0);
        self.pin(false);
        self.machine.write(RAISE, 4, 0x10);
        self.pin(true);
        for (offset, value) in [(RAISE, 1), (ACKNOWLEDGE, 0x10), (ACKNOWLEDGE, 0xffff_ffff)] {
            self.machine.write(offset, 4, value);
            self.read(INTERRUPT_STATUS, 4);
        }
        self.machine.was_pin_raised(false);
        self.machine.write(RAISE, 4, 0x8000_0000);
        self.pin(true);
        self.machine.write(ACKNOWLEDGE, 4, 0x8000_0000);
        self.read(INTERRUPT_STATUS, 4);
        self.machine.was_pin_raised(false);
    }

    fn dma_registers(&mut self) {
        for offset in [SOURCE, DESTINATION, COUNT, COMMAND] {
            self.write(offset, 8, 0x1122_3344_5566_7788);
            self.write(offset, 4, 0x99aa_bbcc);
            self.write(offset + 4, 4, 0x1111_1110);
            self.write(offset, 2, 0x2222);
            self.write(offset, 1, 0x32);
        }
    }

    fn dma(&mut self) {
        let bytes: Vec<u8> = (0..4096_u32)
            .map(|n| (n * 7 + n / 256).to_le_bytes()[0])
            .collect();
        self.machine.poke(MEMORY + 0x800, &bytes);
        self.transfer(MEMORY + 0x800, BUFFER, 4096, 1);
        self.read(BUFFER, 4);
        self.transfer(BUFFER, MEMORY + 0x1_0000, 4096, 3);
        self.memory(MEMORY + 0x1_0000, 4096);
        self.transfer(BUFFER + 100, MEMORY + 0x2_0ff0, 50, 3);
        self.memory(MEMORY + 0x2_0fe0, 96);
        self.transfer(MEMORY + 0x900, BUFFER + 4095, 1, 1);
        self.transfer(BUFFER + 4080, MEMORY + 0x2_2000, 16, 3);
        self.memory(MEMORY + 0x2_2000, 24);

        // What is written while a transfer is under way is dropped.
        self.write(SOURCE, 8, BUFFER);
        self.write(DESTINATION, 8, MEMORY + 0x2_4000);
        self.write(COUNT, 8, 16);
        self.write(COMMAND, 4, 7);
        self.write(COUNT, 8, 32);
        self.write(DESTINATION, 8, MEMORY);
        self.write(COMMAND, 8, 0);
        self.read(INTERRUPT_STATUS, 4);
        self.machine.pass();
        self.pin(true);
        self.read(COMMAND, 8);
        self.read(INTERRUPT_STATUS, 4);
        self.memory(MEMORY + 0x2_4000, 32);
        self.machine.write(ACKNOWLEDGE, 4, 0x100);
        self.read(INTERRUPT_STATUS, 4);
        self.machine.was_pin_raised(false);
    }

    fn dma_at_its_limits(&mut self) {
        // Without its start bit a command is none.
        self.write(COMMAND, 4, 6);
        self.machine.pass();
        self.pin(false);
        self.read(COMMAND, 8);
        // Nothing moved, and yet ended.
        self.transfer(BUFFER, MEMORY + 0x2_6000, 0, 7);
        self.pin(true);
        self.memory(MEMORY + 0x2_6000, 16);
        self.machine.write(ACKNOWLEDGE, 4, 0x100);
        self.machine.was_pin_raised(false);
        // Beyond 28 bits of address.
        self.transfer(BUFFER, 0xff_1000_0000 + MEMORY + 0x2_7000, 16, 3);
        self.memory(MEMORY + 0x2_7000, 16);
        // More bits of the command than there are.
        self.transfer(BUFFER, MEMORY + 0x2_7800, 16, 0xffff_fffb);
        self.memory(MEMORY + 0x2_7800, 16);
        // Bus mastering is off.
        self.machine.set_command(2);
        self.transfer(BUFFER, MEMORY + 0x2_8000, 16, 3);
        self.memory(MEMORY + 0x2_8000, 16);
        self.machine.set_command(6);
    }

    fn message_signaled_interrupts(&mut self) {
        let mailbox = MEMORY + 0x3_0000;
        let msi = self.machine.capability(0x05);
        let address = u32::try_from(mailbox).expect("below 4 GiB");
        self.machine.write_config(msi + 4, address);
        self.machine.write_config(msi + 8, 0);
        self.machine.write_config(msi + 12, 0x4242);
        let control = self.machine.read_config(msi);
        self.machine.write_config(msi, control | 1 << 16);
        for cause in [0x1, 0x2] {
            self.machine.poke(mailbox, &[0; 4]);
            self.machine.write(RAISE, 4, cause);
            let word = self.machine.word_that_comes(mailbox, true);
            self.note(format!("message {word:#x}"));
        }
        self.pin(false);
        self.machine.write(ACKNOWLEDGE, 4, 3);
        self.machine.poke(mailbox, &[0; 4]);
        self.transfer(BUFFER, MEMORY + 0x2_9000, 16, 7);
        let word = self.machine.word_that_comes(mailbox, true);
        self.note(format!("message {word:#x}"));
        self.read(INTERRUPT_STATUS, 4);
        self.machine.write(ACKNOWLEDGE, 4, 0x100);
        self.read(INTERRUPT_STATUS, 4);
    }
}
