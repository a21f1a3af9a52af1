//! The committed C header is what the ABI crate says today, and its asserts bite.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use xtask::header;

#[test]
fn committed_header_is_what_the_generator_makes() {
    let committed = fs::read_to_string(header::path()).expect("the header is committed");
    let generated = header::generate().expect("the ABI crate parses");
    assert!(
        committed == generated,
        "{} is out of date\nhelp: cargo xtask header",
        header::path().display()
    );
}

/// Compiles `text` as the header, in C for this machine; true when the compiler takes it.
fn compiles(name: &str, text: &str) -> bool {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("the temporary folder is writable");
    let output = Command::new("cc")
        .args(["-std=gnu11", "-fsyntax-only", "-x", "c"])
        .arg(&path)
        .output()
        .expect("Rust itself needs cc");
    output.status.success()
}

#[test]
fn layout_that_differs_from_rust_stops_the_compiler() {
    let header = header::generate().expect("the ABI crate parses");
    assert!(compiles("same.h", &header));
    let edits = [
        // A field less, a field wider, two fields swapped.
        ("  uint64_t tag;\n", ""),
        ("  uint16_t outcome;\n", "  uint32_t outcome;\n"),
        ("  uint8_t expected;\n", "  uint16_t expected;\n"),
    ];
    for (from, to) in edits {
        assert!(header.contains(from), "{from} is no longer in the header");
        assert!(
            !compiles("changed.h", &header.replacen(from, to, 1)),
            "{from} -> {to}"
        );
    }
}
