//! [`DmaBus`]: what an endpoint asks of the rest of the device to reach memory.
//!
//! The trait is declared here and implemented where mapping table, guest memory and socket meet, so
//! that this crate sees none of them. Two paths lead to memory: *mapped* (the table knows where the
//! bytes are; done at once) and *message* (a question to the platform, answered later by
//! [`crate::Endpoint::message_done`]).

use dmarig_abi::Iova;

use crate::channel_id::ChannelId;
use crate::event::Origin;

/// Most bytes that an endpoint asks for or sends in one message.
pub const MESSAGE_MAX_SIZE_BYTES: usize = 32 << 10;

/// Whether an access reads or writes memory, seen from the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The device reads memory.
    Read,
    /// The device writes memory.
    Write,
}

/// Where and why the mapped path ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusFault {
    /// The first byte that was not reached.
    pub iova: Iova,
    /// The reason.
    pub kind: BusFaultKind,
}

/// Why the mapped path ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusFaultKind {
    /// No mapping covers the byte.
    Unmapped,
    /// A mapping covers the byte, but does not permit this access.
    Permission,
    /// A mapping covers the byte and permits the access, but the memory behind it can be reached by
    /// message only (it came without a file descriptor, or with one that is not safe to map).
    MessageOnly,
}

/// Names one DMA message under way. The bus gives tickets out and never gives one out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket(pub u64);

/// Why a DMA message brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageError {
    /// The platform answered with an error.
    Refused,
    /// The platform did not answer in time.
    Timeout,
    /// The answer was Unsupported Request.
    UnsupportedRequest,
    /// The answer was Completer Abort.
    CompleterAbort,
    /// The answer's data were poisoned.
    Poisoned,
    /// The connection ended before the answer came.
    Disconnected,
}

/// Why a DMA message was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// Too many requests or bytes are outstanding. The endpoint asks again in a later
    /// [`crate::Endpoint::work`]; call that whenever there is room again.
    Busy,
    /// There is no platform to ask: not connected, or message DMA is switched off. The endpoint
    /// then reports what the mapping table said.
    Unavailable,
}

/// A request that an endpoint begins, as far as it concerns the bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestStart {
    /// Who asked, and what for.
    pub origin: Origin,
    /// One of `DMA_OP_*`; 0 for what the endpoint does of itself.
    pub opcode: u16,
    /// First IOVA read, if anything is.
    pub source: Option<Iova>,
    /// First IOVA written, if anything is.
    pub destination: Option<Iova>,
    /// Length in bytes.
    pub len_bytes: u64,
}

/// When a request's interrupt is raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterruptOrder {
    /// When all that it tells of is visible, as it should be.
    #[default]
    Last,
    /// At once, before anything of the request is visible: an injected fault.
    First,
}

/// The way to memory. No method waits; offsets that the guest chose are the bus's to check.
pub trait DmaBus {
    /// The mapping epoch: counts every change of the function's mappings.
    fn mapping_epoch(&self) -> u64;

    /// Says which channel makes the accesses that follow, for those who keep records.
    fn enter_channel(&mut self, channel: ChannelId) {
        let _ = channel;
    }

    /// Says what the accesses of the channel that was entered last are for, from now on until its next
    /// request begins. Returns when the request's interrupt is to be raised. An endpoint without
    /// requests need not call this.
    fn begin_request(&mut self, request: &RequestStart) -> InterruptOrder {
        let _ = request;
        InterruptOrder::Last
    }

    /// How many bytes from `iova` on may go in one access, 1 to `len_bytes`: all of them, or one TLP
    /// where somebody looks at TLPs.
    fn access_bytes(&self, iova: Iova, len_bytes: u64, direction: Direction) -> u64 {
        let _ = (iova, direction);
        len_bytes
    }

    /// Reads memory by the translations that were removed last, as a stale translation cache does;
    /// whether there was a way. For injected faults alone.
    fn read_stale(&mut self, iova: Iova, buffer: &mut [u8]) -> bool {
        let _ = (iova, buffer);
        false
    }

    /// Writes memory in the same way; whether there was one.
    fn write_stale(&mut self, iova: Iova, data: &[u8]) -> bool {
        let _ = (iova, data);
        false
    }

    /// Asks the mapping table, and it alone, how many bytes from `iova` on permit the access: 1 to
    /// `len_bytes`, not necessarily all that do. Ranges passed here do not wrap round 2^64.
    ///
    /// # Errors
    /// The fault of the byte at `iova`.
    fn probe(&self, iova: Iova, len_bytes: u64, direction: Direction) -> Result<u64, BusFault>;

    /// How many bytes from `iova` on, 1 to `len_bytes`, one message can carry. Fewer than all where
    /// the device has a remapping unit of its own, and it leads the rest elsewhere.
    fn message_reach(&self, iova: Iova, len_bytes: u64, direction: Direction) -> u64 {
        let _ = (iova, direction);
        len_bytes
    }

    /// Reads memory by the mapped path.
    ///
    /// # Errors
    /// The first byte that was not reached; all bytes in front of it are in `buffer`.
    fn read(&mut self, iova: Iova, buffer: &mut [u8]) -> Result<(), BusFault>;

    /// Writes memory by the mapped path.
    ///
    /// # Errors
    /// The first byte that was not reached; all bytes in front of it are written.
    fn write(&mut self, iova: Iova, data: &[u8]) -> Result<(), BusFault>;

    /// Sends DMA_READ for at most [`MESSAGE_MAX_SIZE_BYTES`].
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was sent.
    fn submit_read(&mut self, iova: Iova, len_bytes: usize) -> Result<Ticket, SubmitError>;

    /// Sends DMA_WRITE of at most [`MESSAGE_MAX_SIZE_BYTES`].
    ///
    /// # Errors
    /// [`SubmitError`]; nothing was sent.
    fn submit_write(&mut self, iova: Iova, data: &[u8]) -> Result<Ticket, SubmitError>;
}

/// A borrowed bus is a bus, so that code generic over the bus also takes a `dyn` one.
impl<T: DmaBus + ?Sized> DmaBus for &mut T {
    fn mapping_epoch(&self) -> u64 {
        (**self).mapping_epoch()
    }

    fn enter_channel(&mut self, channel: ChannelId) {
        (**self).enter_channel(channel);
    }

    fn begin_request(&mut self, request: &RequestStart) -> InterruptOrder {
        (**self).begin_request(request)
    }

    fn access_bytes(&self, iova: Iova, len_bytes: u64, direction: Direction) -> u64 {
        (**self).access_bytes(iova, len_bytes, direction)
    }

    fn read_stale(&mut self, iova: Iova, buffer: &mut [u8]) -> bool {
        (**self).read_stale(iova, buffer)
    }

    fn write_stale(&mut self, iova: Iova, data: &[u8]) -> bool {
        (**self).write_stale(iova, data)
    }

    fn probe(&self, iova: Iova, len_bytes: u64, direction: Direction) -> Result<u64, BusFault> {
        (**self).probe(iova, len_bytes, direction)
    }

    fn message_reach(&self, iova: Iova, len_bytes: u64, direction: Direction) -> u64 {
        (**self).message_reach(iova, len_bytes, direction)
    }

    fn read(&mut self, iova: Iova, buffer: &mut [u8]) -> Result<(), BusFault> {
        (**self).read(iova, buffer)
    }

    fn write(&mut self, iova: Iova, data: &[u8]) -> Result<(), BusFault> {
        (**self).write(iova, data)
    }

    fn submit_read(&mut self, iova: Iova, len_bytes: usize) -> Result<Ticket, SubmitError> {
        (**self).submit_read(iova, len_bytes)
    }

    fn submit_write(&mut self, iova: Iova, data: &[u8]) -> Result<Ticket, SubmitError> {
        (**self).submit_write(iova, data)
    }
}
