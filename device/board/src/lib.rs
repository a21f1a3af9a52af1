//! A device of one's own: what its registers do, without the upkeep of an [`endpoint::Endpoint`].
//!
//! A [`Board`] answers register accesses, asks for DMA and raises vectors through [`BoardIo`], and is
//! told when a job has ended or a tick has come. [`BoardEndpoint`] makes an endpoint of it: DMA runs as
//! the engine's does (both paths, fall-back, ledger, sabotage), the host's own requests are served, and
//! messages of the platform are kept from it. The crate `edu` is the worked example.
#![forbid(unsafe_code)]

mod adapter;
mod device;

pub use adapter::BoardEndpoint;
pub use device::{Board, BoardIo};
pub use dma_engine::{DmaDone, DmaJob, DmaQueueFull};
pub use endpoint::{ChannelId, FieldInfo, LiveReference, MsixVector, Origin, RegisterInfo, Tick};
