//! [`LineReader`]: lines of bounded length from a stream that nobody vouches for.

use std::io::{self, BufRead};

/// Longest line that is kept whole; the rest of a longer one is dropped and the line marked.
pub const LINE_MAX_BYTES: usize = 64 << 10;

/// One line, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Whether its tail was dropped.
    pub is_cut: bool,
}

/// Reads lines; see [`LINE_MAX_BYTES`].
#[derive(Debug)]
pub struct LineReader<R> {
    source: R,
}

impl<R: BufRead> LineReader<R> {
    /// Wraps a buffered stream.
    pub const fn new(source: R) -> Self {
        Self { source }
    }

    /// The next line, or `None` at the end of the stream. A last line without its end counts.
    ///
    /// # Errors
    /// Reading fails.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        let mut bytes = Vec::new();
        let mut is_cut = false;
        let mut is_empty = true;
        loop {
            let chunk = match self.source.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if chunk.is_empty() {
                break;
            }
            is_empty = false;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let (content, used) = match end {
                Some(end) => (&chunk[..end], end + 1),
                None => (chunk, chunk.len()),
            };
            let room = LINE_MAX_BYTES - bytes.len();
            is_cut |= content.len() > room;
            bytes.extend_from_slice(&content[..content.len().min(room)]);
            self.source.consume(used);
            if end.is_some() {
                break;
            }
        }
        if is_empty {
            return Ok(None);
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Some(Line { text, is_cut }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn read(input: &[u8]) -> Vec<Line> {
        // A tiny buffer makes lines cross its edge.
        let mut reader = LineReader::new(BufReader::with_capacity(3, input));
        std::iter::from_fn(|| reader.next_line().expect("a slice reads")).collect()
    }

    #[test]
    fn lines_are_split_and_the_last_needs_no_end() {
        let lines = read(b"one\r\n\ntwo");
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["one", "", "two"]);
    }

    #[test]
    fn endless_line_is_cut_and_the_next_one_is_whole() {
        let mut input = vec![b'x'; LINE_MAX_BYTES + 5];
        input.extend_from_slice(b"\nnext\n");
        let lines = read(&input);
        assert_eq!(lines[0].text.len(), LINE_MAX_BYTES);
        assert!(lines[0].is_cut);
        assert_eq!((lines[1].text.as_str(), lines[1].is_cut), ("next", false));
    }

    #[test]
    fn bytes_that_are_not_text_are_replaced() {
        assert_eq!(read(b"a\xffb")[0].text, "a\u{fffd}b");
    }
}
