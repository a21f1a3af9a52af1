//! [`Comparison`]: a trace against a recorded one, line by line, up to the first difference.

use std::io::{BufRead, Read};
use std::sync::{Arc, Mutex};

use super::stream::LineSink;

/// Longest line of a recorded trace that is looked at.
const MAX_LINE_BYTES: u64 = 64 << 10;

/// The first record in which two traces differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its number, from 1.
    pub record: u64,
    /// What was recorded; nothing if the recorded trace ends there.
    pub expected: Option<String>,
    /// What came now; nothing if this trace ends there.
    pub seen: Option<String>,
}

/// What a comparison has found so far.
#[derive(Debug, Default)]
struct Found {
    n_same: u64,
    /// The recorded trace is at its end.
    is_over: bool,
    difference: Option<Difference>,
}

/// Compares each line with the next of a recorded trace. Clones share what was found, so one can be
/// the sink of a trace while another is asked.
pub struct Comparison<R> {
    recorded: Arc<Mutex<R>>,
    found: Arc<Mutex<Found>>,
}

impl<R> Clone for Comparison<R> {
    fn clone(&self) -> Self {
        Self {
            recorded: Arc::clone(&self.recorded),
            found: Arc::clone(&self.found),
        }
    }
}

impl<R: BufRead> Comparison<R> {
    /// A comparison with `recorded`, which may end early.
    pub fn new(recorded: R) -> Self {
        Self {
            recorded: Arc::new(Mutex::new(recorded)),
            found: Arc::default(),
        }
    }

    /// Lines that were the same.
    #[must_use]
    pub fn n_same(&self) -> u64 {
        lock(&self.found).n_same
    }

    /// The first difference. A recorded trace that ends early is none: it may be cut.
    #[must_use]
    pub fn difference(&self) -> Option<Difference> {
        lock(&self.found).difference.clone()
    }

    /// The next recorded line, which this trace has not; nothing if the recorded one is over.
    #[must_use]
    pub fn next_recorded(&self) -> Option<String> {
        let line = read_line(&mut *lock(&self.recorded))?;
        Some(text(&line))
    }
}

impl<R: BufRead + Send> LineSink for Comparison<R> {
    fn line(&mut self, number: u64, line: &[u8]) {
        let mut found = lock(&self.found);
        if found.is_over || found.difference.is_some() {
            return;
        }
        match read_line(&mut *lock(&self.recorded)) {
            None => found.is_over = true,
            Some(recorded) if recorded == line => found.n_same += 1,
            Some(recorded) => {
                found.difference = Some(Difference {
                    record: number,
                    expected: Some(text(&recorded)),
                    seen: Some(text(line)),
                });
            }
        }
    }
}

/// A whole line; a last one without newline was cut off by a kill and does not count.
fn read_line(recorded: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut bounded = recorded.take(MAX_LINE_BYTES);
    bounded.read_until(b'\n', &mut line).ok()?;
    line.ends_with(b"\n").then_some(line)
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end().to_owned()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no holder of it panics")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(recorded: &str, now: &[&str]) -> Comparison<std::io::Cursor<Vec<u8>>> {
        let comparison = Comparison::new(std::io::Cursor::new(recorded.as_bytes().to_vec()));
        let mut sink = comparison.clone();
        for (number, line) in (1..).zip(now) {
            sink.line(number, format!("{line}\n").as_bytes());
        }
        comparison
    }

    #[test]
    fn the_first_different_line_is_named() {
        let comparison = compare("a\nb\nc\n", &["a", "x", "y"]);
        let difference = comparison.difference().expect("a difference");
        assert_eq!(difference.record, 2);
        assert_eq!(difference.expected.as_deref(), Some("b"));
        assert_eq!(difference.seen.as_deref(), Some("x"));
        assert_eq!(comparison.n_same(), 1);
    }

    #[test]
    fn a_recorded_trace_that_ends_early_is_no_difference() {
        let comparison = compare("a\nb\ncut of", &["a", "b", "cut off"]);
        assert_eq!(comparison.difference(), None);
        assert_eq!(comparison.n_same(), 2);
    }

    #[test]
    fn a_trace_that_ends_early_leaves_recorded_lines() {
        let comparison = compare("a\nb\n", &["a"]);
        assert_eq!(comparison.next_recorded().as_deref(), Some("b"));
        assert_eq!(comparison.next_recorded(), None);
    }
}
