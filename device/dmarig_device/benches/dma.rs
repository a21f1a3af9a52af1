//! DMA by both paths, with its floor in the same run.
//!
//! - `mapped/*`: bytes copied out of guest memory through the mapping table, with one mapping and with
//!   60,000 scattered ones of a page each; floor: the same bytes of the same memory without a table.
//! - `request/*`: a whole request of the engine (pattern, CRC-32C, ledger record); floor: making the
//!   pattern, its CRC and the copy.
//! - `message/*`: a DMA_READ answered by a peer on another thread; floor: a bare ping-pong of the same
//!   sizes on a socket pair. Everything runs on one CPU.

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Instant;

use control_api::FunctionName;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use dma_engine::Request;
use dmarig_abi::Iova;
use dmarig_abi::descriptor::{DESCRIPTOR_FLAG_MESSAGE, DMA_OP_CRC, DMA_OP_WRITE_PATTERN};
use dmarig_abi::pattern::fill_pattern;
use dmarig_device::{DeviceDescription, Dut, DutMemory, MessageDma, Port, Readiness};
use guest_memory::SharedMemory;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use vfio_user::client::{Client, QEMU_PROPOSAL, version_payload, write_payload};
use vfio_user::message::{Command, TYPE_REPLY};
use vfio_user::{DeviceModel as _, DmaMap, DmaPermissions};

const SIZES: [usize; 3] = [64, 4 << 10, 64 << 10];
const MESSAGE_SIZES: [usize; 3] = [64, 4 << 10, 32 << 10];
const PAGE: u64 = 4096;
const SCATTERED: u64 = 60_000;
const RAM: usize = 512 << 20;
/// Where the mapped bytes are taken from, so that both sides miss the cache alike.
const STRIDE: u64 = 17 * PAGE;

fn mapped(criterion: &mut Criterion) {
    let ram = SharedMemory::create_sealed("bench", RAM).expect("memory");
    ram.whole().fill(1);
    let mut group = criterion.benchmark_group("mapped");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut buffer = vec![0; size];
        let span = SCATTERED * PAGE - size as u64;
        let mut offset = 0;
        group.bench_function(BenchmarkId::new("floor memcpy", size), |bencher| {
            bencher.iter(|| {
                offset = (offset + STRIDE) % span;
                let range = ram.range(offset, size).expect("in range");
                range.read_into(black_box(&mut buffer));
            });
        });
        for (name, pages_each) in [("one mapping", SCATTERED), ("60,000 mappings", 1)] {
            let mut memory = memory_of(&ram, pages_each);
            group.bench_function(BenchmarkId::new(name, size), |bencher| {
                bencher.iter(|| {
                    offset = (offset + STRIDE) % span;
                    memory.read(Iova::new(offset), &mut buffer).expect("mapped");
                    black_box(&buffer);
                });
            });
        }
    }
    group.finish();
}

/// 60,000 pages from IOVA 0, in mappings of `pages_each`. Single pages lie scattered in the file, so
/// that no two of them join.
fn memory_of(ram: &SharedMemory, pages_each: u64) -> DutMemory {
    let mut memory = DutMemory::default();
    for first in (0..SCATTERED).step_by(usize::try_from(pages_each).expect("fits")) {
        let page = if pages_each == 1 {
            first * 7919 % SCATTERED
        } else {
            first
        };
        memory
            .map(mapping(ram, first * PAGE, pages_each * PAGE, page * PAGE))
            .expect("free");
    }
    memory
}

fn mapping(ram: &SharedMemory, iova: u64, size: u64, file_offset: u64) -> DmaMap {
    DmaMap {
        iova,
        size,
        permissions: DmaPermissions {
            read: true,
            write: true,
        },
        fd: Some(ram.as_fd().try_clone_to_owned().expect("descriptor")),
        file_offset,
    }
}

fn request(criterion: &mut Criterion) {
    let ram = SharedMemory::create_sealed("bench", 1 << 20).expect("memory");
    let mut peer = Peer::connect();
    peer.port
        .model_mut()
        .dma_map(mapping(&ram, 0, 1 << 20, 0))
        .expect("free");
    let mut group = criterion.benchmark_group("request");
    for size in SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let (mut made, mut target) = (vec![0; size], vec![0; size]);
        group.bench_function(
            BenchmarkId::new("floor pattern+crc+memcpy", size),
            |bencher| {
                bencher.iter(|| {
                    fill_pattern(7, 0, &mut made);
                    target.copy_from_slice(black_box(&made));
                    black_box(crc32c::crc32c(&made));
                });
            },
        );
        let request = Request {
            opcode: DMA_OP_WRITE_PATTERN,
            length_bytes: size as u64,
            seed: 7,
            ..Request::default()
        };
        group.bench_function(BenchmarkId::new("write_pattern", size), |bencher| {
            bencher.iter(|| peer.run(request));
        });
    }
    group.finish();
}

fn message(criterion: &mut Criterion) {
    pin_to_one_cpu();
    let ram = SharedMemory::create_sealed("bench", 1 << 20).expect("memory");
    let mut group = criterion.benchmark_group("message");
    for size in MESSAGE_SIZES {
        group.throughput(Throughput::Bytes(size as u64));
        let mut stream = ping_pong_peer(size);
        let mut reply = vec![0; 32 + size];
        group.bench_function(BenchmarkId::new("floor ping-pong", size), |bencher| {
            bencher.iter(|| {
                stream.write_all(&[1; 32]).expect("peer");
                stream.read_exact(&mut reply).expect("peer");
            });
        });
        let mut peer = Peer::connect();
        // An access that the table permits goes in one message, any other page by page.
        peer.port
            .model_mut()
            .dma_map(mapping(&ram, 0, 1 << 20, 0))
            .expect("free");
        peer.answer_from_a_thread();
        let request = Request {
            opcode: DMA_OP_CRC,
            flags: DESCRIPTOR_FLAG_MESSAGE,
            length_bytes: size as u64,
            ..Request::default()
        };
        group.bench_function(BenchmarkId::new("DMA_READ", size), |bencher| {
            bencher.iter(|| peer.run(request));
        });
    }
    group.finish();
}

/// Answers 32 bytes with 32 + `size`, as a DMA_READ and its reply are.
fn ping_pong_peer(size: usize) -> UnixStream {
    let (ours, mut theirs) = UnixStream::pair().expect("sockets");
    thread::spawn(move || {
        let (mut question, answer) = ([0; 32], vec![1; 32 + size]);
        while theirs.read_exact(&mut question).is_ok() && theirs.write_all(&answer).is_ok() {}
    });
    ours
}

/// A device under test with a mock QEMU on its socket.
struct Peer {
    port: Port<Dut>,
    client: Option<Client>,
    _folder: tempfile::TempDir,
}

impl Peer {
    fn connect() -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("dut");
        let dut =
            Dut::new(&DeviceDescription::default(), MessageDma::On).expect("no BAR needs memory");
        let port = Port::bind(&path, FunctionName::DUT0, dut).expect("socket");
        let client = Client::connect(&path).expect("connect");
        let mut peer = Self {
            port,
            client: Some(client),
            _folder: folder,
        };
        peer.port.accept().expect("accept");
        peer.say(Command::VERSION, &version_payload(0, 0, QEMU_PROPOSAL));
        // Memory enable and bus master.
        peer.say(Command::REGION_WRITE, &write_payload(7, 4, &[6, 0]));
        peer
    }

    fn say(&mut self, command: Command, payload: &[u8]) {
        let client = self.client.as_mut().expect("not yet on its thread");
        client.send(command, payload, &[]).expect("send");
        self.port.on_ready(READABLE);
        client.receive().expect("reply");
    }

    /// Lets a thread serve every DMA_READ from now on, with as few system calls as the floor has.
    fn answer_from_a_thread(&mut self) {
        let client = self.client.take().expect("once");
        let mut stream = client.stream().try_clone().expect("descriptor");
        thread::spawn(move || {
            let (mut question, mut answer) = ([0; 32], Vec::new());
            while stream.read_exact(&mut question).is_ok() {
                let count = question[24..].try_into().expect("8 bytes");
                let count = usize::try_from(u64::from_le_bytes(count)).expect("32 KiB");
                answer.resize(32 + count, 1);
                answer[..32].copy_from_slice(&question);
                let size = u32::try_from(answer.len()).expect("32 KiB");
                answer[4..8].copy_from_slice(&size.to_le_bytes());
                answer[8..12].copy_from_slice(&TYPE_REPLY.to_le_bytes());
                if stream.write_all(&answer).is_err() {
                    break;
                }
            }
        });
    }

    /// Runs one request to its end.
    fn run(&mut self, request: Request) {
        self.port.model_mut().submit_host(request).expect("room");
        loop {
            let (dut, connection) = self.port.parts();
            let has_more = dut.work(connection, Instant::now());
            self.port.flush();
            if !self.port.model_mut().take_finished().is_empty() {
                return;
            }
            if !has_more {
                self.wait();
                self.port.on_ready(READABLE);
            }
        }
    }

    fn wait(&self) {
        let (_, fd, _, _) = self.port.interest().expect("connected");
        let mut fds = [PollFd::new(&fd, PollFlags::IN)];
        poll(&mut fds, None).expect("poll");
    }
}

const READABLE: Readiness = Readiness {
    readable: true,
    writable: false,
    hung_up: false,
};

/// Pins this thread, and those it starts, to the first CPU that it may use.
fn pin_to_one_cpu() {
    let allowed = sched_getaffinity(None).expect("affinity");
    let first = (0..CpuSet::MAX_CPU).find(|&cpu| allowed.is_set(cpu));
    let mut one = CpuSet::new();
    one.set(first.expect("we run somewhere"));
    sched_setaffinity(None, &one).expect("affinity");
}

criterion_group!(benches, mapped, request, message);
criterion_main!(benches);
