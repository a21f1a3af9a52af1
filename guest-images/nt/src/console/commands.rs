//! Command lines from the harness: COM1 is polled at the idle tick; whole lines wait for the system
//! thread that runs the NT side's handler, one after the other.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;

use crate::arch::guarded::Guarded;
use crate::arch::port;

use super::Event;

const COM1: u16 = 0x3F8;
const LINE_STATUS: u16 = COM1 + 5;
const DATA_READY: u8 = 1;
/// The longest command line; a longer one is answered with `line too long` and dropped.
pub const MAX_COMMAND_BYTES: usize = 512;
/// Bytes taken from the port in one poll, so that a flood cannot hold the idle loop.
const BYTES_PER_POLL: usize = 2048;
/// Lines that may wait for the handler; the port is left alone while there are so many.
const MAX_WAITING_LINES: usize = 16;

/// Takes one command line, without its line end, at PASSIVE_LEVEL in a system thread.
pub type CommandHandler = fn(&str);

struct Receiver {
    handler: Option<CommandHandler>,
    line: LineBuffer,
    waiting: VecDeque<String>,
}

static RECEIVER: Guarded<Receiver> = Guarded::new(Receiver {
    handler: None,
    line: LineBuffer::new(),
    waiting: VecDeque::new(),
});

/// Registers who gets the command lines. Lines are left in the port until then.
pub fn set_command_handler(handler: CommandHandler) {
    RECEIVER.with(|receiver| receiver.handler = Some(handler));
}

/// Answers a command with its `command` event.
pub fn answer(line: &str, status: &str) {
    Event::new("command")
        .text("line", line)
        .text("status", status)
        .send();
}

/// Reads what has come on COM1; whether lines wait for [`run_waiting`].
pub fn poll_commands() -> bool {
    for _ in 0..BYTES_PER_POLL {
        let Some(received) = RECEIVER.with(|receiver| {
            let is_ready = receiver.handler.is_some() && receiver.waiting.len() < MAX_WAITING_LINES;
            let byte = is_ready.then(read_byte)??;
            Some(receiver.line.push(byte))
        }) else {
            break;
        };
        match received {
            Received::Partial => {}
            Received::TooLong => answer("", "line too long"),
            Received::Line(line) => match String::from_utf8(line) {
                Ok(text) => RECEIVER.with(|receiver| receiver.waiting.push_back(text)),
                Err(_) => answer("", "line is not UTF-8"),
            },
        }
    }
    RECEIVER.with(|receiver| !receiver.waiting.is_empty())
}

/// Calls the handler for each line that waits. In the command thread.
pub fn run_waiting() {
    while let Some((handler, line)) = RECEIVER.with(|receiver| {
        let line = receiver.waiting.pop_front()?;
        Some((receiver.handler?, line))
    }) {
        handler(&line);
    }
}

fn read_byte() -> Option<u8> {
    let status = port::read_u8(LINE_STATUS);
    // All ones: there is no such port on this machine.
    (status != 0xFF && status & DATA_READY != 0).then(|| port::read_u8(COM1))
}

/// Gathers bytes up to the line end.
struct LineBuffer {
    bytes: Vec<u8>,
    overflow: bool,
}

enum Received {
    Partial,
    TooLong,
    Line(Vec<u8>),
}

impl LineBuffer {
    const fn new() -> Self {
        Self {
            bytes: Vec::new(),
            overflow: false,
        }
    }

    fn push(&mut self, byte: u8) -> Received {
        match byte {
            b'\r' => {}
            b'\n' => {
                let line = core::mem::replace(self, Self::new());
                if line.overflow {
                    return Received::TooLong;
                }
                if !line.bytes.is_empty() {
                    return Received::Line(line.bytes);
                }
            }
            _ if self.bytes.len() == MAX_COMMAND_BYTES => self.overflow = true,
            _ => self.bytes.push(byte),
        }
        Received::Partial
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

    fn lines_of(input: &[u8]) -> Vec<String> {
        let mut buffer = LineBuffer::new();
        let mut lines = Vec::new();
        for byte in input {
            match buffer.push(*byte) {
                Received::Partial => {}
                Received::TooLong => lines.push("<too long>".to_string()),
                Received::Line(line) => {
                    lines.push(String::from_utf8_lossy(&line).into_owned());
                }
            }
        }
        lines
    }

    #[test]
    fn lines_are_split_and_empty_ones_dropped() {
        assert_eq!(
            lines_of(b"pnp start dut0\r\n\n\r\nshutdown\npart"),
            ["pnp start dut0", "shutdown"]
        );
    }

    #[test]
    fn overlong_line_is_refused_and_the_next_one_taken() {
        let mut input = vec![b'a'; MAX_COMMAND_BYTES + 1];
        input.extend_from_slice(b"\nnext\n");
        assert_eq!(lines_of(&input), ["<too long>", "next"]);
    }
}
