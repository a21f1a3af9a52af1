//! The machine: the lowest layer, walled in. Its neighbors above see safe functions.
//!
//! In the host build (without the feature `kernel`) nothing here touches hardware: ports read all ones,
//! interrupts are a no-op, and IRQL is a number kept per test thread.

pub mod exit;
pub mod guarded;
pub mod images;
pub mod interrupts;
pub mod irql;
pub mod panic;
pub mod port;
pub mod tlb;
pub mod win64;
