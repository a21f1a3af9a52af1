//! The DMA engine: registers and doorbells in, requests and completion entries out.
//!
//! [`Engine`] is a plain state machine: accesses to the register BAR come in by [`Engine::read`] and
//! [`Engine::write`], work is done in slices by [`Engine::run`] over a [`DmaBus`], answers of the
//! platform to DMA messages come in by [`Engine::message_done`], and what happened goes out by
//! [`Engine::take_events`]. It knows no file descriptor, no socket and no clock, and it waits for
//! nothing.
#![forbid(unsafe_code)]

pub mod bus;
mod channel;
pub mod channel_id;
mod doorbell;
pub mod engine;
pub mod event;
mod interrupt;
pub mod live;
mod operation;
mod register_file;
pub mod request;
mod ring;
pub mod sabotage;
mod stage;
pub mod tlp;
mod transfer;

pub use bus::{
    BusFault, BusFaultKind, Direction, DmaBus, MESSAGE_MAX_SIZE_BYTES, MessageError, SubmitError,
    Ticket,
};
pub use channel_id::{ChannelId, MsixVector};
pub use engine::{Engine, EngineConfig, HostQueueFull, PowerState, Progress, SLICE_BYTES};
pub use event::{AccessPath, EngineEvent, Fallback, Origin, RequestRecord};
pub use live::{LiveReference, ReferenceKind};
pub use request::{Request, RequestMode};
pub use sabotage::Sabotage;
pub use tlp::{Tlp, TlpLimits};
