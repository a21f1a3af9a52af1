//! What recording costs: the same work without trace and log, with the trace, and with both.
//!
//! - `request/*`: a whole request of the engine that reads (CRC) or writes (pattern) so many bytes.
//! - `register/read`: an access of 4 bytes, which through QEMU costs some 30 µs besides.
//!
//! The floor is `off`, in the same run. Lines and blocks are written to `/dev/null`, so the copies into the
//! page cache are left out and the system calls are not.

use std::fs::{File, OpenOptions};
use std::os::fd::AsFd;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dmarig_abi::Iova;
use dmarig_abi::descriptor::{DMA_OP_CRC, DMA_OP_WRITE_PATTERN};
use dmarig_device::{DeviceDescription, Dut, MessageDma};
use endpoint::Request;
use guest_memory::SharedMemory;
use recording::log::LogWriter;
use recording::trace::{Trace, TraceFile};
use vfio_user::{DeviceModel as _, DmaMap, DmaPermissions, RegionIndex};

const SIZES: [usize; 2] = [64, 64 << 10];
const RAM: usize = 1 << 20;

#[derive(Clone, Copy, Debug)]
enum Mode {
    Off,
    Trace,
    Recorded,
}

const MODES: [(&str, Mode); 3] = [
    ("off", Mode::Off),
    ("trace", Mode::Trace),
    ("trace and log", Mode::Recorded),
];

fn dut(ram: &SharedMemory, mode: Mode) -> Dut {
    let mut dut = Dut::new(&DeviceDescription::default(), MessageDma::Off).expect("memory");
    let file = TraceFile::new(nowhere(), u64::MAX);
    match mode {
        Mode::Off => {}
        Mode::Trace => dut.set_trace(Trace::new(Some(Box::new(file)))),
        Mode::Recorded => {
            let log = LogWriter::new(Box::new(nowhere()), u64::MAX);
            dut.record(log.expect("/dev/null takes all"));
            dut.set_trace(Trace::new(Some(Box::new(file))));
        }
    }
    dut.dma_map(DmaMap {
        iova: 0,
        size: RAM as u64,
        permissions: DmaPermissions {
            read: true,
            write: true,
        },
        fd: Some(ram.as_fd().try_clone_to_owned().expect("descriptor")),
        file_offset: 0,
    })
    .expect("free");
    dut.write_region(RegionIndex::CONFIG, 4, &[6, 0])
        .expect("the command register");
    dut
}

fn nowhere() -> File {
    let file = OpenOptions::new().write(true).open("/dev/null");
    file.expect("/dev/null")
}

fn request(criterion: &mut Criterion) {
    let ram = SharedMemory::create_sealed("bench", RAM).expect("memory");
    // No run of equal bytes, which the log would keep short.
    let bytes: Vec<u8> = (0..RAM).map(|at| at.to_le_bytes()[0]).collect();
    ram.whole().write_from(&bytes);
    let mut group = criterion.benchmark_group("request");
    for (name, opcode) in [("reads", DMA_OP_CRC), ("writes", DMA_OP_WRITE_PATTERN)] {
        for size in SIZES {
            group.throughput(Throughput::Bytes(size as u64));
            for (mode_name, mode) in MODES {
                let mut dut = dut(&ram, mode);
                let request = Request {
                    opcode,
                    source: Iova::new(0x1000),
                    destination: Iova::new(0x2_0000),
                    length_bytes: size as u64,
                    seed: 7,
                    ..Request::default()
                };
                let id = BenchmarkId::new(format!("{name} {mode_name}"), size);
                group.bench_function(id, |bencher| {
                    bencher.iter(|| {
                        dut.submit_host(request).expect("room");
                        let now = Instant::now();
                        while dut.take_finished().is_empty() {
                            dut.work(None, now);
                        }
                        dut.follow_recording(now);
                    });
                });
            }
        }
    }
    group.finish();
}

fn register(criterion: &mut Criterion) {
    let ram = SharedMemory::create_sealed("bench", RAM).expect("memory");
    let mut group = criterion.benchmark_group("register");
    for (mode_name, mode) in MODES {
        let mut dut = dut(&ram, mode);
        group.bench_function(BenchmarkId::new("read", mode_name), |bencher| {
            let mut value = [0; 4];
            bencher.iter(|| dut.read_region(RegionIndex::BAR0, 0, &mut value));
        });
    }
    group.finish();
}

criterion_group!(benches, request, register);
criterion_main!(benches);
