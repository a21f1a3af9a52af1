//! Guests: what differs between them stands here and nowhere else.

pub mod nt;
