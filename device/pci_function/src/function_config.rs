//! [`FunctionConfig`]: what a function is, as plain data. A device file is turned into it.

use thiserror::Error;

use crate::bar::{BarDefinition, BarError};
use crate::capability::CapabilityError;
use crate::capability::extended::{AtsConfig, ExtendedError, PasidConfig};
use crate::capability::msi::{MsiConfig, MsiError};
use crate::capability::msix::{MsixConfig, MsixError};
use crate::capability::pcie::{PcieConfig, PcieError};
use crate::capability::power::PowerConfig;

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
    /// None: MSI, MSI-X or polling.
    #[default]
    None,
    /// INTA.
    A,
    /// INTB.
    B,
    /// INTC.
    C,
    /// INTD.
    D,
}

impl InterruptPin {
    /// The value of the interrupt pin register. Section 7.5.1.1.13.
    #[must_use]
    pub const fn register(self) -> u8 {
        match self {
            Self::None => 0,
            Self::A => 1,
            Self::B => 2,
            Self::C => 3,
            Self::D => 4,
        }
    }
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
    /// Power management; a conventional function may do without.
    pub power: Option<PowerConfig>,
    /// PCI Express; without it the function is conventional, and has 256 bytes of configuration space.
    pub pcie: Option<PcieConfig>,
    /// Its MSI vectors, if any.
    pub msi: Option<MsiConfig>,
    /// Its MSI-X vectors, if any.
    pub msix: Option<MsixConfig>,
    /// Vendor-specific capabilities: what follows their length byte.
    pub vendor_specific: Vec<Vec<u8>>,
    /// Advanced error reporting; PCI Express only, as are those that follow.
    pub aer: bool,
    /// Device serial number.
    pub serial_number: Option<u64>,
    /// Address translation services.
    pub ats: Option<AtsConfig>,
    /// Process address space IDs.
    pub pasid: Option<PasidConfig>,
}

impl FunctionConfig {
    /// A PCI Express endpoint with error reporting; no BAR and no interrupt.
    #[must_use]
    pub fn new(identity: IdentityConfig) -> Self {
        Self {
            identity,
            bars: Vec::new(),
            interrupt_pin: InterruptPin::None,
            power: Some(PowerConfig::default()),
            pcie: Some(PcieConfig::default()),
            msi: None,
            msix: None,
            vendor_specific: Vec::new(),
            aer: true,
            serial_number: None,
            ats: None,
            pasid: None,
        }
    }
}

/// Why a function cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FunctionConfigError {
    /// A BAR cannot be.
    #[error(transparent)]
    Bar(#[from] BarError),
    /// MSI cannot be so.
    #[error(transparent)]
    Msi(#[from] MsiError),
    /// MSI-X cannot be so.
    #[error(transparent)]
    Msix(#[from] MsixError),
    /// PCI Express cannot be so.
    #[error(transparent)]
    Pcie(#[from] PcieError),
    /// A vendor-specific capability cannot be so, or there is no room for a capability.
    #[error(transparent)]
    Capability(#[from] CapabilityError),
    /// An extended capability cannot be so.
    #[error(transparent)]
    Extended(#[from] ExtendedError),
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
