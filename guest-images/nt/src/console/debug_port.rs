//! The debug console: port 0xE9, one byte after the other, lines kept whole.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, Ordering};

use crate::arch::{interrupts, port};

const DEBUG_PORT: u16 = 0xE9;

/// Whether the last byte written ended a line; a machine line must start one.
static AT_LINE_START: AtomicBool = AtomicBool::new(true);

/// Writes one line of text; [`crate::log!`] is the convenient face.
pub fn log(arguments: fmt::Arguments<'_>) {
    interrupts::without(|| {
        let mut writer = TextWriter;
        // The port takes every byte.
        let _ = writer.write_fmt(arguments);
        end_line();
    });
}

/// Writes raw text as a driver's `DbgPrint` gives it: with or without line ends.
pub fn log_text(text: &[u8]) {
    interrupts::without(|| write_text(text));
}

/// Writes a closed machine line, on a line of its own.
pub(super) fn machine_line(line: &[u8]) {
    interrupts::without(|| {
        end_line();
        port::write_bytes(DEBUG_PORT, line);
    });
}

fn end_line() {
    if !AT_LINE_START.swap(true, Ordering::Relaxed) {
        port::write_bytes(DEBUG_PORT, b"\n");
    }
}

/// Text lines never start with `@`, or a driver could forge machine lines.
fn write_text(text: &[u8]) {
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if line.starts_with(b"@") && AT_LINE_START.load(Ordering::Relaxed) {
            port::write_bytes(DEBUG_PORT, b" ");
        }
        port::write_bytes(DEBUG_PORT, line);
        AT_LINE_START.store(line.ends_with(b"\n"), Ordering::Relaxed);
    }
}

struct TextWriter;

impl Write for TextWriter {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write_text(text.as_bytes());
        Ok(())
    }
}
