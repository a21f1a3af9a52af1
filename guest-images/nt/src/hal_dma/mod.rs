//! The DMA side of the HAL: adapters, common buffers, logical addresses (IOVAs; the Windows documents
//! call an IOVA a *logical address*).
//!
//! Rules without hardware: [`description`] (GA-n), [`from_mdl`] (CM-n), [`bounds`], [`iova`]. With it:
//! `space` (one domain per device), `adapter`, `common_buffer`, `transfer` (channels, map registers, scatter/gather
//! lists), `domain`, `vector`, and `operations`, the shells of the DMA_OPERATIONS table.

pub(crate) mod adapter;
pub mod bounds;
mod canary;
mod common_buffer;
pub mod description;
mod domain;
pub mod from_mdl;
#[cfg(test)]
mod from_mdl_tests;
pub mod iova;
pub(crate) mod operations;
pub(crate) mod sabotage;
pub(crate) mod space;
pub(crate) mod transfer;
mod vector;

pub(crate) use adapter::live_of as live_adapters;
pub(crate) use operations::io_get_dma_adapter;
