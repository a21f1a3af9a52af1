//! Each committed rule file with the harm that it does, and the same without it.

mod driver;
mod held;
mod interrupts;
mod memory;
mod outage;
mod plan;
mod registers;
mod rings;
mod timeout;
mod tlps;
