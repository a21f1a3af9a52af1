//! Bytes and descriptors on their way to the socket.
//!
//! Everything that one wake-up produced leaves with one system call, except that a message with
//! a descriptor begins a call of its own: the client takes descriptors with the first bytes of
//! a message.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::Errno as SystemErrno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, send, sendmsg};
use zerocopy::{Immutable, IntoBytes};

use crate::error::{ConnectionError, Errno};
use crate::message::{FLAG_ERROR, HEADER_SIZE, Header, TYPE_COMMAND, TYPE_REPLY};

/// Queued bytes at which no further request is handled until the peer has read.
pub(crate) const OUTPUT_HIGH_WATER: usize = 256 << 10;
/// Queued descriptors at which no further request is handled until the peer has read.
pub(crate) const OUTPUT_FDS_HIGH_WATER: usize = 4;
/// Room kept when the queue has run empty; what a long message needed beyond it is given back.
const KEPT_CAPACITY: usize = 128 << 10;

/// What a flush came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    All,
    Blocked,
    PeerGone,
}

/// A place in the queue to go back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    bytes: usize,
    fds: usize,
}

/// The queue of whole messages towards the peer.
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    sent: usize,
    /// Descriptors with the index of their message in `bytes`, in order.
    fds: VecDeque<(usize, OwnedFd)>,
}

impl Output {
    /// Bytes of memory held.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Tells whether anything waits to be sent.
    pub(crate) fn is_empty(&self) -> bool {
        self.sent == self.bytes.len()
    }

    /// Tells whether a further request may be handled.
    pub(crate) fn has_room(&self) -> bool {
        self.bytes.len() - self.sent < OUTPUT_HIGH_WATER && self.fds.len() < OUTPUT_FDS_HIGH_WATER
    }

    /// Begins a reply; the caller appends its body, then calls [`Self::finish`].
    pub(crate) fn begin_reply(&mut self, request: &Header) -> Mark {
        self.begin(request.message_id, request.command, TYPE_REPLY)
    }

    /// Begins a command of ours.
    pub(crate) fn begin_command(&mut self, message_id: u16, command: u16) -> Mark {
        self.begin(message_id, command, TYPE_COMMAND)
    }

    fn begin(&mut self, message_id: u16, command: u16, flags: u32) -> Mark {
        let mark = Mark {
            bytes: self.bytes.len(),
            fds: self.fds.len(),
        };
        self.append(&Header {
            message_id,
            command,
            size: 0,
            flags,
            errno: 0,
        });
        mark
    }

    /// Appends a layout or bytes to the message under way.
    pub(crate) fn append<T: IntoBytes + Immutable + ?Sized>(&mut self, part: &T) {
        self.bytes.extend_from_slice(part.as_bytes());
    }

    /// Appends `len` zeroes to the message under way, to be filled in place.
    pub(crate) fn append_zeroed(&mut self, len: usize) -> &mut [u8] {
        let at = self.bytes.len();
        self.bytes.resize(at + len, 0);
        &mut self.bytes[at..]
    }

    /// Lets a descriptor go with the message that began at `mark`.
    pub(crate) fn attach(&mut self, mark: Mark, fd: OwnedFd) {
        self.fds.push_back((mark.bytes, fd));
    }

    /// Ends the message that began at `mark` by writing its length.
    pub(crate) fn finish(&mut self, mark: Mark) {
        const SIZE_OFFSET: usize = std::mem::offset_of!(Header, size);
        let size = u32::try_from(self.bytes.len() - mark.bytes)
            .expect("a message is bounded by MAX_MESSAGE_SIZE");
        self.bytes[mark.bytes + SIZE_OFFSET..][..size_of::<u32>()].copy_from_slice(size.as_bytes());
    }

    /// Takes back everything since `mark`.
    pub(crate) fn roll_back(&mut self, mark: Mark) {
        self.bytes.truncate(mark.bytes);
        self.fds.truncate(mark.fds);
    }

    /// Queues an error reply: the bare header, as the protocol wants it.
    pub(crate) fn push_error(&mut self, request: &Header, errno: Errno) {
        self.append(&Header {
            message_id: request.message_id,
            command: request.command,
            size: u32::try_from(HEADER_SIZE).expect("the header has 16 bytes"),
            flags: TYPE_REPLY | FLAG_ERROR,
            errno: errno.get(),
        });
    }

    /// Sends until the queue is empty or the socket takes no more.
    pub(crate) fn flush(&mut self, socket: &OwnedFd) -> Result<Flushed, ConnectionError> {
        while self.sent < self.bytes.len() {
            match self.send_some(socket) {
                Ok(count) => self.sent += count,
                Err(SystemErrno::INTR) => {}
                Err(SystemErrno::AGAIN) => {
                    self.compact();
                    return Ok(Flushed::Blocked);
                }
                Err(SystemErrno::PIPE | SystemErrno::CONNRESET) => return Ok(Flushed::PeerGone),
                Err(error) => return Err(ConnectionError::Socket(error.into())),
            }
        }
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_CAPACITY);
        self.sent = 0;
        Ok(Flushed::All)
    }

    fn send_some(&mut self, socket: &OwnedFd) -> Result<usize, SystemErrno> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let Some((_, fd)) = self.fds.front().filter(|(at, _)| *at == self.sent) else {
            let end = self.fds.front().map_or(self.bytes.len(), |(at, _)| *at);
            return send(socket, &self.bytes[self.sent..end], flags);
        };
        let end = self.fds.get(1).map_or(self.bytes.len(), |(at, _)| *at);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [fd.as_fd()];
        let fits = control.push(SendAncillaryMessage::ScmRights(&fds));
        debug_assert!(fits, "the space is made for one descriptor");
        let parts = [IoSlice::new(&self.bytes[self.sent..end])];
        let count = sendmsg(socket, &parts, &mut control, flags)?;
        // The descriptor left with the first byte.
        self.fds.pop_front();
        Ok(count)
    }

    /// Drops what was sent, so that a peer that reads slowly does not make the queue grow. Waits
    /// until that is half of it, so that a peer reading byte by byte does not make us copy much.
    fn compact(&mut self) {
        if self.sent < self.bytes.len() / 2 {
            return;
        }
        let sent = std::mem::take(&mut self.sent);
        self.bytes.drain(..sent);
        for (at, _) in &mut self.fds {
            *at -= sent;
        }
    }
}
