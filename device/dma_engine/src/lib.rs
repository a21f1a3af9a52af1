//! The DMA engine: registers and doorbells in, requests and completion entries out.
//!
//! [`Engine`] is a plain state machine: accesses to the register BAR come in by [`Engine::read`] and
//! [`Engine::write`], work is done in slices by [`Engine::run`] over a [`DmaBus`], answers of the
//! platform to DMA messages come in by [`Engine::message_done`], and what happened goes out by
//! [`Engine::take_events`]. It knows no file descriptor, no socket and no clock, and it waits for
//! nothing. The device process sees it as an [`endpoint::Endpoint`], whose words it speaks.
#![forbid(unsafe_code)]

mod address_rules;
mod as_endpoint;
mod channel;
mod doorbell;
pub mod engine;
mod entry;
mod fence;
mod gather;
mod interrupt;
mod live;
mod operation;
mod prefetch;
mod publish;
mod register_file;
mod requester;
mod ring;
mod sabotage;
mod stage;
pub mod tlp;
mod transfer;
mod turn;

pub use address_rules::{AddressRules, Breach, Crossing};
pub use endpoint::{
    AccessPath, BusFault, BusFaultKind, ChannelId, Direction, DmaBus, EndpointEvent, Extent,
    Fallback, Finding, FindingKind, HostQueueFull, LiveReference, MESSAGE_MAX_SIZE_BYTES,
    MessageError, MsixVector, Origin, PowerState, Progress, Request, RequestMode, RequestRecord,
    RequestRuns, Sabotage, StopScope, SubmitError, Tick, Ticket,
};
pub use engine::{Engine, EngineConfig};
pub use requester::{DmaDone, DmaJob, DmaQueueFull, DmaRequester};
pub use tlp::{Tlp, TlpLimits};
pub use turn::{SLICE_BYTES, TURN_BYTES};
// The words of the endpoint crate are this crate's own.
use endpoint::{bus, channel_id, event, request};
