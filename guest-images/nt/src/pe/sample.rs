//! A small driver file built in memory, for tests: code, data with one relocated pointer, imports, a
//! cookie, a relocation table.

use std::vec::Vec;

pub(super) const PREFERRED_BASE: u64 = 0x1_4000_0000;
pub(super) const IMAGE_BYTES: usize = 0x4000;
/// Data: a pointer to the data section itself, then the cookie.
pub(super) const POINTER_RVA: usize = 0x2000;
pub(super) const COOKIE_RVA: usize = 0x2008;
/// Imports: two address slots.
pub(super) const SLOTS_RVA: usize = 0x3080;
pub(super) const DEFAULT_COOKIE: u64 = 0x2B99_2DDF_A232;

/// File offset of the optional header (after "PE\0\0" and the file header).
pub(super) const OPTIONAL: usize = 0x80 + 4 + 20;
/// File offset of the section table.
pub(super) const SECTIONS: usize = OPTIONAL + 240;

const TEXT_OFFSET: usize = 0x400;
const DATA_OFFSET: usize = 0x600;
const TABLES_OFFSET: usize = 0x800;
const FILE_BYTES: usize = 0xC00;

/// The file, in 8-byte units so that it is aligned.
pub(super) fn driver() -> Vec<u64> {
    let mut file = vec![0u8; FILE_BYTES];
    put(&mut file, 0, b"MZ");
    put(&mut file, 0x3c, &0x80u32.to_le_bytes());
    put(&mut file, 0x80, b"PE\0\0");
    file_header(&mut file);
    optional_header(&mut file);
    section(&mut file, 0, 0x1000, TEXT_OFFSET, 0x6000_0020);
    section(&mut file, 1, 0x2000, DATA_OFFSET, 0xC000_0040);
    section(&mut file, 2, 0x3000, TABLES_OFFSET, 0x4000_0040);
    file[TEXT_OFFSET] = 0xC3;
    put(
        &mut file,
        DATA_OFFSET,
        &(PREFERRED_BASE + 0x2000).to_le_bytes(),
    );
    put(&mut file, DATA_OFFSET + 8, &DEFAULT_COOKIE.to_le_bytes());
    tables(&mut file);
    words(&file)
}

/// Bytes as aligned words.
pub(super) fn words(bytes: &[u8]) -> Vec<u64> {
    bytes
        .chunks(8)
        .map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        })
        .collect()
}

/// Aligned words as bytes.
pub(super) fn bytes(words: &[u64]) -> &[u8] {
    zerocopy::IntoBytes::as_bytes(words)
}

/// Overwrites bytes.
pub(super) fn put(file: &mut [u8], offset: usize, bytes: &[u8]) {
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
}

fn file_header(file: &mut [u8]) {
    put(file, 0x84, &0x8664u16.to_le_bytes());
    put(file, 0x86, &3u16.to_le_bytes());
    put(file, 0x94, &240u16.to_le_bytes());
    put(file, 0x96, &0x0022u16.to_le_bytes());
}

fn optional_header(file: &mut [u8]) {
    let mut field = |offset: usize, value: &[u8]| put(file, OPTIONAL + offset, value);
    field(0, &0x20bu16.to_le_bytes());
    field(16, &0x1000u32.to_le_bytes());
    field(24, &PREFERRED_BASE.to_le_bytes());
    field(32, &0x1000u32.to_le_bytes());
    field(36, &0x200u32.to_le_bytes());
    field(56, &0x4000u32.to_le_bytes());
    field(60, &0x400u32.to_le_bytes());
    field(68, &1u16.to_le_bytes());
    field(70, &0x0160u16.to_le_bytes());
    field(108, &16u32.to_le_bytes());
    let mut directory = |index: usize, rva: u32, size: u32| {
        field(112 + index * 8, &rva.to_le_bytes());
        field(116 + index * 8, &size.to_le_bytes());
    };
    directory(1, 0x3000, 40);
    directory(5, 0x3100, 12);
    directory(10, 0x3200, 0x70);
}

fn section(file: &mut [u8], index: usize, rva: u32, offset: usize, flags: u32) {
    let start = SECTIONS + index * 40;
    let offset = u32::try_from(offset).expect("a small file");
    put(file, start, b".sect");
    put(file, start + 8, &0x1000u32.to_le_bytes());
    put(file, start + 12, &rva.to_le_bytes());
    put(
        file,
        start + 16,
        &(if index == 2 { 0x400u32 } else { 0x200 }).to_le_bytes(),
    );
    put(file, start + 20, &offset.to_le_bytes());
    put(file, start + 36, &flags.to_le_bytes());
}

fn tables(file: &mut [u8]) {
    let mut table = |rva: usize, value: &[u8]| put(file, TABLES_OFFSET + rva - 0x3000, value);
    // Import descriptor: names at 0x3040, library name at 0x30c0, slots at 0x3080.
    table(0x3000, &0x3040u32.to_le_bytes());
    table(0x300c, &0x30c0u32.to_le_bytes());
    table(0x3010, &0x3080u32.to_le_bytes());
    for thunks in [0x3040, 0x3080] {
        table(thunks, &0x30d0u64.to_le_bytes());
        table(thunks + 8, &0x30e0u64.to_le_bytes());
    }
    table(0x30c0, b"NTOSKRNL.exe\0");
    table(0x30d0, b"\0\0DbgPrint\0");
    table(0x30e0, b"\0\0KeWhatever\0");
    // One relocation block of one page: the pointer at 0x2000, and padding.
    table(0x3100, &0x2000u32.to_le_bytes());
    table(0x3104, &12u32.to_le_bytes());
    table(0x3108, &0xA000u16.to_le_bytes());
    // Load configuration: the cookie's address.
    table(0x3200, &0x70u32.to_le_bytes());
    table(0x3258, &(PREFERRED_BASE + 0x2008).to_le_bytes());
}
