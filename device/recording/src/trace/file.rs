//! [`TraceFile`]: the lines of a trace in a file of bounded size.

use std::io::{BufWriter, Write};

use super::stream::LineSink;

/// Size of a trace file unless told otherwise.
pub const DEFAULT_MAX_TRACE_BYTES: u64 = 64 << 20;

/// Lines up to a bound; what comes later is hashed only. It ends at a whole line, unless the process
/// was killed.
pub struct TraceFile<W: Write> {
    file: BufWriter<W>,
    /// 0 once the file is full or could not be written.
    left_bytes: u64,
}

impl<W: Write> TraceFile<W> {
    /// A file that takes at most `max_bytes`.
    pub fn new(file: W, max_bytes: u64) -> Self {
        Self {
            file: BufWriter::with_capacity(64 << 10, file),
            left_bytes: max_bytes,
        }
    }
}

impl<W: Write + Send> LineSink for TraceFile<W> {
    fn line(&mut self, _: u64, line: &[u8]) {
        let len_bytes = u64::try_from(line.len()).unwrap_or(u64::MAX);
        self.left_bytes = match self.left_bytes.checked_sub(len_bytes) {
            Some(left) if self.file.write_all(line).is_ok() => left,
            _ => 0,
        };
    }

    fn flush(&mut self) {
        if self.file.flush().is_err() {
            self.left_bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("lock").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_file_ends_at_a_whole_line() {
        let written = Shared::default();
        let mut file = TraceFile::new(written.clone(), 10);
        for (number, line) in [(1, "four\n"), (2, "much too long\n"), (3, "no\n")] {
            file.line(number, line.as_bytes());
        }
        file.flush();
        assert_eq!(*written.0.lock().expect("lock"), b"four\n");
    }
}
