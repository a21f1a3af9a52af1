//! [`ConsoleReader`]: turns the debug console's stream into [`ConsoleLine`]s, and keeps a log.

use std::fs::File;
use std::io::{BufReader, Read, Write};

use super::event::GuestEvent;
use super::lines::LineReader;

/// Most bytes of console that go into the log; a guest in a printing loop must not fill the disk.
const CONSOLE_LOG_MAX_BYTES: u64 = 64 << 20;

/// One line of the guest.
#[derive(Clone, Debug, PartialEq)]
pub enum ConsoleLine {
    /// Free text.
    Text(String),
    /// A machine line.
    Event(GuestEvent),
}

impl ConsoleLine {
    fn parse(text: String) -> Self {
        match text.strip_prefix('@') {
            Some(json) => Self::Event(GuestEvent::parse(json)),
            None => Self::Text(text),
        }
    }
}

/// Reads until QEMU closes the stream. It must always be drained, or the guest stalls.
#[derive(Debug)]
pub struct ConsoleReader<R> {
    lines: LineReader<BufReader<R>>,
    log: Option<File>,
    room: u64,
}

impl<R: Read> ConsoleReader<R> {
    /// Reads `stream`, copying each line to `log`.
    pub fn new(stream: R, log: Option<File>) -> Self {
        Self {
            lines: LineReader::new(BufReader::new(stream)),
            log,
            room: CONSOLE_LOG_MAX_BYTES,
        }
    }
}

impl<R: Read> Iterator for ConsoleReader<R> {
    type Item = ConsoleLine;

    /// The next line; `None` at the end of the stream, or when it fails, which for a socket whose
    /// peer was killed is the same.
    fn next(&mut self) -> Option<ConsoleLine> {
        let line = self.lines.next_line().ok()??;
        let needed = line.text.len() as u64 + 1;
        if let Some(log) = &mut self.log
            && needed <= self.room
        {
            self.room -= needed;
            let _ = writeln!(log, "{}", line.text);
        }
        Some(ConsoleLine::parse(line.text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::GuestEventKind;

    #[test]
    fn text_and_events_come_apart() {
        let input = b"hello\n@{\"event\":\"goodbye\",\"reason\":\"shutdown\"}\nmail@host\n";
        let lines: Vec<ConsoleLine> = ConsoleReader::new(&input[..], None).collect();
        assert_eq!(lines[0], ConsoleLine::Text("hello".into()));
        assert!(matches!(
            &lines[1],
            ConsoleLine::Event(GuestEvent {
                kind: GuestEventKind::Goodbye { .. },
                ..
            })
        ));
        assert_eq!(lines[2], ConsoleLine::Text("mail@host".into()));
    }
}
