//! Packet DMA: adapter channels, map registers, transfers and scatter/gather lists (rules SG, SX, MX, FL, CX, FO, TI
//! and TC of windows-dma-ddi sections 2.8 to 2.11).
//!
//! Pure: [`range`] (which bytes), [`plan`] (which elements). With the machine: `mapping` (what the device reaches),
//! `registers` (what is mapped where), `channel` (whose turn it is), `lists`, `context`; `checks` judges arguments,
//! `settings` holds how strict all this is. The shells of DMA_OPERATIONS are `channel_operations`,
//! `map_operations`, `list_operations` and `info_operations`; the rest of the kernel may call them as a driver does.

mod callback;
mod channel;
pub(crate) mod channel_operations;
mod checks;
mod context;
pub(crate) mod info_operations;
pub(crate) mod list_operations;
mod lists;
pub(crate) mod map_operations;
mod mapping;
mod outstanding;
pub mod plan;
pub mod range;
mod registers;
pub(crate) mod settings;

pub(crate) use outstanding::{abandon, check_unlocked, live};
