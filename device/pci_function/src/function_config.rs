//! [`FunctionConfig`]: what a function is, as plain data. A device file is turned into it.

use thiserror::Error;

use crate::bar::{BarDefinition, BarError};
use crate::capability::msix::{MsixConfig, MsixError};

/// Numbers by which an operating system finds a driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentityConfig {
    /// Vendor.
    pub vendor_id: u16,
    /// Device.
    pub device_id: u16,
    /// Revision.
    pub revision: u8,
    /// Class: base class, sub-class, programming interface, from the highest of 24 bits down.
    pub class: u32,
    /// Vendor of the subsystem.
    pub subsystem_vendor_id: u16,
    /// Subsystem.
    pub subsystem_id: u16,
}

/// Interrupt pin of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InterruptPin {
    /// None: MSI-X or polling.
    #[default]
    None,
    /// INTA.
    A,
}

/// Everything a [`ConfigSpace`](crate::ConfigSpace) is made of.
#[derive(Clone, Debug)]
pub struct FunctionConfig {
    /// Who it is.
    pub identity: IdentityConfig,
    /// Its BARs.
    pub bars: Vec<BarDefinition>,
    /// Its interrupt pin.
    pub interrupt_pin: InterruptPin,
    /// Its MSI-X vectors, if any.
    pub msix: Option<MsixConfig>,
}

/// Why a function cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FunctionConfigError {
    /// A BAR cannot be.
    #[error(transparent)]
    Bar(#[from] BarError),
    /// MSI-X cannot be so.
    #[error(transparent)]
    Msix(#[from] MsixError),
    /// The class does not fit into 24 bits.
    #[error("class {class:#x} does not fit into 24 bits")]
    Class {
        /// The class.
        class: u32,
    },
    /// This vendor means "no device here".
    #[error("vendor 0xffff means that no device is there")]
    Vendor,
}
