//! Windows driver images (PE32+): reading a hostile file, laying it out, relocating, binding imports,
//! seeding the `/GS` cookie, and unwinding through its frames.
//!
//! [`PeFile`] checks the file once; what it hands out can be trusted. [`prepare`] builds the memory image
//! in a plain byte slice, so all of it is tested on the host; `ntoskrnl::loader` puts the slice into the
//! upper half and gives sections their protections.

mod checksum;
mod cookie;
mod error;
mod file;
mod import;
mod prepare;
mod relocate;
pub mod unwind;

pub use checksum::checksum;
pub use error::PeError;
pub use file::{MAX_IMAGE_BYTES, PeFile, Protection, Section};
pub use import::{Binding, Import};
pub use prepare::{Prepared, prepare};

#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
