//! The DMA side of the HAL: adapters, common buffers, logical addresses (IOVAs; the Windows documents
//! call an IOVA a *logical address*).
//!
//! `from_mdl`, `bounds`, `description` and `iova` are rules without hardware.

pub mod bounds;
pub mod from_mdl;
#[cfg(test)]
mod from_mdl_tests;
pub mod iova;
