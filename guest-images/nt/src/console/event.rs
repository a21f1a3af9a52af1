//! [`Event`]: one machine line, `@{"event":"name", ...}`, built in a fixed buffer.

use core::fmt::{self, Write};

use super::debug_port;

/// Room for one line; a longer text value is cut, never the line's closing.
const LINE_BYTES: usize = 1024;
/// Kept free so that a quote, the closing brace and the line end always fit.
const RESERVE_BYTES: usize = 8;
/// Room that a number, its key and punctuation ask for.
const NUMBER_BYTES: usize = 24;

/// One machine line being built; [`Event::send`] writes it. Numbers go out as `"0x.."` strings.
#[must_use = "an event is written by `send`"]
pub struct Event {
    line: [u8; LINE_BYTES],
    len: usize,
}

impl Event {
    /// Starts the line of the event `name`.
    pub fn new(name: &str) -> Self {
        let mut event = Self {
            line: [0; LINE_BYTES],
            len: 0,
        };
        event.raw(b"@{\"event\":\"");
        event.escaped(name);
        event.raw(b"\"");
        event
    }

    /// Adds a text field; what does not fit is cut.
    pub fn text(self, key: &str, value: &str) -> Self {
        self.display(key, &value)
    }

    /// Adds a field with anything that can be displayed, as text.
    pub fn display(mut self, key: &str, value: &dyn fmt::Display) -> Self {
        if self.open(key) {
            self.raw(b"\"");
            // Cutting is the fixed buffer's answer to a long value, not an error.
            let _ = write!(Escaped(&mut self), "{value}");
            self.raw(b"\"");
        }
        self
    }

    /// Adds a number as a `"0x.."` string.
    pub fn hex(self, key: &str, value: u64) -> Self {
        self.display(key, &format_args!("{value:#x}"))
    }

    /// Adds a list of numbers as `"0x.."` strings.
    pub fn hex_list(mut self, key: &str, values: &[u64]) -> Self {
        if self.open(key) {
            self.raw(b"[");
            for (idx, value) in values.iter().enumerate() {
                if self.room() < NUMBER_BYTES {
                    break;
                }
                if idx > 0 {
                    self.raw(b",");
                }
                let _ = write!(Raw(&mut self), "\"{value:#x}\"");
            }
            self.raw(b"]");
        }
        self
    }

    /// Writes the line to the debug console.
    pub fn send(mut self) {
        debug_port::machine_line(self.close());
    }

    fn close(&mut self) -> &[u8] {
        for byte in *b"}\n" {
            self.line[self.len] = byte;
            self.len += 1;
        }
        &self.line[..self.len]
    }

    /// Writes `,"key":` if a value of some use still fits behind it.
    fn open(&mut self, key: &str) -> bool {
        if self.room() < key.len() + NUMBER_BYTES {
            return false;
        }
        self.raw(b",\"");
        self.escaped(key);
        self.raw(b"\":");
        true
    }

    fn room(&self) -> usize {
        LINE_BYTES - RESERVE_BYTES - self.len
    }

    /// Punctuation: may use the reserve but for the last two bytes.
    fn raw(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.len < LINE_BYTES - 2 {
                self.line[self.len] = *byte;
                self.len += 1;
            }
        }
    }

    fn escaped(&mut self, text: &str) {
        for character in text.chars() {
            let mut utf8 = [0; 4];
            let mut escape = [b'\\', b'u', b'0', b'0', 0, 0];
            let bytes: &[u8] = match character {
                '"' => b"\\\"",
                '\\' => b"\\\\",
                '\n' => b"\\n",
                control if u32::from(control) < 0x20 => {
                    let digits = b"0123456789abcdef";
                    let code = control as usize;
                    escape[4] = digits[code >> 4];
                    escape[5] = digits[code & 15];
                    &escape
                }
                other => other.encode_utf8(&mut utf8).as_bytes(),
            };
            if self.room() < bytes.len() {
                return;
            }
            self.raw(bytes);
        }
    }
}

struct Escaped<'event>(&'event mut Event);

impl Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.escaped(text);
        Ok(())
    }
}

struct Raw<'event>(&'event mut Event);

impl Write for Raw<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.raw(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;

    fn rendered(mut event: Event) -> String {
        String::from_utf8(event.close().to_vec()).expect("an event is UTF-8")
    }

    #[test]
    fn fields_come_out_as_one_json_object() {
        let event = Event::new("image")
            .text("name", "a\"b\\c\n\u{1}")
            .hex("base", 0xffff_f800_0000_0000)
            .hex_list("parameters", &[1, 2]);

        assert_eq!(
            rendered(event),
            "@{\"event\":\"image\",\"name\":\"a\\\"b\\\\c\\n\\u0001\",\
             \"base\":\"0xfffff80000000000\",\"parameters\":[\"0x1\",\"0x2\"]}\n"
        );
    }

    #[test]
    fn overlong_value_is_cut_and_the_line_still_closes() {
        let long = "é\"".repeat(LINE_BYTES);
        let many = [u64::MAX; 200];

        let line = rendered(Event::new("x").text("a", &long).hex("b", 1));
        assert!(line.len() <= LINE_BYTES);
        assert!(line.ends_with("\"}\n"), "{line}");

        let line = rendered(Event::new("x").hex_list("a", &many).text("b", &long));
        assert!(line.len() <= LINE_BYTES);
        assert!(line.ends_with("]}\n"), "{line}");
    }
}
