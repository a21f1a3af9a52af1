//! What can be done with mapped bytes.

use std::os::fd::AsFd;

use guest_memory::{MappedRange, SharedMemory};
use proptest::prelude::*;

const SIZE: usize = 0x5000;

fn memory() -> SharedMemory {
    SharedMemory::create_sealed("mapped-range-test", SIZE).expect("memory")
}

fn bytes(range: MappedRange<'_>) -> Vec<u8> {
    let mut bytes = vec![0; range.len()];
    assert_eq!(range.read_into(&mut bytes), bytes.len());
    bytes
}

#[test]
fn shared_memory_is_zeroed_and_its_size_cannot_be_changed() {
    let memory = memory();

    assert_eq!(bytes(memory.whole()), vec![0; SIZE]);
    assert_eq!(memory.size(), SIZE);
    rustix::fs::ftruncate(memory.as_fd(), 1).expect_err("sealed");
    rustix::fs::ftruncate(memory.as_fd(), 1 << 20).expect_err("sealed");
    let seals = rustix::fs::SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(memory.as_fd(), seals).expect_err("sealed");
}

#[test]
fn shared_memory_of_no_bytes_is_an_error() {
    SharedMemory::create_sealed("empty", 0).expect_err("no bytes");
}

#[test]
fn others_see_what_is_written_and_we_see_what_they_write() {
    let memory = memory();

    memory.range(0x2000, 2).expect("in range").write_from(b"ab");
    rustix::io::pwrite(memory.as_fd(), b"cd", 0x2002).expect("pwrite");

    assert_eq!(bytes(memory.range(0x2000, 4).expect("in range")), b"abcd");
}

#[test]
fn copies_stop_at_the_shorter_side() {
    let memory = memory();
    let range = memory.range(0, 3).expect("in range");

    assert_eq!(range.write_from(b"abcdef"), 3);
    assert_eq!(bytes(memory.range(0, 5).expect("in range")), b"abc\0\0");
    let mut long = [9; 5];
    assert_eq!(range.read_into(&mut long), 3);
    assert_eq!(&long, b"abc\x09\x09");
    let target = memory.range(0x100, 2).expect("in range");
    assert_eq!(range.copy_to(&target), 2);
    assert_eq!(bytes(memory.range(0x100, 3).expect("in range")), b"ab\0");
}

#[test]
fn visiting_shows_every_byte_once_and_in_order() {
    let memory = memory();
    let pattern: Vec<u8> = (0..251).cycle().take(SIZE).collect();
    memory.whole().write_from(&pattern);

    let mut crc = 0;
    let mut largest = 0;
    memory.range(3, SIZE - 3).expect("in range").visit(|chunk| {
        largest = largest.max(chunk.len());
        crc = crc32c::crc32c_append(crc, chunk);
    });

    assert_eq!(crc, crc32c::crc32c(&pattern[3..]));
    assert!(largest <= 4096);
}

#[test]
fn words_are_little_endian_and_must_be_aligned_and_inside() {
    let memory = memory();
    let range = memory.range(0x10, 0x10).expect("in range");

    range.store_u32(4, 0x1122_3344).expect("aligned");
    range.store_u64(8, 0x0102_0304_0506_0708).expect("aligned");

    assert_eq!(
        bytes(memory.range(0x14, 4).expect("in range")),
        [0x44, 0x33, 0x22, 0x11]
    );
    assert_eq!(range.load_u32(4), Ok(0x1122_3344));
    assert_eq!(range.load_u64(8), Ok(0x0102_0304_0506_0708));
    for offset in [1, 2, 14, 16, usize::MAX, usize::MAX - 3] {
        range.load_u32(offset).expect_err("no word");
        range.store_u32(offset, 0).expect_err("no word");
        range.load_u64(offset).expect_err("no word");
        range.store_u64(offset, 0).expect_err("no word");
    }
}

#[test]
fn parts_beyond_the_range_are_refused() {
    let memory = memory();
    let range = memory.range(0, 0x100).expect("in range");
    for (offset, len) in [(0, 0x101), (0x101, 0), (usize::MAX, 2), (0x80, usize::MAX)] {
        range.part(offset, len).expect_err("beyond");
    }
    assert!(range.part(0x100, 0).expect("empty").is_empty());
}

proptest! {
    #[test]
    fn operations_agree_with_a_plain_buffer(
        operations in proptest::collection::vec(
            (0..3_u8, 0..SIZE, 0..SIZE, 0..SIZE, any::<u8>()),
            1..20,
        ),
    ) {
        let memory = memory();
        let mut model = vec![0; SIZE];
        for (kind, offset, other, len, byte) in operations {
            let len = len.min(SIZE - offset).min(SIZE - other);
            let range = memory.range(offset as u64, len).expect("in range");
            match kind {
                0 => {
                    range.fill(byte);
                    model[offset..offset + len].fill(byte);
                }
                1 => {
                    let data = vec![byte; len];
                    range.write_from(&data);
                    model[offset..offset + len].copy_from_slice(&data);
                }
                _ => {
                    let target = memory.range(other as u64, len).expect("in range");
                    range.copy_to(&target);
                    model.copy_within(offset..offset + len, other);
                }
            }
        }
        prop_assert_eq!(bytes(memory.whole()), model);
    }
}
