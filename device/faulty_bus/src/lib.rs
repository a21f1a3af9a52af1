//! The way to memory with injected faults.
//!
//! [`FaultyBus`] lies over any [`endpoint::DmaBus`] for the time of one step and asks the
//! [`fault_injection::Injector`] at the points `translate`, `dma-read`, `dma-write`,
//! `descriptor-fetch`, `payload` and `completion-entry`. What outlives the step (accesses that happen
//! later, answers that are due, what a channel is about) is [`BusFaults`]. So every endpoint has the
//! same faults, whoever wrote it. With no rule armed an access costs one comparison more.
#![forbid(unsafe_code)]

mod bus;
mod channel;
mod held;
mod message;
mod notice;
mod settings;
mod state;
mod verdict;

pub use bus::FaultyBus;
pub use held::{HELD_AT_MOST, MAX_HELD};
pub use notice::{BusError, Notice};
pub use settings::BusSettings;
pub use state::{Answer, BusFaults};
