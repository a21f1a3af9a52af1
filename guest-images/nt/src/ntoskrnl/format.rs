//! The format engine of `DbgPrint`, `_snprintf` and their wide and `v` siblings.
//!
//! A win64 `va_list` is a pointer to 8-byte slots; [`Arguments`] hides it (and every pointer behind it)
//! so that the engine is safe code, tested on the host. Unknown conversions are printed as they stand,
//! as the C runtime does; nothing here trusts a length that the arguments do not bound.

use alloc::vec::Vec;

/// Longest text that one conversion may produce (widths and strings alike).
const MAX_FIELD: usize = 4096;

/// Where the arguments come from.
pub trait Arguments {
    /// The next 8-byte slot.
    fn next(&mut self) -> u64;
    /// Byte text at `address`, up to its zero or `limit` bytes.
    fn narrow(&self, address: u64, limit: usize) -> Vec<u8>;
    /// UTF-16 text at `address`, up to its zero or `limit` units, as UTF-8 bytes.
    fn wide(&self, address: u64, limit: usize) -> Vec<u8>;
    /// ANSI_STRING or UNICODE_STRING at `address`: length in bytes and buffer.
    fn counted(&self, address: u64) -> Option<(u16, u64)>;
}

/// Which strings `%s` and `%S` mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavor {
    /// `printf`: `%s` is narrow.
    Narrow,
    /// `wprintf`: `%s` is wide.
    Wide,
}

/// Formats `format` with `arguments` into UTF-8 text.
pub fn format(flavor: Flavor, format: &[u8], arguments: &mut dyn Arguments) -> Vec<u8> {
    let mut output = Vec::new();
    let mut rest = format;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'%' {
            output.push(byte);
            rest = tail;
            continue;
        }
        match Conversion::parse(tail, arguments) {
            Some((conversion, tail)) => {
                conversion.write(flavor, arguments, &mut output);
                rest = tail;
            }
            None => {
                output.push(byte);
                rest = tail;
            }
        }
    }
    output
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Size {
    Byte,
    Short,
    Int,
    Long64,
    WideString,
}

struct Conversion {
    left: bool,
    plus: Option<u8>,
    alternate: bool,
    zero: bool,
    width: usize,
    precision: Option<usize>,
    size: Option<Size>,
    kind: u8,
}

impl Conversion {
    fn parse<'text>(
        mut rest: &'text [u8],
        arguments: &mut dyn Arguments,
    ) -> Option<(Self, &'text [u8])> {
        let mut conversion = Self {
            left: false,
            plus: None,
            alternate: false,
            zero: false,
            width: 0,
            precision: None,
            size: None,
            kind: 0,
        };
        while let Some((&flag, tail)) = rest.split_first() {
            match flag {
                b'-' => conversion.left = true,
                b'+' => conversion.plus = Some(b'+'),
                b' ' => conversion.plus = conversion.plus.or(Some(b' ')),
                b'#' => conversion.alternate = true,
                b'0' => conversion.zero = true,
                _ => break,
            }
            rest = tail;
        }
        let (width, tail) = number(rest, arguments);
        if let Some(width) = width {
            conversion.left |= width < 0;
            conversion.width = clamp(width.unsigned_abs());
        }
        rest = tail;
        if let Some(tail) = rest.strip_prefix(b".") {
            let (precision, tail) = number(tail, arguments);
            // A negative precision counts as none.
            conversion.precision = match precision.unwrap_or(0) {
                value if value >= 0 => Some(clamp(value.unsigned_abs())),
                _ => None,
            };
            rest = tail;
        }
        (conversion.size, rest) = size_prefix(rest);
        let (&kind, tail) = rest.split_first()?;
        conversion.kind = kind;
        b"diouxXpcCsSZ%n"
            .contains(&kind)
            .then_some((conversion, tail))
    }

    fn write(&self, flavor: Flavor, arguments: &mut dyn Arguments, output: &mut Vec<u8>) {
        match self.kind {
            b'%' => output.push(b'%'),
            // Never written to: `%n` is refused by the kernel's runtime, too.
            b'n' => {
                arguments.next();
            }
            b'c' | b'C' => {
                let code = u32::from(self.truncated(arguments.next()).to_le_bytes()[0]);
                let text: Vec<u8> = char::from_u32(code).map_or(Vec::new(), utf8);
                self.pad(&text, output);
            }
            b's' | b'S' => self.write_string(flavor, arguments, output),
            b'Z' => self.write_counted(arguments, output),
            b'p' => {
                let digits = digits(arguments.next(), 16, true);
                self.pad(&padded(digits, 16), output);
            }
            _ => self.write_integer(arguments.next(), output),
        }
    }

    fn write_string(&self, flavor: Flavor, arguments: &mut dyn Arguments, output: &mut Vec<u8>) {
        let address = arguments.next();
        let limit = self.precision.unwrap_or(MAX_FIELD);
        let is_wide = match self.size {
            Some(Size::WideString | Size::Int) => true,
            Some(Size::Short) => false,
            _ => (self.kind == b'S') != (flavor == Flavor::Wide),
        };
        let text = match (address, is_wide) {
            (0, _) => b"(null)"[..limit.min(6)].to_vec(),
            (_, true) => arguments.wide(address, limit),
            (_, false) => arguments.narrow(address, limit),
        };
        self.pad(&text, output);
    }

    fn write_counted(&self, arguments: &mut dyn Arguments, output: &mut Vec<u8>) {
        let address = arguments.next();
        let is_wide = matches!(self.size, Some(Size::WideString | Size::Int));
        let text = match arguments.counted(address) {
            Some((length, buffer)) if buffer != 0 => {
                let units = usize::from(length) / if is_wide { 2 } else { 1 };
                let limit = units.min(self.precision.unwrap_or(MAX_FIELD));
                if is_wide {
                    arguments.wide(buffer, limit)
                } else {
                    arguments.narrow(buffer, limit)
                }
            }
            _ => b"(null)".to_vec(),
        };
        self.pad(&text, output);
    }

    fn write_integer(&self, slot: u64, output: &mut Vec<u8>) {
        let value = self.truncated(slot);
        let is_signed = matches!(self.kind, b'd' | b'i');
        let signed = self.sign_extended(value);
        let magnitude = if is_signed {
            signed.unsigned_abs()
        } else {
            value
        };
        let mut text = match self.kind {
            b'x' => digits(magnitude, 16, false),
            b'X' => digits(magnitude, 16, true),
            b'o' => digits(magnitude, 8, false),
            _ => digits(magnitude, 10, false),
        };
        if let Some(precision) = self.precision {
            text = padded(text, precision);
        }
        let mut prefix: Vec<u8> = match self.kind {
            b'x' if self.alternate && magnitude != 0 => b"0x".to_vec(),
            b'X' if self.alternate && magnitude != 0 => b"0X".to_vec(),
            _ => Vec::new(),
        };
        if is_signed && signed < 0 {
            prefix.push(b'-');
        } else if is_signed {
            prefix.extend(self.plus);
        }
        if self.zero && !self.left && self.precision.is_none() {
            text = padded(text, self.width.saturating_sub(prefix.len()));
        }
        prefix.extend(text);
        self.pad(&prefix, output);
    }

    fn truncated(&self, slot: u64) -> u64 {
        match self.size {
            Some(Size::Byte) => slot & 0xff,
            Some(Size::Short) => slot & 0xffff,
            Some(Size::Long64) => slot,
            Some(Size::Int | Size::WideString) | None => slot & 0xffff_ffff,
        }
    }

    fn sign_extended(&self, value: u64) -> i64 {
        let bits = match self.size {
            Some(Size::Byte) => 8,
            Some(Size::Short) => 16,
            Some(Size::Long64) => 64,
            Some(Size::Int | Size::WideString) | None => 32,
        };
        (value << (64 - bits)).cast_signed() >> (64 - bits)
    }

    fn pad(&self, text: &[u8], output: &mut Vec<u8>) {
        let missing = self.width.saturating_sub(text.len());
        if !self.left {
            output.resize(output.len() + missing, b' ');
        }
        output.extend_from_slice(text);
        if self.left {
            output.resize(output.len() + missing, b' ');
        }
    }
}

/// A decimal number, or `*` for the next argument.
fn number<'text>(
    mut rest: &'text [u8],
    arguments: &mut dyn Arguments,
) -> (Option<i64>, &'text [u8]) {
    if let Some(tail) = rest.strip_prefix(b"*") {
        let value = (arguments.next() << 32).cast_signed() >> 32;
        return (Some(value), tail);
    }
    let mut value = None;
    while let Some((digit @ b'0'..=b'9', tail)) = rest.split_first() {
        let next = value.unwrap_or(0i64) * 10 + i64::from(digit - b'0');
        value = Some(next.min(1 << 20));
        rest = tail;
    }
    (value, rest)
}

fn size_prefix(rest: &[u8]) -> (Option<Size>, &[u8]) {
    // The longest prefix first. On Windows `l` is 32 bits wide, and makes a string wide.
    let prefixes: [(&[u8], Size); 11] = [
        (b"I64", Size::Long64),
        (b"I32", Size::Int),
        (b"ll", Size::Long64),
        (b"hh", Size::Byte),
        (b"I", Size::Long64),
        (b"z", Size::Long64),
        (b"j", Size::Long64),
        (b"t", Size::Long64),
        (b"l", Size::Int),
        (b"h", Size::Short),
        (b"w", Size::WideString),
    ];
    for (prefix, size) in prefixes {
        if let Some(tail) = rest.strip_prefix(prefix) {
            return (Some(size), tail);
        }
    }
    (None, rest)
}

fn clamp(value: u64) -> usize {
    usize::try_from(value).unwrap_or(MAX_FIELD).min(MAX_FIELD)
}

fn digits(mut value: u64, base: u64, upper: bool) -> Vec<u8> {
    let table: &[u8; 16] = if upper {
        b"0123456789ABCDEF"
    } else {
        b"0123456789abcdef"
    };
    let mut text = Vec::new();
    loop {
        text.push(table[usize::try_from(value % base).unwrap_or(0)]);
        value /= base;
        if value == 0 {
            text.reverse();
            return text;
        }
    }
}

fn padded(mut text: Vec<u8>, width: usize) -> Vec<u8> {
    let missing = width.saturating_sub(text.len());
    text.splice(0..0, core::iter::repeat_n(b'0', missing));
    text
}

fn utf8(character: char) -> Vec<u8> {
    character.encode_utf8(&mut [0; 4]).as_bytes().to_vec()
}

#[cfg(test)]
#[path = "format_tests.rs"]
mod tests;
