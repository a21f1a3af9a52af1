//! `edu-device`: the edu device in a process of its own, with the command line of `dmarig-device`.

use std::process::ExitCode;

use board::BoardEndpoint;
use clap::Parser as _;
use dmarig_device::{CommandLine, Model};
use edu::Edu;

const MODEL: Model = Model {
    built_in: include_str!("../edu.toml"),
    endpoint: |_| Box::new(BoardEndpoint::new(Edu::new())),
};

fn main() -> ExitCode {
    dmarig_device::run_model(&CommandLine::parse(), &MODEL)
}
