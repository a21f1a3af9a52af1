//! Message DMA: what we asked of the client and have no reply to yet.
//!
//! QEMU writes a read reply once to a non-blocking socket and forgets what does not fit, so the
//! number and size of what is outstanding are bounded here. A request whose deadline has passed
//! keeps its place until the late reply or the end of the connection: its bytes may still come.

use std::collections::VecDeque;
use std::time::Instant;

use thiserror::Error;
use zerocopy::FromBytes;

use crate::error::Errno;
use crate::message::{Command, DmaAccess, Header};

/// Most requests outstanding on one connection.
pub const MAX_DMA_REQUESTS: usize = 64;
/// Most data bytes outstanding on one connection, reads and writes together.
pub const MAX_DMA_BYTES: usize = 256 << 10;
/// Most bytes of one read: QEMU cuts off longer replies when several are outstanding.
pub const MAX_DMA_READ: usize = 32 << 10;
/// Most bytes of one write.
pub const MAX_DMA_WRITE: usize = 64 << 10;

/// Names one request of message DMA; never used twice on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DmaTicket(u64);

/// Why a request was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SubmitError {
    /// A bound is reached; queue the request and try again after the next reply.
    #[error("{outstanding} requests with {bytes:#x} bytes are outstanding")]
    Busy {
        /// Requests outstanding.
        outstanding: usize,
        /// Their data bytes.
        bytes: usize,
    },
    /// The request is empty or longer than one message may be; split it.
    #[error("length {len:#x} is outside 1..={max:#x}")]
    Length {
        /// Length asked for.
        len: usize,
        /// Most bytes one message may carry.
        max: usize,
    },
    /// The range goes beyond 2^64.
    #[error("range at {iova:#x} of length {len:#x} wraps")]
    Wraps {
        /// First address.
        iova: u64,
        /// Length asked for.
        len: usize,
    },
    /// The version exchange is not done.
    #[error("the client has not negotiated yet")]
    NotNegotiated,
}

/// Why a request that was sent has no data to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DmaError {
    /// The client refused it. QEMU says `ENODEV` for unmapped, read-only, no memory there and
    /// bus mastering off alike.
    #[error("the client refused with {0}")]
    Refused(Errno),
    /// The deadline passed.
    #[error("no reply before the deadline")]
    TimedOut,
    /// The reply does not fit the request.
    #[error("the reply does not fit the request")]
    MalformedReply,
    /// The client is gone.
    #[error("the client disconnected")]
    Disconnected,
}

#[derive(Clone, Copy, Debug)]
struct Request {
    message_id: u16,
    ticket: DmaTicket,
    command: Command,
    access: DmaAccess,
    len: usize,
    deadline: Instant,
    abandoned: bool,
}

/// What a reply turned out to be.
pub(crate) enum Reply<'a> {
    Answers(DmaTicket, Result<&'a [u8], DmaError>),
    Late,
    Unknown,
}

/// The table of requests without a reply, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Outstanding {
    requests: VecDeque<Request>,
    bytes: usize,
    last_message_id: u16,
    last_ticket: u64,
}

impl Outstanding {
    /// Number of requests without a reply, abandoned ones included.
    pub(crate) fn len(&self) -> usize {
        self.requests.len()
    }

    /// Takes a place for a request, and returns its message id and ticket.
    pub(crate) fn admit(
        &mut self,
        command: Command,
        iova: u64,
        len: usize,
        deadline: Instant,
    ) -> Result<(u16, DmaTicket, DmaAccess), SubmitError> {
        let count = u64::try_from(len).expect("usize fits into u64 on every target of ours");
        // The last byte, not the end: a range may end at 2^64 exactly.
        if iova.checked_add(count - 1).is_none() {
            return Err(SubmitError::Wraps { iova, len });
        }
        if self.requests.len() >= MAX_DMA_REQUESTS || self.bytes + len > MAX_DMA_BYTES {
            return Err(self.busy());
        }
        let access = DmaAccess {
            address: iova,
            count,
        };
        let message_id = self.next_message_id();
        self.last_ticket += 1;
        let ticket = DmaTicket(self.last_ticket);
        self.bytes += len;
        self.requests.push_back(Request {
            message_id,
            ticket,
            command,
            access,
            len,
            deadline,
            abandoned: false,
        });
        Ok((message_id, ticket, access))
    }

    /// The error that says how full the table is.
    pub(crate) fn busy(&self) -> SubmitError {
        SubmitError::Busy {
            outstanding: self.requests.len(),
            bytes: self.bytes,
        }
    }

    fn next_message_id(&mut self) -> u16 {
        loop {
            self.last_message_id = self.last_message_id.wrapping_add(1);
            let id = self.last_message_id;
            // At most 64 of 65,536 ids are taken, so this ends.
            if self.requests.iter().all(|request| request.message_id != id) {
                return id;
            }
        }
    }

    /// Finds the request of a reply and judges the reply.
    pub(crate) fn take<'a>(&mut self, header: &Header, payload: &'a [u8]) -> Reply<'a> {
        let position = self
            .requests
            .iter()
            .position(|request| request.message_id == header.message_id);
        let Some(request) = position.and_then(|position| self.requests.remove(position)) else {
            return Reply::Unknown;
        };
        self.bytes -= request.len;
        if request.abandoned {
            return Reply::Late;
        }
        Reply::Answers(request.ticket, judge_reply(&request, header, payload))
    }

    /// Gives up on requests whose deadline is `now` or earlier.
    pub(crate) fn expire(&mut self, now: Instant) -> Vec<DmaTicket> {
        self.requests
            .iter_mut()
            .filter(|request| !request.abandoned && request.deadline <= now)
            .map(|request| {
                request.abandoned = true;
                request.ticket
            })
            .collect()
    }

    /// The earliest deadline of a request that is still waited for.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.requests
            .iter()
            .filter(|request| !request.abandoned)
            .map(|request| request.deadline)
            .min()
    }

    /// Forgets everything and returns the tickets that were still waited for.
    pub(crate) fn drain(&mut self) -> Vec<DmaTicket> {
        self.bytes = 0;
        self.requests
            .drain(..)
            .filter(|request| !request.abandoned)
            .map(|request| request.ticket)
            .collect()
    }
}

fn judge_reply<'a>(
    request: &Request,
    header: &Header,
    payload: &'a [u8],
) -> Result<&'a [u8], DmaError> {
    if Command(header.command) != request.command {
        return Err(DmaError::MalformedReply);
    }
    if header.is_error() {
        return Err(DmaError::Refused(
            Errno::new(header.errno).unwrap_or(Errno::EIO),
        ));
    }
    let (access, data) =
        DmaAccess::read_from_prefix(payload).map_err(|_| DmaError::MalformedReply)?;
    let expected = match request.command {
        Command::DMA_READ => request.len,
        _ => 0,
    };
    if access != request.access || data.len() != expected {
        return Err(DmaError::MalformedReply);
    }
    Ok(data)
}
