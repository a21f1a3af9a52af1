//! The machine: the lowest layer, walled in. Its neighbors above see safe functions.
//!
//! In the host build (without the feature `kernel`) nothing here touches hardware: ports read all ones,
//! interrupts are a no-op, and IRQL is a number kept per test thread.

pub mod apic;
pub mod clock;
pub mod context;
pub mod descriptors;
pub mod dispatch;
pub mod exceptions;
pub mod exit;
pub mod guarded;
pub mod images;
pub mod interrupts;
pub mod irql;
pub mod mmio;
pub mod panic;
pub mod port;
pub mod processor;
pub mod tlb;
pub mod vectors;
pub mod win64;
