//! DMA by both paths, with its floor in the same run.
//!
//! - `mapped/*`: bytes copied out of guest memory through the mapping table, with one mapping and with
//!   60,000 scattered ones of a page each, in random order over 60,000 pages; floor: the same bytes of the
//!   same memory in the same order, without a table. `known` walks 512 of those pages again and again, so
//!   that the data stay in the near caches and the table is what differs.
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
use guest_memory::{GuestMemory, SharedMemory};
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
/// Pages that `known` walks.
const KNOWN: usize = 512;

fn mapped(criterion: &mut Criterion) {
    let ram = SharedMemory::create_sealed("bench", RAM).expect("memory");
    ram.whole().fill(1);
    // The floor has a mapping of its own of the same file, as the subject has.
    let mut floor = GuestMemory::new();
    let fd = ram.as_fd().try_clone_to_owned().expect("descriptor");
    let region = floor.attach(fd, 0, RAM as u64).expect("mappable");
    let mut group = criterion.benchmark_group("mapped");
    for pages_each in [SCATTERED, 1] {
        let mut memory = memory_of(&ram, pages_each);
        let order = random_order();
        for size in SIZES {
            group.throughput(Throughput::Bytes(size as u64));
            let mut buffer = vec![0; size];
            for (walk, pages) in [("", &order[..]), ("known ", &order[..KNOWN])] {
                let name = format!(
                    "{walk}{}",
                    if pages_each == 1 {
                        "60,000 mappings"
                    } else {
                        "one mapping"
                    }
                );
                let mut pages_of_floor = pages.iter().cycle();
                group.bench_function(
                    BenchmarkId::new(format!("floor of {name}"), size),
                    |bencher| {
                        bencher.iter(|| {
                            let page = next_page(&mut pages_of_floor, size);
                            // As the pieces lie in the file: all at once, or page by page.
                            let piece = usize::try_from(pages_each * PAGE).expect("fits");
                            for (piece, page) in buffer.chunks_mut(piece).zip(page..) {
                                let offset = page_in_file(page, pages_each) * PAGE;
                                let range =
                                    floor.range(region, offset, piece.len()).expect("in range");
                                range.read_into(black_box(piece));
                            }
                        });
                    },
                );
                let mut pages = pages.iter().cycle();
                group.bench_function(BenchmarkId::new(name, size), |bencher| {
                    bencher.iter(|| {
                        let iova = Iova::new(next_page(&mut pages, size) * PAGE);
                        memory.read(iova, &mut buffer).expect("mapped");
                        black_box(&buffer);
                    });
                });
            }
        }
    }
    group.finish();
}

/// Every page once, in an order that no prefetcher knows.
fn random_order() -> Vec<u64> {
    let mut pages: Vec<u64> = (0..SCATTERED).collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for index in (1..pages.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let other = usize::try_from(state >> 33).expect("31 bits") % (index + 1);
        pages.swap(index, other);
    }
    pages
}

/// The next page where `size` bytes still fit.
fn next_page<'a>(pages: &mut impl Iterator<Item = &'a u64>, size: usize) -> u64 {
    let last = SCATTERED - (size as u64).div_ceil(PAGE);
    (*pages.next().expect("it goes round")).min(last)
}

/// Where page `page` of the IOVAs lies in the file. Single pages lie scattered, so that no two of them join.
fn page_in_file(page: u64, pages_each: u64) -> u64 {
    if pages_each == 1 {
        page * 7919 % SCATTERED
    } else {
        page
    }
}

/// 60,000 pages from IOVA 0, in mappings of `pages_each`.
fn memory_of(ram: &SharedMemory, pages_each: u64) -> DutMemory {
    let mut memory = DutMemory::default();
    for first in (0..SCATTERED).step_by(usize::try_from(pages_each).expect("fits")) {
        let page = page_in_file(first, pages_each);
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
