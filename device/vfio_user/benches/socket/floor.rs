//! The least servers: `bare` echoes, `floor` speaks just enough of the protocol.

use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::fs::fstat;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recv, recvmsg, send,
};
use vfio_user::message::{Command, FLAG_NO_REPLY, HEADER_SIZE, Header};
use zerocopy::{FromBytes, IntoBytes};

use crate::cases::{CPU_TIME_OFFSET, N_DMA};
use crate::pinned::thread_cpu_ns;

const BUFFER_SIZE: usize = 64 << 10;

/// Answers every 32 bytes with 36 bytes: a REGION_READ of 4 bytes without its meaning.
pub fn serve_bare(socket: OwnedFd) {
    let mut buffer = vec![0; BUFFER_SIZE];
    loop {
        let (count, _) = recv(&socket, &mut buffer[..], RecvFlags::empty()).expect("recv");
        if count == 0 {
            return;
        }
        let len = count / 32 * 36;
        send(&socket, &buffer[..len], SendFlags::NOSIGNAL).expect("send");
    }
}

/// Sends 32 bytes and takes as many as a DMA_READ reply has, [`N_DMA`] times for each ring of
/// the doorbell.
pub fn serve_bare_dma(socket: OwnedFd) {
    let mut buffer = vec![0; BUFFER_SIZE];
    let question = [0; 32];
    loop {
        // Header, fixed part of a write, and the length.
        let (count, _) = recv(&socket, &mut buffer[..36], RecvFlags::WAITALL).expect("recv");
        if count < 36 {
            return;
        }
        let len = u32::from_le_bytes(buffer[32..36].try_into().expect("4 bytes"));
        let reply_len = 32 + usize::try_from(len).expect("a length");
        for _ in 0..N_DMA {
            send(&socket, &question, SendFlags::NOSIGNAL).expect("send");
            let reply = &mut buffer[..reply_len];
            recv(&socket, reply, RecvFlags::WAITALL).expect("recv");
        }
    }
}

/// Waits, receives, answers what has arrived with one send. A mapping's file is told by its
/// inode, as the least that "mapped once" takes; the mapping itself is forgotten.
pub fn serve(socket: OwnedFd) {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).expect("epoll");
    let data = epoll::EventData::new_u64(0);
    epoll::add(&epoll, &socket, data, epoll::EventFlags::IN).expect("epoll");
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
        let received = recvmsg(&socket, &mut parts, &mut control, flags).expect("recvmsg");
        if received.bytes == 0 {
            return;
        }
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = part {
                fds.for_each(|fd| assert!(fstat(&fd).is_ok()));
            }
        }
        filled += received.bytes;
        let taken = answer(&input[..filled], &mut output);
        input.copy_within(taken..filled, 0);
        filled -= taken;
        if !output.is_empty() {
            send(&socket, &output, SendFlags::NOSIGNAL).expect("send");
            output.clear();
        }
    }
}

/// Answers every whole message and returns the bytes taken.
fn answer(input: &[u8], output: &mut Vec<u8>) -> usize {
    let mut taken = 0;
    while let Ok((header, rest)) = Header::read_from_prefix(&input[taken..]) {
        let size = usize::try_from(header.size).expect("a length");
        let Some(payload) = rest.get(..size - HEADER_SIZE) else {
            break;
        };
        taken += size;
        if header.flags & FLAG_NO_REPLY == 0 {
            answer_one(header, payload, output);
        }
    }
    taken
}

fn answer_one(mut header: Header, payload: &[u8], output: &mut Vec<u8>) {
    let cpu_time;
    let (head, data): (&[u8], &[u8]) = match Command(header.command) {
        Command::REGION_READ if payload[12] == 4 => (payload, &[0; 4]),
        Command::REGION_READ => {
            assert_eq!(payload[..8], CPU_TIME_OFFSET.to_le_bytes());
            cpu_time = thread_cpu_ns().to_le_bytes();
            (payload, &cpu_time)
        }
        Command::REGION_WRITE => (&payload[..16], &[]),
        Command::DMA_UNMAP => (payload, &[]),
        _ => (&[], &[]),
    };
    header.flags = 1;
    header.size = u32::try_from(HEADER_SIZE + head.len() + data.len()).expect("a length");
    output.extend_from_slice(header.as_bytes());
    output.extend_from_slice(head);
    output.extend_from_slice(data);
}
