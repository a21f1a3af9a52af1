//! The layer between an engine and memory.

mod effects;
mod requests;
mod support;
