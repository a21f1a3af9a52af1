//! Tests of the loader's file side, on files built in memory.

use std::string::{String, ToString};
use std::vec::Vec;

use proptest::prelude::*;

use super::sample::{self, DEFAULT_COOKIE, IMAGE_BYTES, OPTIONAL, SECTIONS, put};
use super::*;

const BASE: u64 = 0xFFFF_F880_1234_0000;

struct Recorder {
    seen: Vec<String>,
    strict: bool,
}

impl Binding for Recorder {
    fn bind(&mut self, import: Import<'_>) -> Result<u64, PeError> {
        if self.strict && import.name == "KeWhatever" {
            return Err(PeError::MissingImport {
                dll: import.dll.to_string(),
                name: import.name.to_string(),
            });
        }
        self.seen
            .push(std::format!("{}!{}", import.dll, import.name));
        Ok(0x1000 + self.seen.len() as u64)
    }
}

fn load(words: &[u64], strict: bool) -> Result<(Prepared, Vec<u8>, Vec<String>), PeError> {
    let file = PeFile::parse(sample::bytes(words))?;
    let mut image = std::vec![0; file.image_bytes() as usize];
    let mut recorder = Recorder {
        seen: Vec::new(),
        strict,
    };
    let prepared = prepare(
        &file,
        &mut image,
        BASE,
        0x1234_5678_9ABC_DEF0,
        &mut recorder,
    )?;
    Ok((prepared, image, recorder.seen))
}

fn altered(change: impl FnOnce(&mut Vec<u8>)) -> Result<(), PeError> {
    let mut bytes = sample::bytes(&sample::driver()).to_vec();
    change(&mut bytes);
    load(&sample::words(&bytes), false).map(|_| ())
}

fn word_at(image: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(image[offset..offset + 8].try_into().expect("8 bytes"))
}

#[test]
fn sound_driver_is_laid_out_relocated_bound_and_seeded() {
    let (prepared, image, imports) = load(&sample::driver(), false).expect("a sound driver");

    assert_eq!(prepared.entry, BASE + 0x1000);
    assert_eq!(image.len(), IMAGE_BYTES);
    assert_eq!(image[0x1000], 0xC3);
    assert_eq!(word_at(&image, sample::POINTER_RVA), BASE + 0x2000);
    assert_eq!(word_at(&image, sample::SLOTS_RVA), 0x1001);
    assert_eq!(word_at(&image, sample::SLOTS_RVA + 8), 0x1002);
    assert_eq!(
        imports,
        ["NTOSKRNL.exe!DbgPrint", "NTOSKRNL.exe!KeWhatever"]
    );
    let cookie = word_at(&image, sample::COOKIE_RVA);
    assert_eq!(cookie, 0x5678_9ABC_DEF0);
    assert_ne!(cookie, DEFAULT_COOKIE);
}

#[test]
fn missing_import_under_strict_fails_the_load_by_name() {
    let error = load(&sample::driver(), true).expect_err("strict imports");
    assert_eq!(
        error.to_string(),
        "import NTOSKRNL.exe!KeWhatever is missing"
    );
}

#[test]
fn sections_keep_their_protections() {
    let words = sample::driver();
    let file = PeFile::parse(sample::bytes(&words)).expect("a sound driver");
    let flags: Vec<_> = file
        .sections()
        .iter()
        .map(|section| (section.protection.writable, section.protection.executable))
        .collect();
    assert_eq!(flags, [(false, true), (true, false), (false, false)]);
}

#[test]
fn each_broken_header_is_named() {
    let check = |offset: usize, value: &[u8], expected: &str| {
        let error = altered(|file| put(file, offset, value)).expect_err(expected);
        assert!(
            error.to_string().contains(expected),
            "{error} (expected {expected})"
        );
        assert!(!error.help().is_empty());
    };
    check(0, b"XX", "headers");
    check(0x84, &0x14cu16.to_le_bytes(), "machine 0x14c");
    check(OPTIONAL, &0x10bu16.to_le_bytes(), "headers");
    check(OPTIONAL + 68, &3u16.to_le_bytes(), "Subsystem is 0x3");
    check(OPTIONAL + 32, &0x200u32.to_le_bytes(), "SectionAlignment");
    check(OPTIONAL + 56, &u32::MAX.to_le_bytes(), "SizeOfImage");
    check(OPTIONAL + 60, &u32::MAX.to_le_bytes(), "SizeOfHeaders");
    check(
        OPTIONAL + 16,
        &0x2000u32.to_le_bytes(),
        "AddressOfEntryPoint",
    );
    check(
        OPTIONAL + 64,
        &1u32.to_le_bytes(),
        "checksum 0x1 in the header",
    );
    check(
        SECTIONS + 12,
        &0x1001u32.to_le_bytes(),
        "section 0: its virtual address",
    );
    check(
        SECTIONS + 40 + 12,
        &0x1000u32.to_le_bytes(),
        "section 1: it overlaps",
    );
    check(
        SECTIONS + 80 + 8,
        &0x9000u32.to_le_bytes(),
        "section 2: it ends beyond",
    );
    check(
        SECTIONS + 20,
        &0xff_ffffu32.to_le_bytes(),
        "section 0: its data end beyond",
    );
    check(
        0x900,
        &0x2000_0000u32.to_le_bytes(),
        "kind 10 at RVA 0x20000000",
    );
    check(0x908, &0x3000u16.to_le_bytes(), "kind 3 at RVA 0x2000");
    check(
        0x840,
        &0x8000_0000_0000_0007u64.to_le_bytes(),
        "by ordinal 7",
    );
    check(0x810, &u32::MAX.to_le_bytes(), "outside the image");
    check(0xa58, &0u64.to_le_bytes().map(|_| 0xff), "SecurityCookie");
}

#[test]
fn right_checksum_is_accepted() {
    altered(|file| {
        let sum = checksum(file, OPTIONAL + 64);
        put(file, OPTIONAL + 64, &sum.to_le_bytes());
    })
    .expect("the checksum is right");
}

#[test]
fn stripped_relocations_are_refused_when_the_image_must_move() {
    let error = altered(|file| put(file, 0x96, &0x0023u16.to_le_bytes())).expect_err("stripped");
    assert_eq!(error, PeError::NotRelocatable);
}

proptest! {
    #[test]
    fn damaged_files_give_an_error_or_an_image_never_a_panic(
        changes in prop::collection::vec((0usize..0xC00, any::<u8>()), 1..24),
        keep in 0usize..0xC01,
    ) {
        let _ = altered(|file| {
            for (offset, value) in changes {
                file[offset] = value;
            }
            file.truncate(keep.max(64));
        });
    }

    #[test]
    fn damaged_headers_give_an_error_or_an_image_never_a_panic(
        changes in prop::collection::vec((0x80usize..0x200, any::<u8>()), 1..6),
    ) {
        let _ = altered(|file| {
            for (offset, value) in changes {
                file[offset] = value;
            }
        });
    }
}
