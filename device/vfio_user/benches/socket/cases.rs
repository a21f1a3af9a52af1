//! What is measured: [`Case`], and the client side of it: [`Driver`].

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::Instant;

use rustix::net::{RecvFlags, recv};
use vfio_user::client::{
    Client, QEMU_PROPOSAL, encode, map_payload, read_payload, unmap_payload, version_payload,
    write_payload,
};
use vfio_user::message::{Command, FLAG_NO_REPLY, TYPE_REPLY};

/// A read here yields the CPU time of the server's thread in nanoseconds.
pub const CPU_TIME_OFFSET: u64 = 0x100;
/// A write of a length here makes the server read that many bytes by message, [`N_DMA`] times
/// one after the other.
pub const DMA_DOORBELL: u64 = 0x200;
/// Messages for each ring of [`DMA_DOORBELL`].
pub const N_DMA: usize = 1000;
/// Where the live mappings begin.
pub const LIVE_BASE: u64 = 1 << 40;
/// Where `dma_map` and `dma_unmap` put their pages.
const MAP_BASE: u64 = 1 << 32;

const N_ROUND_TRIPS: usize = 2000;
const N_BATCHES: usize = 300;
const IN_FLIGHT: usize = 32;
const N_WRITES: usize = 20_000;
const N_MAPS: u64 = 1000;
const PAGE: u64 = 4096;

/// One line of the table.
#[derive(Clone, Copy)]
pub enum Case {
    RegionRead,
    RegionRead32,
    PostedWrite,
    DmaMap(u64),
    DmaUnmap(u64),
    MessageDma(u32),
}

impl Case {
    pub const ALL: [Self; 12] = [
        Self::RegionRead,
        Self::RegionRead32,
        Self::PostedWrite,
        Self::DmaMap(10),
        Self::DmaMap(65_000),
        Self::DmaMap(1_000_000),
        Self::DmaUnmap(10),
        Self::DmaUnmap(65_000),
        Self::DmaUnmap(1_000_000),
        Self::MessageDma(64),
        Self::MessageDma(4096),
        Self::MessageDma(32 << 10),
    ];

    pub fn name(self) -> String {
        match self {
            Self::RegionRead => "region_read p50 µs".to_owned(),
            Self::RegionRead32 => "region_read_32 µs each".to_owned(),
            Self::PostedWrite => "posted_write CPU µs".to_owned(),
            Self::DmaMap(live) => format!("dma_map/{live} p50 µs"),
            Self::DmaUnmap(live) => format!("dma_unmap/{live} p50 µs"),
            Self::MessageDma(len) => format!("message_dma/{len} p50 µs"),
        }
    }

    pub fn live_mappings(self) -> u64 {
        match self {
            Self::DmaMap(live) | Self::DmaUnmap(live) => live,
            _ => 0,
        }
    }

    pub fn has_bare(self) -> bool {
        matches!(
            self,
            Self::RegionRead | Self::RegionRead32 | Self::MessageDma(_)
        )
    }

    /// Message DMA is asked by the server, which the floor is not made for.
    pub fn has_floor(self) -> bool {
        !matches!(self, Self::MessageDma(_))
    }

    /// Runs one round and returns microseconds for each operation.
    pub fn measure(self, driver: &mut Driver) -> f64 {
        match self {
            Self::RegionRead => driver.region_read(),
            Self::RegionRead32 => driver.region_read_in_flight(),
            Self::PostedWrite => driver.posted_write(),
            Self::DmaMap(_) => driver.map_and_unmap().0,
            Self::DmaUnmap(_) => driver.map_and_unmap().1,
            Self::MessageDma(len) => driver.message_dma(len),
        }
    }
}

/// A client and the thread that serves it.
pub struct Driver {
    client: Client,
    memory: OwnedFd,
    buffer: Vec<u8>,
    server: Option<JoinHandle<()>>,
}

impl Driver {
    pub fn new(serve: impl FnOnce(OwnedFd) + Send + 'static) -> Self {
        let (ours, theirs) = UnixStream::pair().expect("socket pair");
        let memory = guest_memory::SharedMemory::create_sealed("bench", 1 << 20).expect("memory");
        Self {
            client: Client::from_stream(ours).expect("client"),
            memory: memory.as_fd().try_clone_to_owned().expect("duplicate"),
            buffer: vec![0; 64 << 10],
            server: Some(std::thread::spawn(move || serve(theirs.into()))),
        }
    }

    pub fn negotiate(&mut self) {
        let payload = version_payload(0, 0, QEMU_PROPOSAL);
        self.client
            .send(Command::VERSION, &payload, &[])
            .expect("send");
        self.client.receive().expect("reply");
    }

    fn region_read(&mut self) -> f64 {
        let request = encode(1, Command::REGION_READ, 0, &read_payload(0, 0, 4));
        p50_us(N_ROUND_TRIPS, |_| {
            self.client.send_raw(&request, &[]).expect("send");
            self.receive_exactly(36);
        })
    }

    fn region_read_in_flight(&mut self) -> f64 {
        let request = encode(1, Command::REGION_READ, 0, &read_payload(0, 0, 4));
        let batch = request.repeat(IN_FLIGHT);
        let start = Instant::now();
        for _ in 0..N_BATCHES {
            self.client.send_raw(&batch, &[]).expect("send");
            self.receive_exactly(36 * IN_FLIGHT);
        }
        micros_each(start, N_BATCHES * IN_FLIGHT)
    }

    fn posted_write(&mut self) -> f64 {
        let payload = write_payload(0, 0, &[1, 2, 3, 4]);
        let request = encode(1, Command::REGION_WRITE, FLAG_NO_REPLY, &payload);
        let before = self.server_cpu_ns();
        for _ in 0..N_WRITES {
            self.client.send_raw(&request, &[]).expect("send");
        }
        let spent = self.server_cpu_ns() - before;
        float(spent) / 1000.0 / float(N_WRITES as u64)
    }

    fn server_cpu_ns(&mut self) -> u64 {
        let payload = read_payload(0, CPU_TIME_OFFSET, 8);
        self.client
            .send(Command::REGION_READ, &payload, &[])
            .expect("send");
        let reply = self.client.receive().expect("reply").payload;
        u64::from_le_bytes(reply[16..24].try_into().expect("8 bytes"))
    }

    /// Maps pages one by one, then unmaps them one by one.
    fn map_and_unmap(&mut self) -> (f64, f64) {
        let memory = self.memory.try_clone().expect("duplicate");
        let n_maps = usize::try_from(N_MAPS).expect("a small number");
        let map = p50_us(n_maps, |index| {
            let offset = index * 7 % 256 * PAGE;
            let payload = map_payload(3, offset, MAP_BASE + index * PAGE, PAGE);
            let request = encode(1, Command::DMA_MAP, 0, &payload);
            self.client
                .send_raw(&request, &[memory.as_fd()])
                .expect("send");
            self.receive_exactly(16);
        });
        let unmap = p50_us(n_maps, |index| {
            let payload = unmap_payload(0, MAP_BASE + index * PAGE, PAGE);
            let request = encode(1, Command::DMA_UNMAP, 0, &payload);
            self.client.send_raw(&request, &[]).expect("send");
            self.receive_exactly(40);
        });
        (map, unmap)
    }

    /// Rings the doorbell, then answers each question; the time is from one question to the
    /// next.
    fn message_dma(&mut self, len: u32) -> f64 {
        let ring = write_payload(0, DMA_DOORBELL, &len.to_le_bytes());
        let request = encode(1, Command::REGION_WRITE, FLAG_NO_REPLY, &ring);
        let data = vec![0x5a; usize::try_from(len).expect("a length")];
        self.client.send_raw(&request, &[]).expect("send");
        self.receive_exactly(32);
        p50_us(N_DMA, |index| {
            // The id of the question, and its address and count, begin the reply.
            let id = u16::from_le_bytes([self.buffer[0], self.buffer[1]]);
            let payload = [&self.buffer[16..32], &data].concat();
            let reply = encode(id, Command::DMA_READ, TYPE_REPLY, &payload);
            self.client.send_raw(&reply, &[]).expect("send");
            if index + 1 < N_DMA as u64 {
                self.receive_exactly(32);
            }
        })
    }

    fn receive_exactly(&mut self, len: usize) {
        let mut received = 0;
        while received < len {
            let flags = RecvFlags::empty();
            let (count, _) = recv(&self.client, &mut self.buffer[..], flags).expect("recv");
            assert_ne!(count, 0, "the server left");
            received += count;
        }
        assert_eq!(received, len, "no more than asked for");
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        let _ = self.client.stream().shutdown(std::net::Shutdown::Both);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

fn p50_us(n_operations: usize, mut operation: impl FnMut(u64)) -> f64 {
    let mut times: Vec<f64> = (0..n_operations as u64)
        .map(|index| {
            let start = Instant::now();
            operation(index);
            start.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn micros_each(start: Instant, n_operations: usize) -> f64 {
    start.elapsed().as_secs_f64() * 1e6 / float(n_operations as u64)
}

fn float(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::INFINITY, f64::from)
}
