//! The vfio-user protocol on the socket: bytes, regions, file descriptors, interrupts.
//!
//! A [`Listener`] hands out [`Connection`]s; a connection turns messages into calls of a
//! [`DeviceModel`] and carries message DMA the other way. Nothing here waits or starts a
//! thread: an event loop says when a socket is ready. No register of ours is known here. How
//! QEMU 11.1 speaks the protocol decides where the protocol document leaves room.

pub mod client;
mod connection;
mod counters;
mod device_model;
mod dma;
mod error;
mod input;
mod interrupt_lines;
mod irq;
mod listener;
pub mod message;
mod negotiate;
mod output;
mod server;
mod vector_eventfd;

pub use connection::{Connection, MAX_BUFFER_BYTES, Progress};
pub use counters::Counters;
pub use device_model::{
    DeviceModel, DmaMap, DmaPermissions, DmaUnmap, MAX_SPARSE_AREAS, MappableRegion, N_REGIONS,
    RegionIndex, RegionInfo,
};
pub use dma::{
    DmaError, DmaTicket, MAX_DMA_BYTES, MAX_DMA_READ, MAX_DMA_REQUESTS, MAX_DMA_WRITE, SubmitError,
};
pub use error::{ConnectionError, Errno, ListenError};
pub use interrupt_lines::{InterruptCounters, InterruptLines, Signalled};
pub use irq::{IrqAction, IrqData, IrqIndex, IrqInfo, IrqSet, MAX_VECTORS, N_IRQ_INDICES};
pub use listener::Listener;
pub use message::SparseArea;
pub use negotiate::{MAX_VERSION_REPLY_SIZE, MAX_VERSION_TEXT};
