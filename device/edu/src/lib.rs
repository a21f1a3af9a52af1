//! The register file of QEMU's `edu` device, as an endpoint of one's own: the worked example.
//!
//! What it does is described in QEMU's docs/specs/edu.rst; what the document leaves open was seen on the
//! device of QEMU 11.1, and a test compares the two, operation by operation. [`Edu`] is the device:
//! identification, liveness check, factorial, interrupts, and DMA to and from a buffer of 4 KiB.
#![forbid(unsafe_code)]

mod dma;
mod factorial;
mod registers;

mod device;

pub use device::Edu;
