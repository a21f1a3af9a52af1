//! Which files are mapped, how often, and for how long.

use std::os::fd::{AsFd, OwnedFd};

use guest_memory::{GuestMemory, MAX_REGIONS, NotMappable, SharedMemory};
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, ftruncate, memfd_create};

fn memfd(size: u64, seals: SealFlags) -> OwnedFd {
    let fd =
        memfd_create("guest-ram", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("memfd");
    ftruncate(&fd, size).expect("ftruncate");
    fcntl_add_seals(&fd, seals).expect("seals");
    fd
}

fn sealed(size: u64) -> OwnedFd {
    memfd(size, SealFlags::SHRINK)
}

fn again(fd: &OwnedFd) -> OwnedFd {
    fd.try_clone().expect("duplicate")
}

/// Number of kernel mappings of files with this name.
fn n_kernel_mappings(name: &str) -> usize {
    std::fs::read_to_string("/proc/self/maps")
        .expect("maps")
        .lines()
        .filter(|line| line.contains(name))
        .count()
}

#[test]
fn bytes_written_through_a_region_are_in_the_file() {
    let fd = sealed(0x4000);
    let mut memory = GuestMemory::new();

    let id = memory.attach(again(&fd), 0x1000, 0x1000).expect("mappable");
    let count = memory
        .range(id, 0x1234, 5)
        .expect("in range")
        .write_from(b"hello");

    assert_eq!(count, 5);
    let mut seen = [0; 5];
    rustix::io::pread(&fd, &mut seen, 0x1234).expect("pread");
    assert_eq!(&seen, b"hello");
}

#[test]
fn same_file_is_mapped_once_and_unmapped_with_its_last_page() {
    let name = "mapped-once";
    let shared = SharedMemory::create_sealed(name, 0x8000).expect("memory");
    let mut memory = GuestMemory::new();
    let fd = || shared.as_fd().try_clone_to_owned().expect("duplicate");

    let ids = [0, 0x1000, 0x7000].map(|offset| memory.attach(fd(), offset, 0x1000).expect("ok"));

    assert!(ids.iter().all(|id| *id == ids[0]));
    assert_eq!(memory.region_count(), 1);
    assert_eq!(
        n_kernel_mappings(name),
        2,
        "ours and the shared memory's own"
    );
    memory.release(ids[0], 2);
    memory
        .range(ids[0], 0x7000, 0x1000)
        .expect("one page is live");
    memory.release(ids[0], 1);
    assert_eq!(memory.region_count(), 0);
    assert_eq!(n_kernel_mappings(name), 1);
}

#[test]
fn different_files_are_different_regions_and_their_places_are_used_again() {
    let mut memory = GuestMemory::new();
    let first = memory.attach(sealed(0x1000), 0, 0x1000).expect("mappable");
    let second = memory.attach(sealed(0x1000), 0, 0x1000).expect("mappable");
    assert_ne!(first, second);

    memory.release(first, 1);
    let third = memory.attach(sealed(0x1000), 0, 0x1000).expect("mappable");

    assert_eq!(third, first);
    memory.range(second, 0, 0x1000).expect("untouched");
}

#[test]
fn file_that_grew_is_mapped_again_and_keeps_its_bytes() {
    let fd = sealed(0x1000);
    let mut memory = GuestMemory::new();
    let id = memory.attach(again(&fd), 0, 0x1000).expect("mappable");
    memory
        .range(id, 0, 4)
        .expect("in range")
        .write_from(b"keep");
    ftruncate(&fd, 0x3000).expect("grow");

    assert_eq!(memory.attach(fd, 0x2000, 0x1000).expect("mappable"), id);

    let mut seen = [0; 4];
    memory
        .range(id, 0, 4)
        .expect("in range")
        .read_into(&mut seen);
    assert_eq!(&seen, b"keep");
    memory.range(id, 0x2fff, 1).expect("in range");
}

#[test]
fn files_that_could_fail_under_an_access_are_not_mapped() {
    let (pipe, _end) = rustix::pipe::pipe().expect("pipe");
    let folder = OwnedFd::from(std::fs::File::open("/").expect("folder"));
    let plain = OwnedFd::from(std::fs::File::open("/proc/self/exe").expect("file"));
    let grow_only = memfd(0x1000, SealFlags::GROW);
    let unsealed = memfd(0x1000, SealFlags::empty());
    let no_sealing = memfd_create("x", MemfdFlags::CLOEXEC).expect("memfd");
    let mut memory = GuestMemory::new();
    for fd in [pipe, folder] {
        let error = memory.attach(fd, 0, 0x1000).expect_err("no file");
        assert!(matches!(error, NotMappable::NotAFile), "{error}");
    }
    for fd in [plain, grow_only, unsealed, no_sealing] {
        let error = memory.attach(fd, 0, 0x1000).expect_err("can shrink");
        assert!(matches!(error, NotMappable::NotSealed), "{error}");
    }
    assert_eq!(memory.region_count(), 0);
}

#[test]
fn file_that_must_not_be_written_is_not_mapped() {
    let mut memory = GuestMemory::new();
    let fd = memfd(0x1000, SealFlags::SHRINK | SealFlags::WRITE);

    let error = memory.attach(fd, 0, 0x1000).expect_err("cannot be written");

    assert!(matches!(error, NotMappable::System(_)), "{error}");
}

#[test]
fn ranges_beyond_the_file_are_refused() {
    let fd = sealed(0x2000);
    let mut memory = GuestMemory::new();
    for (offset, len) in [(0, 0x2001), (0x2000, 1), (0x1000, u64::MAX), (u64::MAX, 1)] {
        let error = memory.attach(again(&fd), offset, len).expect_err("beyond");
        assert!(matches!(error, NotMappable::BeyondEnd(_)), "{error}");
    }
    assert_eq!(memory.region_count(), 0);

    let id = memory.attach(fd, 0, 0x2000).expect("mappable");
    for (offset, len) in [(0, 0x2001), (0x2001, 0), (u64::MAX, 1), (1, usize::MAX)] {
        let error = memory.range(id, offset, len).expect_err("beyond");
        assert_eq!(error.size, 0x2000);
    }
}

#[test]
fn file_larger_than_the_address_space_is_refused() {
    let size = 1 << 60;
    let mut memory = GuestMemory::new();

    let error = memory.attach(sealed(size), 0, 0x1000).expect_err("no room");

    assert!(matches!(error, NotMappable::System(_)), "{error}");
}

#[test]
fn number_of_files_is_bounded() {
    let mut memory = GuestMemory::new();
    for _ in 0..MAX_REGIONS {
        memory.attach(sealed(0x1000), 0, 0x1000).expect("mappable");
    }

    let error = memory.attach(sealed(0x1000), 0, 0x1000).expect_err("full");

    assert!(matches!(error, NotMappable::TooMany), "{error}");
}
