//! One client on one socket, for an event loop that owns the thread.
//!
//! The loop watches [`Connection::as_fd`] level-triggered, for reading while
//! [`Connection::wants_read`] and for writing while [`Connection::wants_write`], and calls
//! [`Connection::on_readable`] and [`Connection::on_writable`]. A call takes what has arrived
//! with one system call, handles it in order and sends all answers with one more; it never
//! waits. What the device wants to do by message DMA is submitted after that and leaves with
//! [`Connection::flush`].
//!
//! Memory is bounded whatever the peer does: the receive buffer by one message, the output by
//! a high-water mark (above it no request is handled) and one reply, message DMA by its table.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::{FdFlags, fcntl_setfd};
use tracing::warn;

use crate::counters::{Counters, count};
use crate::device_model::DeviceModel;
use crate::dma::{
    DmaError, DmaTicket, MAX_DMA_READ, MAX_DMA_WRITE, Outstanding, Reply, SubmitError,
};
use crate::error::ConnectionError;
use crate::input::{Input, Received};
use crate::message::{Command, FLAG_TYPE_MASK, Header, TYPE_COMMAND, TYPE_REPLY};
use crate::output::{Flushed, Output};
use crate::server::{Request, Server};

/// Most bytes of buffers that a connection holds, whatever the peer does: one message in, and
/// out the high-water mark with one reply and all message DMA, as far as a vector doubles.
pub const MAX_BUFFER_BYTES: usize = 4 << 20;

/// How a connection stands after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It lives.
    Open,
    /// The client left between two messages; drop the connection.
    Closed,
}

/// The server's end of one connection.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
    input: Input,
    output: Output,
    server: Server,
    dma: Outstanding,
    is_open: bool,
    /// Whether the device lets nothing out for now.
    is_held: bool,
}

impl Connection {
    /// Takes a connected stream socket.
    ///
    /// # Errors
    /// [`ConnectionError::Socket`] if it cannot be made non-blocking.
    pub fn new(socket: OwnedFd) -> Result<Self, ConnectionError> {
        let prepare = || {
            fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
            fcntl_setfl(&socket, fcntl_getfl(&socket)? | OFlags::NONBLOCK)
        };
        prepare().map_err(|error| ConnectionError::Socket(error.into()))?;
        Ok(Self {
            socket,
            input: Input::new(),
            output: Output::default(),
            server: Server::default(),
            dma: Outstanding::default(),
            is_open: true,
            is_held: false,
        })
    }

    /// Takes what has arrived and answers it.
    ///
    /// # Errors
    /// The connection is over; the device has been told.
    pub fn on_readable(
        &mut self,
        device: &mut impl DeviceModel,
    ) -> Result<Progress, ConnectionError> {
        let result = self.receive_and_handle(device);
        self.settle(result, device)
    }

    /// Sends what waits, then handles requests that were held back.
    ///
    /// # Errors
    /// The connection is over; the device has been told.
    pub fn on_writable(
        &mut self,
        device: &mut impl DeviceModel,
    ) -> Result<Progress, ConnectionError> {
        let result = self.flush_and_handle(device);
        self.settle(result, device)
    }

    /// Sends what waits, as far as the socket takes it. Call after submitting message DMA.
    ///
    /// # Errors
    /// The connection is over; the device has been told.
    pub fn flush(&mut self, device: &mut impl DeviceModel) -> Result<Progress, ConnectionError> {
        let result = self.send(device);
        self.settle(result, device)
    }

    /// Ends the connection from our side and tells the device.
    pub fn close(mut self, device: &mut impl DeviceModel) {
        self.end(device);
    }

    /// Tells whether to wait for the socket to become readable.
    pub fn wants_read(&self) -> bool {
        self.is_open && !self.is_held && self.output.has_room()
    }

    /// Tells whether to wait for the socket to become writable: something waits to be sent, or
    /// requests that were held back wait to be handled.
    pub fn wants_write(&self) -> bool {
        self.is_open && !self.is_held && (!self.output.is_empty() || self.input.has_message())
    }

    /// Returns the totals of what the peer caused.
    pub fn counters(&self) -> Counters {
        self.server.counters
    }

    /// Returns the bytes of buffers held now; at most [`MAX_BUFFER_BYTES`].
    pub fn buffer_bytes(&self) -> usize {
        self.input.capacity() + self.output.capacity()
    }

    /// Most bytes [`Self::submit_read`] takes; 0 before the peer has negotiated.
    pub fn max_dma_read(&self) -> usize {
        self.max_dma(MAX_DMA_READ)
    }

    /// Most bytes [`Self::submit_write`] takes; 0 before the peer has negotiated.
    pub fn max_dma_write(&self) -> usize {
        self.max_dma(MAX_DMA_WRITE)
    }

    /// Number of message DMA requests without a reply, those past their deadline included.
    pub fn outstanding_dma(&self) -> usize {
        self.dma.len()
    }

    /// Queues a read of guest memory by message. The outcome comes by
    /// [`DeviceModel::dma_reply`].
    ///
    /// # Errors
    /// [`SubmitError::Busy`] when a bound is reached; the others are the caller's mistake.
    pub fn submit_read(
        &mut self,
        iova: u64,
        len: usize,
        deadline: Instant,
    ) -> Result<DmaTicket, SubmitError> {
        let max = self.max_dma_read();
        self.submit(Command::DMA_READ, iova, len, max, deadline, &[])
    }

    /// Queues a write of guest memory by message. The outcome comes by
    /// [`DeviceModel::dma_reply`].
    ///
    /// # Errors
    /// [`SubmitError::Busy`] when a bound is reached; the others are the caller's mistake.
    pub fn submit_write(
        &mut self,
        iova: u64,
        data: &[u8],
        deadline: Instant,
    ) -> Result<DmaTicket, SubmitError> {
        let max = self.max_dma_write();
        self.submit(Command::DMA_WRITE, iova, data.len(), max, deadline, data)
    }

    /// Gives up on message DMA whose deadline is `now` or earlier and tells the device. A reply
    /// that comes later is dropped and counted.
    pub fn expire_dma(&mut self, now: Instant, device: &mut impl DeviceModel) {
        for ticket in self.dma.expire(now) {
            device.dma_reply(ticket, Err(DmaError::TimedOut));
        }
    }

    /// When to call [`Self::expire_dma`] next.
    pub fn next_dma_deadline(&self) -> Option<Instant> {
        self.dma.next_deadline()
    }

    fn max_dma(&self, ours: usize) -> usize {
        self.server
            .peer()
            .map_or(0, |peer| peer.max_data_xfer_size.min(ours))
    }

    fn submit(
        &mut self,
        command: Command,
        iova: u64,
        len: usize,
        max: usize,
        deadline: Instant,
        data: &[u8],
    ) -> Result<DmaTicket, SubmitError> {
        if self.server.peer().is_none() || !self.is_open {
            return Err(SubmitError::NotNegotiated);
        }
        if len == 0 || len > max {
            return Err(SubmitError::Length { len, max });
        }
        if !self.output.has_room() {
            return Err(self.dma.busy());
        }
        let (message_id, ticket, access) = self.dma.admit(command, iova, len, deadline)?;
        let mark = self.output.begin_command(message_id, command.0);
        self.output.append(&access);
        self.output.append(data);
        self.output.finish(mark);
        Ok(ticket)
    }

    fn receive_and_handle(
        &mut self,
        device: &mut impl DeviceModel,
    ) -> Result<Progress, ConnectionError> {
        // The loop may call on a hang-up too: then the send that blocks us says so.
        if !self.output.has_room() {
            return self.flush_and_handle(device);
        }
        // Messages that were held back come first; the buffer may be full of them.
        let received = if self.input.has_message() {
            Received::Nothing
        } else {
            self.input.receive(&self.socket)?
        };
        self.handle_buffered(device)?;
        let progress = self.send(device)?;
        match received {
            Received::EndOfStream if self.input.buffered() > 0 => {
                Err(ConnectionError::PeerVanished {
                    received: self.input.buffered(),
                })
            }
            Received::EndOfStream => Ok(Progress::Closed),
            Received::Bytes | Received::Nothing => Ok(progress),
        }
    }

    /// Makes one pass, so that one peer does not hold the loop; [`Self::wants_write`] stays set
    /// while there is more to do.
    fn flush_and_handle(
        &mut self,
        device: &mut impl DeviceModel,
    ) -> Result<Progress, ConnectionError> {
        let progress = self.send(device)?;
        if progress == Progress::Closed {
            return Ok(progress);
        }
        self.handle_buffered(device)?;
        self.send(device)
    }

    fn handle_buffered(&mut self, device: &mut impl DeviceModel) -> Result<(), ConnectionError> {
        while self.output.has_room() {
            let Some((header, place, fds)) = self.input.next_message()? else {
                break;
            };
            let payload = self.input.bytes(place);
            match header.flags & FLAG_TYPE_MASK {
                TYPE_COMMAND => {
                    let request = Request {
                        header,
                        payload,
                        fds,
                    };
                    self.server.serve(request, device, &mut self.output);
                }
                TYPE_REPLY => {
                    let reply = self.dma.take(&header, payload);
                    take_reply(reply, &mut self.server.counters, &header, device);
                }
                _ => {
                    return Err(ConnectionError::MessageType {
                        message_id: header.message_id,
                        command: header.command,
                        flags: header.flags,
                    });
                }
            }
        }
        Ok(())
    }

    fn send(&mut self, device: &impl DeviceModel) -> Result<Progress, ConnectionError> {
        self.is_held = device.holds_answers();
        if self.is_held {
            return Ok(self.progress());
        }
        match self.output.flush(&self.socket)? {
            Flushed::All | Flushed::Blocked => Ok(self.progress()),
            Flushed::PeerGone => Ok(Progress::Closed),
        }
    }

    fn progress(&self) -> Progress {
        if self.is_open {
            Progress::Open
        } else {
            Progress::Closed
        }
    }

    fn settle(
        &mut self,
        result: Result<Progress, ConnectionError>,
        device: &mut impl DeviceModel,
    ) -> Result<Progress, ConnectionError> {
        if !matches!(result, Ok(Progress::Open)) {
            self.end(device);
        }
        result
    }

    fn end(&mut self, device: &mut impl DeviceModel) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        for ticket in self.dma.drain() {
            device.dma_reply(ticket, Err(DmaError::Disconnected));
        }
        device.disconnected();
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn take_reply(
    reply: Reply<'_>,
    counters: &mut Counters,
    header: &Header,
    device: &mut impl DeviceModel,
) {
    let (counter, what) = match reply {
        Reply::Answers(ticket, outcome) => {
            device.dma_reply(ticket, outcome);
            if outcome != Err(DmaError::MalformedReply) {
                return;
            }
            (&mut counters.malformed_replies, "malformed DMA reply")
        }
        Reply::Late => (&mut counters.late_replies, "late DMA reply dropped"),
        Reply::Unknown => (&mut counters.unknown_replies, "reply to nothing dropped"),
    };
    if count(counter) {
        warn!(
            command = header.command,
            message_id = header.message_id,
            size = header.size,
            total = *counter,
            what
        );
    }
}
