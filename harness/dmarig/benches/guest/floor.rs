//! The least vfio-user server that QEMU realizes: one function with one trapped BAR that reads zero.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, SendFlags, recvmsg, send};

const BUFFER_SIZE: usize = 64 << 10;
const HEADER_SIZE: usize = 16;
const CONFIG_SIZE: usize = 256;
const FLAG_NO_REPLY: u32 = 0x10;
const TYPE_REPLY: u32 = 1;

// Commands of the protocol.
const VERSION: u16 = 1;
const DMA_UNMAP: u16 = 3;
const GET_INFO: u16 = 4;
const GET_REGION_INFO: u16 = 5;
const GET_IRQ_INFO: u16 = 7;
const REGION_READ: u16 = 9;
const REGION_WRITE: u16 = 10;

const BAR0: u32 = 0;
const BAR0_SIZE: u64 = 64 << 10;
const CONFIG: u32 = 7;

/// Listens at `path` and serves the first that connects, on a thread of its own.
pub fn start(path: &Path) {
    let listener = UnixListener::bind(path).expect("the socket of the floor");
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().expect("QEMU connects");
        serve(&socket.into());
    });
}

/// Waits, receives, answers all that has arrived with one send.
fn serve(socket: &OwnedFd) {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
    let data = epoll::EventData::new_u64(0);
    epoll::add(&epoll, socket, data, epoll::EventFlags::IN).expect("epoll");
    let mut events = Vec::with_capacity(4);
    let mut input = vec![0; BUFFER_SIZE];
    let mut output = Vec::with_capacity(BUFFER_SIZE);
    let mut filled = 0;
    loop {
        events.clear();
        epoll::wait(&epoll, spare_capacity(&mut events), None).expect("epoll");
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(16))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut input[filled..])];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let Ok(received) = recvmsg(socket, &mut parts, &mut control, flags) else {
            return;
        };
        if received.bytes == 0 {
            return;
        }
        control.drain().for_each(drop);
        filled += received.bytes;
        let taken = answer(&input[..filled], &mut output);
        input.copy_within(taken..filled, 0);
        filled -= taken;
        if !output.is_empty() {
            send(socket, &output, SendFlags::NOSIGNAL).expect("send");
            output.clear();
        }
    }
}

/// Answers every whole message and returns the bytes taken.
fn answer(input: &[u8], output: &mut Vec<u8>) -> usize {
    let mut taken = 0;
    while let Some(header) = input.get(taken..taken + HEADER_SIZE) {
        let size = usize::try_from(u32_at(header, 4)).expect("a length");
        let Some(payload) = input.get(taken + HEADER_SIZE..taken + size) else {
            break;
        };
        taken += size;
        if u32_at(header, 8) & FLAG_NO_REPLY == 0 {
            answer_one(header, payload, output);
        }
    }
    taken
}

fn answer_one(header: &[u8], payload: &[u8], output: &mut Vec<u8>) {
    let start = output.len();
    output.extend_from_slice(header);
    match u16_at(header, 2) {
        VERSION => output.extend([0; 4]),
        DMA_UNMAP => output.extend_from_slice(payload),
        // A PCI device with reset: nine regions, five kinds of interrupts.
        GET_INFO => words(output, [16, 3, 9, 5]),
        GET_REGION_INFO => region_info(u32_at(payload, 8), output),
        GET_IRQ_INFO => words(output, [16, 0, u32_at(payload, 8), 0]),
        REGION_READ => region_read(payload, output),
        REGION_WRITE => output.extend_from_slice(&payload[..16]),
        _ => {}
    }
    let size = u32::try_from(output.len() - start).expect("a length");
    output[start + 4..start + 8].copy_from_slice(&size.to_le_bytes());
    output[start + 8..start + 12].copy_from_slice(&TYPE_REPLY.to_le_bytes());
}

fn region_info(index: u32, output: &mut Vec<u8>) {
    const READ_WRITE: u32 = 3;
    let (flags, size) = match index {
        BAR0 => (READ_WRITE, BAR0_SIZE),
        CONFIG => (READ_WRITE, CONFIG_SIZE as u64),
        _ => (0, 0),
    };
    words(output, [32, flags, index, 0]);
    output.extend(size.to_le_bytes());
    output.extend([0; 8]);
}

fn words(output: &mut Vec<u8>, words: [u32; 4]) {
    output.extend(words.into_iter().flat_map(u32::to_le_bytes));
}

fn region_read(payload: &[u8], output: &mut Vec<u8>) {
    let count = usize::try_from(u32_at(payload, 12)).expect("a length");
    output.extend_from_slice(&payload[..16]);
    let data = output.len();
    output.resize(data + count, 0);
    if u32_at(payload, 8) == CONFIG {
        let offset = usize::try_from(u32_at(payload, 0)).expect("an offset");
        let bytes = config_space();
        let there = &bytes[offset.min(CONFIG_SIZE)..(offset + count).min(CONFIG_SIZE)];
        output[data..data + there.len()].copy_from_slice(there);
    }
}

/// The identity of the device under test, no capabilities, no pin; BAR 0 is 64 bits wide.
fn config_space() -> [u8; CONFIG_SIZE] {
    let mut bytes = [0; CONFIG_SIZE];
    bytes[..4].copy_from_slice(&[0x34, 0x12, 0xa0, 0xd0]);
    bytes[0x0b] = 0xff;
    bytes[0x10] = 4;
    bytes
}

fn u16_at(bytes: &[u8], offset: usize) -> u16 {
    u16::from_le_bytes(bytes[offset..offset + 2].try_into().expect("2 bytes"))
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("4 bytes"))
}
