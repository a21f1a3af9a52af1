//! The harness: arguments in, exit code out; one run from start to verdict.
//!
//! [`run`] is the whole program. `cli` parses, `commands` holds one file for each subcommand,
//! `runner` walks a run from the start of its processes to the verdict, `event` is the stream that
//! all report faces are fed from.
#![forbid(unsafe_code)]

pub mod artifacts;
pub mod cli;
mod commands;
mod entry;
pub mod event;
pub mod exit_code;
pub mod faults;
pub mod guest;
mod last_results;
pub mod mailbox;
mod report;
mod rig;
mod run_folder;
mod runner;
pub mod sabotage;
mod selection;
mod symbols;

pub use entry::run;
