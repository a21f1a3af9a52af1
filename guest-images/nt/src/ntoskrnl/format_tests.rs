//! Tests of the format engine with arguments kept in a list.

use std::string::String;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

enum Value {
    Number(u64),
    Text(&'static str),
    Counted(&'static str),
}

struct List {
    values: Vec<Value>,
    next: usize,
}

impl Arguments for List {
    fn next(&mut self) -> u64 {
        self.next += 1;
        match self.values.get(self.next - 1) {
            Some(Value::Number(value)) => *value,
            Some(_) => self.next as u64,
            None => 0,
        }
    }

    fn narrow(&self, address: u64, limit: usize) -> Vec<u8> {
        match usize::try_from(address)
            .ok()
            .and_then(|at| self.values.get(at.checked_sub(1)?))
        {
            Some(Value::Text(text) | Value::Counted(text)) => text.bytes().take(limit).collect(),
            _ => Vec::new(),
        }
    }

    fn wide(&self, address: u64, limit: usize) -> Vec<u8> {
        let mut text = b"L:".to_vec();
        text.extend(self.narrow(address, limit));
        text
    }

    fn counted(&self, address: u64) -> Option<(u16, u64)> {
        match self
            .values
            .get(usize::try_from(address).ok()?.checked_sub(1)?)?
        {
            Value::Counted(text) => Some((u16::try_from(text.len() * 2).ok()?, address)),
            _ => None,
        }
    }
}

#[test]
fn conversions_print_as_the_kernels_runtime_does() {
    use Value::{Counted, Number, Text};
    let check = |text: &str, values: Vec<Value>, expected: &str| {
        let mut list = List { values, next: 0 };
        let output = format(Flavor::Narrow, text.as_bytes(), &mut list);
        assert_eq!(String::from_utf8_lossy(&output), expected, "{text}");
    };
    let minus_one = 0xffff_ffff;
    check("plain 100%%", vec![], "plain 100%");
    check(
        "%d %i %u",
        vec![Number(minus_one), Number(7), Number(minus_one)],
        "-1 7 4294967295",
    );
    check(
        "%x %X %#x",
        vec![Number(0xab), Number(0xab), Number(0xab)],
        "ab AB 0xab",
    );
    check("[%08lx]", vec![Number(0xdead_0000_0000_beef)], "[0000beef]");
    check(
        "%I64x %llu %Ix",
        vec![Number(1 << 40), Number(1 << 40), Number(1 << 40)],
        "10000000000 1099511627776 10000000000",
    );
    check(
        "%hd %hhu",
        vec![Number(0x1_8000), Number(0x1ff)],
        "-32768 255",
    );
    check(
        "%p",
        vec![Number(0xffff_8000_0000_1000)],
        "FFFF800000001000",
    );
    check(
        "[%6d|%-6d|%06d|%+d]",
        vec![Number(42), Number(42), Number(42), Number(42)],
        "[    42|42    |000042|+42]",
    );
    check(
        "[%.3d] [%5.2x]",
        vec![Number(7), Number(9)],
        "[007] [   09]",
    );
    check(
        "[%*d] [%-*d]",
        vec![Number(4), Number(1), Number(3), Number(2)],
        "[   1] [2  ]",
    );
    check(
        "%s|%5.2s|%-4s|",
        vec![Text("abc"), Text("abc"), Text("ab")],
        "abc|   ab|ab  |",
    );
    check(
        "%S %ls %ws %hs",
        vec![Text("a"), Text("b"), Text("c"), Text("d")],
        "L:a L:b L:c d",
    );
    check("%wZ %Z", vec![Counted("name"), Number(0)], "L:name (null)");
    check("%s %.3s", vec![Number(0), Number(0)], "(null) (nu");
    check("%c%c", vec![Number(65), Number(66)], "AB");
    check("%q %", vec![Number(1)], "%q %");
    check("%o", vec![Number(8)], "10");
}

#[test]
fn wide_flavor_turns_strings_round() {
    let mut list = List {
        values: vec![Value::Text("a"), Value::Text("b")],
        next: 0,
    };
    assert_eq!(format(Flavor::Wide, b"%s %S", &mut list), b"L:a b");
}

proptest! {
    #[test]
    fn any_format_ends_and_stays_bounded(text in prop::collection::vec(any::<u8>(), 0..64)) {
        let mut list = List { values: vec![], next: 0 };
        let output = format(Flavor::Narrow, &text, &mut list);
        prop_assert!(output.len() <= text.len() * (MAX_FIELD + 32));
    }
}
