//! [`Messages`]: the engine's tickets beside the connection's.
//!
//! The connection numbers its requests anew after each QEMU, the engine must never see a number
//! twice; so the engine gets numbers from here.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use dmarig_abi::Iova;
use endpoint::{MessageError, SubmitError, Ticket};
use recording::log::SubmitFailure;
use vfio_user::{Connection, DmaError, DmaTicket};

/// How long QEMU has for a DMA message; below the 5 s that it gives us.
const MESSAGE_DEADLINE: Duration = Duration::from_secs(4);

/// Whether DMA messages are sent at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageDma {
    /// On a miss, and when a request asks for it.
    On,
    /// Never.
    Off,
}

/// Totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageCounters {
    /// Messages sent.
    pub sent: u64,
    /// Messages that were not answered in time.
    pub timed_out: u64,
}

#[derive(Debug)]
pub(super) struct Messages {
    mode: MessageDma,
    sent: HashMap<DmaTicket, Ticket>,
    last: u64,
    counters: MessageCounters,
}

/// What a message carries.
pub(super) enum Payload<'a> {
    Read { len: usize },
    Write { data: &'a [u8] },
}

impl Payload<'_> {
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Read { len } => *len,
            Self::Write { data } => data.len(),
        }
    }
}

impl Messages {
    pub(super) fn new(mode: MessageDma) -> Self {
        Self {
            mode,
            sent: HashMap::new(),
            last: 0,
            counters: MessageCounters::default(),
        }
    }

    pub(super) const fn counters(&self) -> MessageCounters {
        self.counters
    }

    /// Sends a message.
    ///
    /// # Errors
    /// `Busy` if the connection takes no more now, `Unavailable` if this one can never be sent.
    pub(super) fn submit(
        &mut self,
        connection: Option<&mut Connection>,
        iova: Iova,
        payload: &Payload<'_>,
        now: Instant,
    ) -> Result<Ticket, SubmitError> {
        let connection = connection
            .filter(|_| self.mode == MessageDma::On)
            .ok_or(SubmitError::Unavailable)?;
        let deadline = now + MESSAGE_DEADLINE;
        let submitted = match payload {
            Payload::Read { len } => connection.submit_read(iova.raw(), *len, deadline),
            Payload::Write { data } => connection.submit_write(iova.raw(), data, deadline),
        };
        let dma_ticket = submitted.map_err(|error| match error {
            // Full of requests past their deadline: a platform that hangs may never make room.
            vfio_user::SubmitError::Busy { outstanding, .. }
                if outstanding > 0 && connection.next_dma_deadline().is_none() =>
            {
                SubmitError::Unavailable
            }
            vfio_user::SubmitError::Busy { .. } => SubmitError::Busy,
            // A length that the peer has not negotiated: QEMU takes 1 MiB, a stranger may take less.
            vfio_user::SubmitError::NotNegotiated
            | vfio_user::SubmitError::Length { .. }
            | vfio_user::SubmitError::Wraps { .. } => SubmitError::Unavailable,
        })?;
        let ticket = self.next_ticket();
        self.sent.insert(dma_ticket, ticket);
        Ok(ticket)
    }

    /// The same in a replay: nothing is sent, and the log knows what came of it.
    ///
    /// # Errors
    /// As recorded.
    pub(super) fn submit_again(
        &mut self,
        failure: Option<SubmitFailure>,
    ) -> Result<Ticket, SubmitError> {
        match failure {
            None => Ok(self.next_ticket()),
            Some(SubmitFailure::Busy) => Err(SubmitError::Busy),
            Some(SubmitFailure::Unavailable) => Err(SubmitError::Unavailable),
        }
    }

    fn next_ticket(&mut self) -> Ticket {
        self.counters.sent += 1;
        self.last += 1;
        Ticket(self.last)
    }

    /// The engine's ticket for a reply, with the reply as the engine wants it.
    pub(super) fn take_reply<'a>(
        &mut self,
        dma_ticket: DmaTicket,
        outcome: Result<&'a [u8], DmaError>,
    ) -> Option<(Ticket, Result<&'a [u8], MessageError>)> {
        let ticket = self.sent.remove(&dma_ticket)?;
        let answer = match outcome {
            Ok(bytes) => Ok(bytes),
            Err(DmaError::Refused(_) | DmaError::MalformedReply) => Err(MessageError::Refused),
            Err(DmaError::TimedOut) => {
                self.counters.timed_out += 1;
                Err(MessageError::Timeout)
            }
            Err(DmaError::Disconnected) => Err(MessageError::Disconnected),
        };
        Some((ticket, answer))
    }
}
