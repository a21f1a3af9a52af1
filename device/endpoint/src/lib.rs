//! The [`Endpoint`] trait: what lies behind a function's BARs and does its DMA.
//!
//! The device process owns configuration space, interrupt lines, mappings and ledger, and knows of
//! registers only this trait. The DMA engine is one implementation, registers described in a device
//! file are another, and a crate of your own may be a third. Nothing here knows a socket, a file
//! descriptor or a clock: time comes in as a [`Tick`], memory is reached through a [`DmaBus`].
#![forbid(unsafe_code)]

pub mod bus;
pub mod channel_id;
mod device;
pub mod event;
mod host;
mod live;
mod register_map;
pub mod request;
mod sabotage;
mod tick;

pub use bus::{
    BusFault, BusFaultKind, Direction, DmaBus, InterruptOrder, MESSAGE_MAX_SIZE_BYTES,
    MessageError, RequestStart, SubmitError, Ticket,
};
pub use channel_id::{ChannelId, MsixVector};
pub use device::{Endpoint, Moment, PowerState, Progress, WorkContext};
pub use event::{
    AccessPath, EndpointEvent, Extent, Fallback, Finding, FindingKind, Origin, RequestRecord,
    RequestRuns, StopScope,
};
pub use host::HostQueueFull;
pub use live::LiveReference;
pub use register_map::{FieldInfo, RegisterInfo};
pub use request::{Request, RequestMode};
pub use sabotage::Sabotage;
pub use tick::Tick;
