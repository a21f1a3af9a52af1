//! [`MockQemu`]: the other end of a vfio-user socket, in the order a test wants.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use dmarig_abi::registers::{CH_COMMAND, CHANNEL_BASE, CHANNEL_STRIDE};
use guest_memory::SharedMemory;
use vfio_user::client::{
    Client, Incoming, QEMU_PROPOSAL, map_payload, read_payload, region_info_payload,
    set_irqs_payload, unmap_payload, version_payload, write_payload,
};
use vfio_user::message::{
    Command, DMA_MAP_READ, DMA_MAP_WRITE, Header, SET_IRQS_ACTION_TRIGGER, SET_IRQS_ACTION_UNMASK,
    SET_IRQS_DATA_EVENTFD, SET_IRQS_DATA_NONE, TYPE_REPLY,
};

use super::Bench;

/// Region of configuration space.
const CONFIG: u32 = 7;
/// Index of the interrupt pin.
const INTX: u32 = 0;
/// Index of MSI.
const MSI: u32 = 1;
/// Index of MSI-X.
const MSIX: u32 = 2;
/// Memory enable and bus master in the command register.
const MEMORY_AND_BUS_MASTER: u16 = 6;

/// A DMA_READ or DMA_WRITE of the device.
#[derive(Debug)]
pub struct DmaCommand {
    pub header: Header,
    pub is_write: bool,
    pub iova: u64,
    pub count: u64,
    pub data: Vec<u8>,
}

pub struct MockQemu {
    pub client: Client,
    waiting: VecDeque<Incoming>,
}

impl MockQemu {
    pub fn connect(path: &Path) -> Self {
        Self {
            client: Client::connect(path).expect("connect"),
            waiting: VecDeque::new(),
        }
    }

    pub fn negotiate(&mut self, bench: &mut Bench) {
        let payload = version_payload(0, 0, QEMU_PROPOSAL);
        self.request(bench, Command::VERSION, &payload, &[]);
    }

    /// Sends a command, lets the rig work, and returns the payload of the reply.
    pub fn request(
        &mut self,
        bench: &mut Bench,
        command: Command,
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Vec<u8> {
        self.exchange(bench, command, payload, fds).payload
    }

    pub fn exchange(
        &mut self,
        bench: &mut Bench,
        command: Command,
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Incoming {
        let incoming = self.try_exchange(bench, command, payload, fds);
        assert!(!incoming.header.is_error(), "{:?}", incoming.header);
        incoming
    }

    /// The same for a request that may be refused.
    pub fn try_exchange(
        &mut self,
        bench: &mut Bench,
        command: Command,
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Incoming {
        let id = self.client.send(command, payload, fds).expect("send");
        bench.pump();
        loop {
            let incoming = self.client.receive().expect("reply");
            let is_reply = incoming.header.flags & 0xf == TYPE_REPLY;
            if is_reply && incoming.header.message_id == id {
                return incoming;
            }
            self.waiting.push_back(incoming);
        }
    }

    /// Maps all of a memory at an IOVA, from `offset` of its file.
    pub fn map(&mut self, bench: &mut Bench, memory: &SharedMemory, iova: u64, write: bool) {
        let size = memory.size() as u64;
        self.map_part(bench, memory, iova, 0..size, write);
    }

    pub fn map_part(
        &mut self,
        bench: &mut Bench,
        memory: &SharedMemory,
        iova: u64,
        part: std::ops::Range<u64>,
        write: bool,
    ) {
        let flags = DMA_MAP_READ | if write { DMA_MAP_WRITE } else { 0 };
        let payload = map_payload(flags, part.start, iova, part.end - part.start);
        self.request(bench, Command::DMA_MAP, &payload, &[memory.as_fd()]);
    }

    pub fn unmap(&mut self, bench: &mut Bench, iova: u64, size: u64) {
        let payload = unmap_payload(0, iova, size);
        self.request(bench, Command::DMA_UNMAP, &payload, &[]);
    }

    pub fn enable_bus_master(&mut self, bench: &mut Bench) {
        self.write(bench, CONFIG, 4, &MEMORY_AND_BUS_MASTER.to_le_bytes());
    }

    /// Turns MSI-X on and binds one vector.
    pub fn bind_vector(&mut self, bench: &mut Bench, vector: u32, eventfd: &OwnedFd) {
        let offset = self.capability(bench, 0x11) + 2;
        let mut control = self.read(bench, CONFIG, offset, 2);
        control[1] |= 0x80;
        self.write(bench, CONFIG, offset, &control);
        let flags = SET_IRQS_DATA_EVENTFD | SET_IRQS_ACTION_TRIGGER;
        let payload = set_irqs_payload(flags, MSIX, vector, 1, &[]);
        let fds = [eventfd.as_fd()];
        self.request(bench, Command::DEVICE_SET_IRQS, &payload, &fds);
    }

    /// Binds the first MSI vectors.
    pub fn bind_msi(&mut self, bench: &mut Bench, eventfds: &[OwnedFd]) {
        let flags = SET_IRQS_DATA_EVENTFD | SET_IRQS_ACTION_TRIGGER;
        let count = u32::try_from(eventfds.len()).expect("few");
        let payload = set_irqs_payload(flags, MSI, 0, count, &[]);
        let fds: Vec<_> = eventfds.iter().map(AsFd::as_fd).collect();
        self.request(bench, Command::DEVICE_SET_IRQS, &payload, &fds);
    }

    /// Binds the interrupt pin.
    pub fn bind_pin(&mut self, bench: &mut Bench, eventfd: &OwnedFd) {
        let flags = SET_IRQS_DATA_EVENTFD | SET_IRQS_ACTION_TRIGGER;
        let payload = set_irqs_payload(flags, INTX, 0, 1, &[]);
        let fds = [eventfd.as_fd()];
        self.request(bench, Command::DEVICE_SET_IRQS, &payload, &fds);
    }

    /// What QEMU sends when the guest has touched the device after an interrupt by pin.
    pub fn unmask_pin(&mut self, bench: &mut Bench) {
        let flags = SET_IRQS_DATA_NONE | SET_IRQS_ACTION_UNMASK;
        let payload = set_irqs_payload(flags, INTX, 0, 1, &[]);
        self.request(bench, Command::DEVICE_SET_IRQS, &payload, &[]);
    }

    /// Offset of a capability in configuration space, which must be there.
    pub fn capability(&mut self, bench: &mut Bench, id: u8) -> u64 {
        self.find_capability(bench, id).expect("the capability")
    }

    /// Offset of a capability in configuration space.
    pub fn find_capability(&mut self, bench: &mut Bench, id: u8) -> Option<u64> {
        let config = self.read(bench, CONFIG, 0, 256);
        let mut offset = usize::from(config[0x34]);
        while offset != 0 && config[offset] != id {
            offset = usize::from(config[offset + 1]);
        }
        (offset != 0).then_some(offset as u64)
    }

    pub fn read(&mut self, bench: &mut Bench, region: u32, offset: u64, count: u32) -> Vec<u8> {
        let payload = read_payload(region, offset, count);
        self.request(bench, Command::REGION_READ, &payload, &[])
            .split_off(16)
    }

    pub fn write(&mut self, bench: &mut Bench, region: u32, offset: u64, data: &[u8]) {
        let payload = write_payload(region, offset, data);
        self.request(bench, Command::REGION_WRITE, &payload, &[]);
    }

    pub fn write_config(&mut self, bench: &mut Bench, offset: u64, data: &[u8]) {
        self.write(bench, CONFIG, offset, data);
    }

    pub fn read_config(&mut self, bench: &mut Bench, offset: u64, count: u32) -> Vec<u8> {
        self.read(bench, CONFIG, offset, count)
    }

    /// Writes a 64-bit channel register.
    pub fn channel_write(&mut self, bench: &mut Bench, channel: u64, register: u64, value: u64) {
        let offset = CHANNEL_BASE + channel * CHANNEL_STRIDE + register;
        self.write(bench, 0, offset, &value.to_le_bytes());
    }

    /// Rings the doorbell of register mode by a posted write, as a guest does.
    pub fn ring(&mut self, bench: &mut Bench, channel: u64, command: u32) {
        let offset = CHANNEL_BASE + channel * CHANNEL_STRIDE + CH_COMMAND;
        let payload = write_payload(0, offset, &command.to_le_bytes());
        self.client
            .send_no_reply(Command::REGION_WRITE, &payload)
            .expect("send");
        bench.pump();
    }

    pub fn channel_read_u32(&mut self, bench: &mut Bench, channel: u64, register: u64) -> u32 {
        let offset = CHANNEL_BASE + channel * CHANNEL_STRIDE + register;
        let bytes = self.read(bench, 0, offset, 4);
        u32::from_le_bytes(bytes.try_into().expect("4 bytes"))
    }

    /// The size of a region.
    pub fn region_size(&mut self, bench: &mut Bench, region: u32) -> u64 {
        let payload = region_info_payload(region, 32);
        let reply = self.request(bench, Command::DEVICE_GET_REGION_INFO, &payload, &[]);
        u64::from_le_bytes(reply[16..24].try_into().expect("8 bytes"))
    }

    /// The file behind a mappable region.
    pub fn region_fd(&mut self, bench: &mut Bench, region: u32) -> OwnedFd {
        let payload = region_info_payload(region, 32);
        let mut reply = self.exchange(bench, Command::DEVICE_GET_REGION_INFO, &payload, &[]);
        reply.fds.pop().expect("a descriptor")
    }

    pub fn reset(&mut self, bench: &mut Bench) {
        self.request(bench, Command::DEVICE_RESET, &[], &[]);
    }

    /// The next DMA message of the device.
    pub fn next_dma(&mut self) -> DmaCommand {
        let incoming = match self.waiting.pop_front() {
            Some(incoming) => incoming,
            None => self.client.receive().expect("a DMA message"),
        };
        let word = |at: usize| {
            let bytes = incoming.payload[at..at + 8].try_into().expect("8 bytes");
            u64::from_le_bytes(bytes)
        };
        DmaCommand {
            header: incoming.header,
            is_write: Command(incoming.header.command) == Command::DMA_WRITE,
            iova: word(0),
            count: word(8),
            data: incoming.payload[16..].to_vec(),
        }
    }

    /// A DMA message that came before an earlier reply, if any; never waits.
    pub fn waiting_dma(&mut self) -> Option<DmaCommand> {
        let is_waiting = !self.waiting.is_empty();
        is_waiting.then(|| self.next_dma())
    }

    /// Answers a DMA message: with these bytes if it reads.
    pub fn answer_dma(&mut self, bench: &mut Bench, command: &DmaCommand, data: &[u8]) {
        let mut payload = command.iova.to_le_bytes().to_vec();
        payload.extend(command.count.to_le_bytes());
        payload.extend(data);
        self.client.reply(&command.header, &payload).expect("reply");
        bench.pump();
    }

    /// Refuses a DMA message as QEMU does: ENODEV, a bare header.
    pub fn refuse_dma(&mut self, bench: &mut Bench, command: &DmaCommand) {
        self.client.reply_error(&command.header, 19).expect("reply");
        bench.pump();
    }
}

/// An eventfd, and a look at its count.
pub fn eventfd() -> OwnedFd {
    use rustix::event::{EventfdFlags, eventfd};
    eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).expect("eventfd")
}

/// How often it was signalled since the last look.
pub fn take_count(eventfd: &OwnedFd) -> u64 {
    let mut bytes = [0; 8];
    match rustix::io::read(eventfd, &mut bytes) {
        Ok(_) => u64::from_ne_bytes(bytes),
        Err(_) => 0,
    }
}
