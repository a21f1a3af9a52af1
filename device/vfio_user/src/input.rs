//! Bytes and descriptors from the socket, cut into messages.
//!
//! One `recvmsg` takes all that has arrived, so descriptors have to be given back to their
//! message. The kernel ends a receive after a segment that carries descriptors, and a sender
//! writes each message with a call of its own: descriptors belong to the last message that
//! begins in the bytes they came with.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::io::Errno as SystemErrno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use zerocopy::FromBytes;

use crate::error::ConnectionError;
use crate::message::{HEADER_SIZE, Header, MAX_MESSAGE_FDS, MAX_MESSAGE_SIZE};

/// Bytes taken by one receive, unless a longer message is under way.
pub(crate) const RECEIVE_BUFFER_SIZE: usize = 64 << 10;

/// What a receive brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    Bytes,
    Nothing,
    EndOfStream,
}

/// Descriptors of one message.
#[derive(Debug, Default)]
pub(crate) struct MessageFds {
    /// At most [`MAX_MESSAGE_FDS`].
    pub(crate) fds: Vec<OwnedFd>,
    /// More came than we take, or the process had no room for them; the surplus is closed.
    pub(crate) overflowed: bool,
}

impl MessageFds {
    fn take_over(&mut self, more: Self) {
        self.fds.extend(more.fds);
        self.overflowed |= more.overflowed;
        *self = std::mem::take(self).bounded();
    }

    /// Closes what is too much, so that a peer cannot fill our descriptor table.
    fn bounded(mut self) -> Self {
        self.overflowed |= self.fds.len() > MAX_MESSAGE_FDS;
        self.fds.truncate(MAX_MESSAGE_FDS);
        self
    }
}

/// The receive buffer: a window `start..end` of bytes that no message was made of yet.
#[derive(Debug)]
pub(crate) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Stream position of `bytes[0]`.
    base: u64,
    /// Descriptors by the stream position where their message begins, in order.
    fds: VecDeque<(u64, MessageFds)>,
}

impl Input {
    pub(crate) fn new() -> Self {
        Self {
            bytes: vec![0; RECEIVE_BUFFER_SIZE],
            start: 0,
            end: 0,
            base: 0,
            fds: VecDeque::new(),
        }
    }

    /// Number of bytes that no message was made of yet.
    pub(crate) fn buffered(&self) -> usize {
        self.end - self.start
    }

    /// Bytes of memory held.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Takes what has arrived, with one system call. Call only when [`Self::next_message`] has
    /// nothing more to give: a full buffer always has room for the message under way then.
    pub(crate) fn receive(&mut self, socket: &OwnedFd) -> Result<Received, ConnectionError> {
        self.make_room();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_MESSAGE_FDS))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut self.bytes[self.end..])];
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let message = match recvmsg(socket, &mut parts, &mut control, flags) {
            Ok(message) => message,
            Err(SystemErrno::AGAIN | SystemErrno::INTR) => return Ok(Received::Nothing),
            Err(SystemErrno::CONNRESET) => return Ok(Received::EndOfStream),
            Err(error) => return Err(ConnectionError::Socket(error.into())),
        };
        self.end += message.bytes;
        let overflowed = message.flags.contains(ReturnFlags::CTRUNC);
        let mut arrived = MessageFds {
            fds: Vec::new(),
            overflowed,
        };
        for part in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = part {
                arrived.fds.extend(fds);
            }
        }
        if message.bytes == 0 {
            return Ok(Received::EndOfStream);
        }
        if overflowed || !arrived.fds.is_empty() {
            self.give_to_last_message(arrived);
        }
        Ok(Received::Bytes)
    }

    /// Returns the header and the place of the payload of the next whole message, if any, and
    /// takes it out of the window. The place is good until the next [`Self::receive`].
    pub(crate) fn next_message(
        &mut self,
    ) -> Result<Option<(Header, Range<usize>, MessageFds)>, ConnectionError> {
        let Some(header) = self.header_at(self.start) else {
            return Ok(None);
        };
        let size = checked_size(&header)?;
        if self.buffered() < size {
            return Ok(None);
        }
        let fds = self.take_fds_of(self.position(self.start));
        let payload = self.start + HEADER_SIZE..self.start + size;
        self.start = payload.end;
        Ok(Some((header, payload, fds)))
    }

    /// The bytes of a place that [`Self::next_message`] gave.
    pub(crate) fn bytes(&self, place: Range<usize>) -> &[u8] {
        &self.bytes[place]
    }

    /// Tells whether a whole message waits in the window, or one that is wrong.
    pub(crate) fn has_message(&self) -> bool {
        self.header_at(self.start)
            .is_some_and(|header| match checked_size(&header) {
                Ok(size) => self.buffered() >= size,
                Err(_) => true,
            })
    }

    fn header_at(&self, index: usize) -> Option<Header> {
        let (header, _) = Header::read_from_prefix(self.bytes.get(index..self.end)?).ok()?;
        Some(header)
    }

    fn position(&self, index: usize) -> u64 {
        self.base + u64::try_from(index).expect("an index of a buffer fits into u64")
    }

    /// Moves the unfinished message to the front and fits the buffer to its length. The length
    /// has been checked against [`MAX_MESSAGE_SIZE`], which bounds what a peer can make us hold.
    fn make_room(&mut self) {
        if self.start > 0 {
            self.base = self.position(self.start);
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let under_way = self
            .header_at(0)
            .and_then(|header| checked_size(&header).ok())
            .unwrap_or(0);
        let wanted = under_way.max(RECEIVE_BUFFER_SIZE);
        if self.bytes.len() != wanted {
            self.bytes.resize(wanted, 0);
            self.bytes.shrink_to(wanted);
        }
    }

    /// Gives descriptors to the last message that begins in the window.
    fn give_to_last_message(&mut self, arrived: MessageFds) {
        let mut begin = self.start;
        while let Some(size) = self
            .header_at(begin)
            .and_then(|header| checked_size(&header).ok())
        {
            if begin + size >= self.end {
                break;
            }
            begin += size;
        }
        let position = self.position(begin);
        match self.fds.back_mut() {
            Some((at, holder)) if *at == position => holder.take_over(arrived),
            _ => self.fds.push_back((position, arrived.bounded())),
        }
    }

    fn take_fds_of(&mut self, position: u64) -> MessageFds {
        match self.fds.front() {
            Some((at, _)) if *at == position => {
                self.fds.pop_front().map(|(_, fds)| fds).unwrap_or_default()
            }
            _ => MessageFds::default(),
        }
    }
}

fn checked_size(header: &Header) -> Result<usize, ConnectionError> {
    let size = usize::try_from(header.size).unwrap_or(usize::MAX);
    if (HEADER_SIZE..=MAX_MESSAGE_SIZE).contains(&size) {
        return Ok(size);
    }
    Err(ConnectionError::MessageSize {
        message_id: header.message_id,
        command: header.command,
        size: header.size,
        min: HEADER_SIZE,
        max: MAX_MESSAGE_SIZE,
    })
}
