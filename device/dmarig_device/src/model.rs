//! [`Model`]: which device a process serves.

use std::path::Path;

use board::BoardEndpoint;
use device_file::{DeviceDescription, DeviceFileError};
use dma_engine::Engine;
use endpoint::Endpoint;
use register_behavior::DescribedBoard;

use crate::engine_config::engine_config;

/// A kind of device: what a device file makes of it, and which file is meant where none is given.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// Text of the device file that stands for none given.
    pub built_in: &'static str,
    /// Makes the endpoint of a device file.
    pub endpoint: fn(&DeviceDescription) -> Box<dyn Endpoint>,
}

impl Model {
    /// The model of `dmarig-device`: the DMA engine, or the registers that the file describes.
    pub const STANDARD: Self = Self {
        built_in: "",
        endpoint: standard_endpoint,
    };

    /// The description in a device file, or the built-in one.
    ///
    /// # Errors
    /// Those of [`device_file::read`].
    pub fn description(&self, file: Option<&Path>) -> Result<DeviceDescription, DeviceFileError> {
        match file {
            Some(path) => device_file::read(path),
            None => device_file::parse(Path::new("built in"), self.built_in),
        }
    }
}

pub(crate) fn standard_endpoint(description: &DeviceDescription) -> Box<dyn Endpoint> {
    if !description.registers.is_empty() {
        return Box::new(BoardEndpoint::new(DescribedBoard::new(description)));
    }
    Box::new(Engine::new(engine_config(&description.dma)))
}
