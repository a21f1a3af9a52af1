//! PCI configuration space, BARs and capabilities of one endpoint function.
//!
//! A [`FunctionConfig`] says what the function is; [`ConfigSpace`] holds its 4096 bytes, takes
//! any access of any size, and tells by [`ConfigEffect`]s what a write means for the rest of the
//! device. No socket, interrupt or DMA is known here. Sections cited are those of the PCI
//! Express Base Specification, revision 5.0.

#![forbid(unsafe_code)]

mod bar;
mod capability;
mod config_space;
mod effect;
mod function_config;
mod header;
mod registers;
mod state;

pub use bar::{BAR_COUNT, BarDefinition, BarError, BarKind};
pub use capability::CapabilityError;
pub use capability::aer::{CorrectableError, UncorrectableError};
pub use capability::extended::{AtsConfig, ExtendedError, PasidConfig};
pub use capability::link::{LinkSpeed, LinkState};
pub use capability::msi::{MsiConfig, MsiError};
pub use capability::msix::{MsixConfig, MsixError, MsixTarget};
pub use capability::pcie::{PcieConfig, PcieError, PcieSize, PortType, TransferLimits};
pub use capability::power::{PowerConfig, PowerState};
pub use config_space::{CONFIG_SPACE_SIZE, ConfigSpace, ResetKind};
pub use effect::ConfigEffect;
pub use function_config::{FunctionConfig, FunctionConfigError, IdentityConfig, InterruptPin};
pub use header::ReceivedError;
