//! A server and a client on a socket pair, both driven by the test's own thread, so that a test
//! decides the order of everything.

#![expect(
    dead_code,
    reason = "every test file takes the part of this module it needs"
)]
#![expect(
    clippy::cast_possible_truncation,
    reason = "tests build small numbers by hand"
)]

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use vfio_user::client::{Client, Incoming, QEMU_PROPOSAL, version_payload};
use vfio_user::message::Command;
use vfio_user::{
    Connection, ConnectionError, DeviceModel, DmaError, DmaMap, DmaPermissions, DmaTicket,
    DmaUnmap, Errno, InterruptLines, IrqIndex, IrqInfo, IrqSet, MappableRegion, Progress,
    RegionIndex, RegionInfo, SparseArea,
};

pub const BAR0_SIZE: u64 = 0x20_0000;
pub const CONFIG_SIZE: u64 = 4096;

/// What the device saw of a mapping.
#[derive(Debug, PartialEq, Eq)]
pub struct SeenMap {
    pub iova: u64,
    pub size: u64,
    pub permissions: DmaPermissions,
    pub inode: Option<u64>,
    pub file_offset: u64,
}

/// A device that keeps what it is told. BAR0 is memory; BAR2 is write-only; BAR4 is mappable.
pub struct FakeDevice {
    pub bar0: Vec<u8>,
    pub n_writes: usize,
    pub maps: Vec<SeenMap>,
    pub unmaps: Vec<DmaUnmap>,
    pub lines: InterruptLines,
    pub n_resets: usize,
    pub n_disconnects: usize,
    pub dma: Vec<(DmaTicket, Result<Vec<u8>, DmaError>)>,
    pub refuse: Option<Errno>,
    pub bar4: OwnedFd,
    pub bar4_areas: Vec<SparseArea>,
}

impl FakeDevice {
    pub fn new() -> Self {
        let bar4 = memfd(0x1_0000);
        Self {
            bar0: (0..BAR0_SIZE).map(|offset| offset as u8).collect(),
            n_writes: 0,
            maps: Vec::new(),
            unmaps: Vec::new(),
            lines: InterruptLines::new([1, 0, 4, 0, 0]),
            n_resets: 0,
            n_disconnects: 0,
            dma: Vec::new(),
            refuse: None,
            bar4,
            bar4_areas: Vec::new(),
        }
    }

    fn verdict(&self) -> Result<(), Errno> {
        self.refuse.map_or(Ok(()), Err)
    }
}

impl DeviceModel for FakeDevice {
    fn region_info(&self, region: RegionIndex) -> RegionInfo<'_> {
        match region {
            RegionIndex::BAR0 => RegionInfo::read_write(BAR0_SIZE),
            RegionIndex::BAR2 => RegionInfo {
                readable: false,
                ..RegionInfo::read_write(0x1000)
            },
            RegionIndex::BAR4 => RegionInfo {
                mappable: Some(MappableRegion {
                    fd: self.bar4.as_fd(),
                    file_offset: 0x2000,
                    areas: &self.bar4_areas,
                }),
                ..RegionInfo::read_write(0x4000)
            },
            RegionIndex::CONFIG => RegionInfo::read_write(CONFIG_SIZE),
            _ => RegionInfo::default(),
        }
    }

    fn irq_info(&self, index: IrqIndex) -> IrqInfo {
        self.lines.info(index)
    }

    fn read_region(&mut self, _: RegionIndex, offset: u64, data: &mut [u8]) -> Result<(), Errno> {
        self.verdict()?;
        let start = offset as usize;
        data.copy_from_slice(&self.bar0[start..start + data.len()]);
        Ok(())
    }

    fn write_region(&mut self, _: RegionIndex, offset: u64, data: &[u8]) -> Result<(), Errno> {
        self.verdict()?;
        self.n_writes += 1;
        let start = offset as usize;
        self.bar0[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }

    fn dma_map(&mut self, map: DmaMap) -> Result<(), Errno> {
        self.verdict()?;
        self.maps.push(SeenMap {
            iova: map.iova,
            size: map.size,
            permissions: map.permissions,
            inode: map.fd.map(|fd| inode(fd.as_fd())),
            file_offset: map.file_offset,
        });
        Ok(())
    }

    fn dma_unmap(&mut self, unmap: DmaUnmap) -> Result<(), Errno> {
        self.verdict()?;
        self.unmaps.push(unmap);
        Ok(())
    }

    fn set_irqs(&mut self, set: IrqSet) -> Result<(), Errno> {
        self.lines.apply(set)
    }

    fn reset(&mut self) -> Result<(), Errno> {
        self.verdict()?;
        self.n_resets += 1;
        Ok(())
    }

    fn dma_reply(&mut self, ticket: DmaTicket, outcome: Result<&[u8], DmaError>) {
        self.dma.push((ticket, outcome.map(<[u8]>::to_vec)));
    }

    fn disconnected(&mut self) {
        self.n_disconnects += 1;
        self.lines.unbind_all();
    }
}

/// A connection, its device and its client.
pub struct Rig {
    pub client: Client,
    pub server: Connection,
    pub device: FakeDevice,
}

impl Rig {
    /// Before the version exchange.
    pub fn unnegotiated() -> Self {
        let (ours, theirs) = UnixStream::pair().expect("socket pair");
        Self {
            client: Client::from_stream(theirs).expect("client"),
            server: Connection::new(ours.into()).expect("connection"),
            device: FakeDevice::new(),
        }
    }

    /// After the version exchange, with QEMU's proposal.
    pub fn new() -> Self {
        let mut rig = Self::unnegotiated();
        rig.call(Command::VERSION, &version_payload(0, 0, QEMU_PROPOSAL))
            .expect("negotiation");
        rig
    }

    /// Gives the server every event there is, until nothing more happens.
    pub fn try_pump(&mut self) -> Result<Progress, ConnectionError> {
        loop {
            let mut interest = PollFlags::empty();
            if self.server.wants_read() {
                interest |= PollFlags::IN;
            }
            if self.server.wants_write() {
                interest |= PollFlags::OUT;
            }
            let ready = readiness(&self.server, interest);
            let mut progress = Progress::Open;
            if ready.contains(PollFlags::OUT) {
                progress = self.server.on_writable(&mut self.device)?;
            }
            if progress == Progress::Open && ready.contains(PollFlags::IN) {
                progress = self.server.on_readable(&mut self.device)?;
            }
            if progress == Progress::Closed || ready.is_empty() {
                return Ok(progress);
            }
        }
    }

    pub fn pump(&mut self) {
        let progress = self.try_pump().expect("the connection lives");
        assert_eq!(progress, Progress::Open);
    }

    /// Sends a command and returns the reply's payload or error number.
    pub fn call(&mut self, command: Command, payload: &[u8]) -> Result<Vec<u8>, Errno> {
        self.call_with_fds(command, payload, &[])
    }

    pub fn call_with_fds(
        &mut self,
        command: Command,
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<Vec<u8>, Errno> {
        self.exchange(command, payload, fds).result()
    }

    /// Sends a command and returns the reply, checked for what every reply must be.
    pub fn exchange(
        &mut self,
        command: Command,
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Incoming {
        let id = self.client.send(command, payload, fds).expect("send");
        self.pump();
        let reply = self.client.receive().expect("reply");
        assert_eq!(reply.header.message_id, id);
        assert_eq!(reply.header.command, command.0);
        assert_eq!(reply.header.flags & 0xf, 1, "a reply");
        if reply.header.is_error() {
            assert_ne!(reply.header.errno, 0, "an error has a number");
            assert!(reply.payload.is_empty(), "an error reply is a bare header");
        }
        reply
    }

    /// Sends bytes and lets the server take them.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.client.send_raw(bytes, &[]).expect("send");
        self.pump();
    }

    /// Tells whether the server has sent something that was not received yet.
    pub fn has_answer(&self) -> bool {
        readiness(&self.client, PollFlags::IN).contains(PollFlags::IN)
    }

    /// The stream is in step: a plain request gets its plain answer.
    pub fn assert_in_step(&mut self) {
        assert!(!self.has_answer(), "nothing is left over");
        let payload = vfio_user::client::read_payload(0, 0x40, 4);
        let reply = self.call(Command::REGION_READ, &payload).expect("a read");
        assert_eq!(reply.len(), 20);
    }
}

fn readiness(fd: &impl AsFd, interest: PollFlags) -> PollFlags {
    let mut fds = [PollFd::new(fd, interest)];
    poll(&mut fds, Some(&rustix::event::Timespec::default())).expect("poll");
    fds[0].revents() & interest
}

pub fn event_fd() -> OwnedFd {
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("eventfd")
}

/// Takes the counter of an eventfd; 0 if nothing was signalled.
pub fn take_count(fd: &impl AsFd) -> u64 {
    let mut counter = [0; 8];
    match rustix::io::read(fd, &mut counter) {
        Ok(_) => u64::from_ne_bytes(counter),
        Err(_) => 0,
    }
}

pub fn memfd(size: u64) -> OwnedFd {
    let fd = memfd_create("test", MemfdFlags::CLOEXEC).expect("memfd");
    ftruncate(&fd, size).expect("ftruncate");
    fd
}

pub fn inode(fd: BorrowedFd<'_>) -> u64 {
    rustix::fs::fstat(fd).expect("fstat").st_ino
}

/// A deadline no test reaches.
pub fn far() -> Instant {
    Instant::now() + Duration::from_secs(3600)
}
