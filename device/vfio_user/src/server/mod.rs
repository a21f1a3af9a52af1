//! Serves requests: checks one message, calls the device, writes the reply.
//!
//! A handler appends its reply's body to the output; [`Server::serve`] frames it, or takes it
//! back and writes an error, or nothing when no reply is wanted.

mod dma;
mod info;
mod irqs;
mod region;

use tracing::{debug, warn};
use zerocopy::FromBytes;

use crate::counters::{Counters, count};
use crate::device_model::DeviceModel;
use crate::error::Errno;
use crate::input::MessageFds;
use crate::message::{Command, Header};
use crate::negotiate::{self, PeerLimits};
use crate::output::Output;

/// One request, cut from the stream.
pub(crate) struct Request<'a> {
    pub(crate) header: Header,
    pub(crate) payload: &'a [u8],
    pub(crate) fds: MessageFds,
}

/// The state that requests leave behind, apart from the device's.
#[derive(Debug, Default)]
pub(crate) struct Server {
    peer: Option<PeerLimits>,
    pub(crate) counters: Counters,
}

impl Server {
    /// The peer's limits, once it has negotiated.
    pub(crate) fn peer(&self) -> Option<PeerLimits> {
        self.peer
    }

    /// Handles one request and queues its reply.
    pub(crate) fn serve(
        &mut self,
        request: Request<'_>,
        device: &mut impl DeviceModel,
        output: &mut Output,
    ) {
        self.counters.requests += 1;
        let header = request.header;
        let mark = output.begin_reply(&header);
        let outcome = self.handle(request, device, &mut ReplyBody { output, mark });
        match outcome {
            Ok(()) if header.wants_reply() => output.finish(mark),
            Ok(()) => output.roll_back(mark),
            Err(errno) => {
                output.roll_back(mark);
                self.refuse(&header, errno, output);
            }
        }
    }

    fn handle(
        &mut self,
        request: Request<'_>,
        device: &mut impl DeviceModel,
        reply: &mut ReplyBody<'_>,
    ) -> Result<(), Errno> {
        let command = Command(request.header.command);
        if request.fds.overflowed || request.fds.fds.len() > max_fds(command) {
            return Err(Errno::EINVAL);
        }
        if self.peer.is_none() && command != Command::VERSION {
            return Err(Errno::EPROTO);
        }
        let Request { payload, fds, .. } = request;
        match command {
            Command::REGION_READ => region::read(payload, device, reply),
            Command::REGION_WRITE => region::write(payload, device, reply),
            Command::DMA_MAP => dma::map(payload, fds.fds, device),
            Command::DMA_UNMAP => dma::unmap(payload, device, reply),
            Command::DEVICE_GET_INFO => info::device(payload, reply),
            Command::DEVICE_GET_REGION_INFO => info::region(payload, device, reply),
            Command::DEVICE_GET_IRQ_INFO => info::irq(payload, device, reply),
            Command::DEVICE_SET_IRQS => irqs::set(payload, fds.fds, device),
            Command::DEVICE_RESET => reset(payload, device),
            Command::VERSION => self.negotiate(payload, reply),
            Command::DEVICE_GET_REGION_IO_FDS
            | Command::REGION_WRITE_MULTI
            | Command::DEVICE_FEATURE
            | Command::MIG_DATA_READ
            | Command::MIG_DATA_WRITE => Err(Errno::EOPNOTSUPP),
            _ => Err(Errno::ENOSYS),
        }
    }

    fn negotiate(&mut self, payload: &[u8], reply: &mut ReplyBody<'_>) -> Result<(), Errno> {
        if self.peer.is_some() {
            return Err(Errno::EPROTO);
        }
        let peer = negotiate::judge_proposal(payload)?;
        debug!(max_data_xfer_size = peer.max_data_xfer_size, "negotiated");
        self.peer = Some(peer);
        let (version, text) = negotiate::reply();
        reply.output.append(&version);
        reply.output.append(text);
        Ok(())
    }

    /// Queues an error reply, or only counts where none is wanted: an error reply to a message
    /// without one is itself a breach.
    fn refuse(&mut self, header: &Header, errno: Errno, output: &mut Output) {
        let counter = if header.wants_reply() {
            output.push_error(header, errno);
            &mut self.counters.refused
        } else {
            &mut self.counters.refused_silently
        };
        if count(counter) {
            warn!(
                command = header.command,
                message_id = header.message_id,
                size = header.size,
                %errno,
                total = *counter,
                "request refused"
            );
        }
    }
}

/// The reply under way.
struct ReplyBody<'a> {
    output: &'a mut Output,
    mark: crate::output::Mark,
}

/// Most descriptors a request may bring.
fn max_fds(command: Command) -> usize {
    match command {
        Command::DMA_MAP => 1,
        Command::DEVICE_SET_IRQS => crate::message::MAX_MESSAGE_FDS,
        _ => 0,
    }
}

/// Reads a payload that is exactly one layout.
fn parse_exact<T: FromBytes>(payload: &[u8]) -> Result<T, Errno> {
    T::read_from_bytes(payload).map_err(|_| Errno::EINVAL)
}

/// Checks that the sender's `argsz` covers the fixed part of a layout.
fn check_argsz<T>(argsz: u32) -> Result<(), Errno> {
    match usize::try_from(argsz) {
        Ok(argsz) if argsz >= size_of::<T>() => Ok(()),
        _ => Err(Errno::EINVAL),
    }
}

fn reset(payload: &[u8], device: &mut impl DeviceModel) -> Result<(), Errno> {
    if !payload.is_empty() {
        return Err(Errno::EINVAL);
    }
    device.reset()
}
