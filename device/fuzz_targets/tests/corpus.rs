//! Replays the committed inputs: the seeds, what libFuzzer kept, and what once was a finding.

use std::fs;
use std::path::Path;

use fuzz_targets::TARGETS;

/// Inputs that a target must have: an empty folder tests nothing.
const MIN_INPUTS: usize = 1;

#[test]
fn every_input_of_the_corpus_goes_through() {
    for (name, body) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(name);
        let mut files: Vec<_> = fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.expect("entry").path())
            .collect();
        files.sort();
        assert!(files.len() >= MIN_INPUTS, "{} is empty", folder.display());
        for file in files {
            let data = fs::read(&file).expect("input");
            // Captured, and shown when an input makes its target panic.
            println!("{}", file.display());
            body(&data);
        }
    }
}

#[test]
fn input_without_meaning_goes_through_every_target() {
    for (name, body) in TARGETS {
        for length in [0, 1, 2, 64, 4096] {
            println!("{name}: {length} bytes");
            body(&vec![0xa5; length]);
        }
    }
}
