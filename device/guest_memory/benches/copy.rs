//! Copies through [`guest_memory::MappedRange`] against `memcpy` between two plain buffers.
//!
//! Cases: read and write of 64 B, 4 KiB and 64 KiB in one region. The ranges walk through 16 MiB
//! so that neither side works in the first-level cache alone.
//!
//! `cargo bench -p guest_memory --bench copy`

use std::hint::black_box;
use std::os::fd::AsFd;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use guest_memory::{GuestMemory, SharedMemory};

const REGION_SIZE: usize = 16 << 20;
const SIZES: [usize; 3] = [64, 4 << 10, 64 << 10];

/// Offsets that walk through the region.
fn next(offset: &mut usize, len: usize) -> usize {
    *offset = (*offset + len) % REGION_SIZE;
    *offset
}

fn copies(criterion: &mut Criterion) {
    let file = SharedMemory::create_sealed("bench-copy", REGION_SIZE).expect("memory");
    file.whole().fill(1);
    let mut memory = GuestMemory::new();
    let fd = file.as_fd().try_clone_to_owned().expect("duplicate");
    let id = memory.attach(fd, 0, REGION_SIZE as u64).expect("mappable");
    let mut plain = vec![1_u8; REGION_SIZE];
    let mut group = criterion.benchmark_group("copy");
    for len in SIZES {
        let mut buffer = vec![0_u8; len];
        group.throughput(Throughput::Bytes(len as u64));
        let mut offset = 0;
        group.bench_function(BenchmarkId::new("memcpy_read", len), |bencher| {
            bencher.iter(|| {
                let from = next(&mut offset, len);
                black_box(&mut buffer[..]).copy_from_slice(&plain[from..from + len]);
            });
        });
        group.bench_function(BenchmarkId::new("region_read", len), |bencher| {
            bencher.iter(|| {
                let from = next(&mut offset, len) as u64;
                let range = memory.range(id, from, len).expect("in range");
                range.read_into(black_box(&mut buffer[..]))
            });
        });
        group.bench_function(BenchmarkId::new("memcpy_write", len), |bencher| {
            bencher.iter(|| {
                let to = next(&mut offset, len);
                black_box(&mut plain[to..to + len]).copy_from_slice(&buffer);
            });
        });
        group.bench_function(BenchmarkId::new("region_write", len), |bencher| {
            bencher.iter(|| {
                let to = next(&mut offset, len) as u64;
                let range = memory.range(id, to, len).expect("in range");
                range.write_from(black_box(&buffer))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, copies);
criterion_main!(benches);
