//! A small blocking client: the peer for tests and benches of this crate and of the device.
//!
//! It sends what it is told, wrong or right, and judges nothing. It is no part of the server.

use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use zerocopy::{FromBytes, IntoBytes};

use crate::error::Errno;
use crate::message::{
    Command, DmaMapRequest, DmaUnmapRequest, FLAG_ERROR, FLAG_NO_REPLY, HEADER_SIZE, Header,
    IrqInfoMessage, MAX_MESSAGE_SIZE, RegionAccess, RegionInfoMessage, SetIrqsRequest, TYPE_REPLY,
    Version,
};

/// How long a receive waits, so that a test fails rather than hangs.
pub const RECEIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Most descriptors the client can send or take at once: above what the server allows.
const MAX_CLIENT_FDS: usize = 64;
/// The proposal of QEMU 11.1.
pub const QEMU_PROPOSAL: &str = concat!(
    r#"{"capabilities":{"max_msg_fds":16,"max_data_xfer_size":1048576,"pgsizes":4096,"#,
    r#""max_dma_maps":65535,"write_multiple":true,"#,
    r#""migration":{"pgsize":4096,"max_bitmap_size":268435456}}}"#,
    "\0"
);

/// A message from the server.
#[derive(Debug)]
pub struct Incoming {
    /// Its header.
    pub header: Header,
    /// What follows the header.
    pub payload: Vec<u8>,
    /// Descriptors that came with it.
    pub fds: Vec<OwnedFd>,
}

impl Incoming {
    /// The payload, or the error number of an error reply.
    ///
    /// # Errors
    /// The error number; [`Errno::EIO`] stands for a number of zero.
    pub fn result(self) -> Result<Vec<u8>, Errno> {
        if self.header.is_error() {
            return Err(Errno::new(self.header.errno).unwrap_or(Errno::EIO));
        }
        Ok(self.payload)
    }
}

/// The client's end of a connection.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    last_message_id: u16,
}

impl Client {
    /// Connects to a listening server.
    ///
    /// # Errors
    /// What the system says.
    pub fn connect(path: impl AsRef<Path>) -> io::Result<Self> {
        Self::from_stream(UnixStream::connect(path)?)
    }

    /// Takes one end of a socket pair.
    ///
    /// # Errors
    /// What the system says.
    pub fn from_stream(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(RECEIVE_TIMEOUT))?;
        stream.set_write_timeout(Some(RECEIVE_TIMEOUT))?;
        Ok(Self {
            stream,
            last_message_id: 0,
        })
    }

    /// The socket.
    pub fn stream(&self) -> &UnixStream {
        &self.stream
    }

    /// Builds a whole message with a fresh id.
    pub fn encode(&mut self, command: Command, flags: u32, payload: &[u8]) -> (u16, Vec<u8>) {
        self.last_message_id = self.last_message_id.wrapping_add(1);
        let id = self.last_message_id;
        (id, encode(id, command, flags, payload))
    }

    /// Sends a command and returns its id.
    ///
    /// # Errors
    /// What the system says.
    pub fn send(
        &mut self,
        command: Command,
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> io::Result<u16> {
        let (id, message) = self.encode(command, 0, payload);
        self.send_raw(&message, fds)?;
        Ok(id)
    }

    /// Sends a command that wants no reply.
    ///
    /// # Errors
    /// What the system says.
    pub fn send_no_reply(&mut self, command: Command, payload: &[u8]) -> io::Result<()> {
        let (_, message) = self.encode(command, FLAG_NO_REPLY, payload);
        self.send_raw(&message, &[])
    }

    /// Sends bytes as they are; the descriptors go with the first of them.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Panics
    /// With more than 64 descriptors.
    pub fn send_raw(&mut self, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        assert!(fds.len() <= MAX_CLIENT_FDS, "too many descriptors to send");
        let mut sent = 0;
        while sent < bytes.len() {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_CLIENT_FDS))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if sent == 0 && !fds.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(fds));
            }
            let parts = [IoSlice::new(&bytes[sent..])];
            sent += sendmsg(&self.stream, &parts, &mut control, SendFlags::NOSIGNAL)?;
        }
        Ok(())
    }

    /// Answers a command of the server.
    ///
    /// # Errors
    /// What the system says.
    pub fn reply(&mut self, to: &Header, payload: &[u8]) -> io::Result<()> {
        let message = encode(to.message_id, Command(to.command), TYPE_REPLY, payload);
        self.send_raw(&message, &[])
    }

    /// Refuses a command of the server.
    ///
    /// # Errors
    /// What the system says.
    pub fn reply_error(&mut self, to: &Header, errno: u32) -> io::Result<()> {
        let header = Header {
            message_id: to.message_id,
            command: to.command,
            size: wire_size(HEADER_SIZE),
            flags: TYPE_REPLY | FLAG_ERROR,
            errno,
        };
        self.send_raw(header.as_bytes(), &[])
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// `WouldBlock` after [`RECEIVE_TIMEOUT`], `UnexpectedEof` when the server has closed,
    /// `InvalidData` for a length no message has.
    pub fn receive(&mut self) -> io::Result<Incoming> {
        let mut head = [0; HEADER_SIZE];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_CLIENT_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut head)];
        let first = recvmsg(
            &self.stream,
            &mut parts,
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let mut fds = Vec::new();
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = part {
                fds.extend(rights);
            }
        }
        if first.bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.stream.read_exact(&mut head[first.bytes..])?;
        let header = Header::read_from_bytes(&head).map_err(|_| io::ErrorKind::InvalidData)?;
        let size = usize::try_from(header.size).map_err(|_| io::ErrorKind::InvalidData)?;
        if !(HEADER_SIZE..=MAX_MESSAGE_SIZE).contains(&size) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut payload = vec![0; size - HEADER_SIZE];
        self.stream.read_exact(&mut payload)?;
        Ok(Incoming {
            header,
            payload,
            fds,
        })
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// Builds a whole message.
pub fn encode(message_id: u16, command: Command, flags: u32, payload: &[u8]) -> Vec<u8> {
    let header = Header {
        message_id,
        command: command.0,
        size: wire_size(HEADER_SIZE + payload.len()),
        flags,
        errno: 0,
    };
    [header.as_bytes(), payload].concat()
}

/// Payload of a version proposal.
pub fn version_payload(major: u16, minor: u16, text: &str) -> Vec<u8> {
    [Version { major, minor }.as_bytes(), text.as_bytes()].concat()
}

/// Payload of a region read.
pub fn read_payload(region: u32, offset: u64, count: u32) -> Vec<u8> {
    let access = RegionAccess {
        offset,
        region,
        count,
    };
    access.as_bytes().to_vec()
}

/// Payload of a region write.
pub fn write_payload(region: u32, offset: u64, data: &[u8]) -> Vec<u8> {
    [
        &read_payload(region, offset, wire_size(data.len()))[..],
        data,
    ]
    .concat()
}

/// Payload of a map request; `flags` are the protocol's.
pub fn map_payload(flags: u32, file_offset: u64, address: u64, size: u64) -> Vec<u8> {
    let request = DmaMapRequest {
        argsz: wire_size(size_of::<DmaMapRequest>()),
        flags,
        file_offset,
        address,
        size,
    };
    request.as_bytes().to_vec()
}

/// Payload of an unmap request; `flags` are the protocol's.
pub fn unmap_payload(flags: u32, address: u64, size: u64) -> Vec<u8> {
    let request = DmaUnmapRequest {
        argsz: wire_size(size_of::<DmaUnmapRequest>()),
        flags,
        address,
        size,
    };
    request.as_bytes().to_vec()
}

/// Payload of a region information request with room for `argsz` bytes.
pub fn region_info_payload(index: u32, argsz: u32) -> Vec<u8> {
    let request = RegionInfoMessage {
        argsz,
        flags: 0,
        index,
        cap_offset: 0,
        size: 0,
        offset: 0,
    };
    request.as_bytes().to_vec()
}

/// Payload of an interrupt information request.
pub fn irq_info_payload(index: u32) -> Vec<u8> {
    let request = IrqInfoMessage {
        argsz: wire_size(size_of::<IrqInfoMessage>()),
        flags: 0,
        index,
        count: 0,
    };
    request.as_bytes().to_vec()
}

/// Payload of an interrupt setting; `flags` are the protocol's, `data` follows the fixed part.
pub fn set_irqs_payload(flags: u32, index: u32, start: u32, count: u32, data: &[u8]) -> Vec<u8> {
    let request = SetIrqsRequest {
        argsz: wire_size(size_of::<SetIrqsRequest>() + data.len()),
        flags,
        index,
        start,
        count,
    };
    [request.as_bytes(), data].concat()
}

fn wire_size(size: usize) -> u32 {
    u32::try_from(size).expect("a test message is far below 4 GiB")
}
