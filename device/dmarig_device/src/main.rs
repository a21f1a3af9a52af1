//! `dmarig-device`: a PCI device for tests of DMA drivers, served to QEMU over vfio-user.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    dmarig_device::run(&dmarig_device::CommandLine::parse())
}
