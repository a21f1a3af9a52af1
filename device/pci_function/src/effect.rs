//! [`ConfigEffect`]: what a configuration write means for the rest of the device.

use crate::capability::pcie::TransferLimits;
use crate::capability::power::PowerState;

/// A change that a configuration write made. Writes that change nothing have no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigEffect {
    /// The function may (or may no longer) use the bus.
    BusMaster(bool),
    /// The function answers (or no longer answers) at its memory BARs.
    MemoryEnable(bool),
    /// The interrupt pin is held low (or no longer held low).
    InterruptDisable(bool),
    /// The power state changed.
    PowerState(PowerState),
    /// The function answers (or no longer answers) at its I/O BARs.
    IoEnable(bool),
    /// MSI was turned on or off, or got another number of vectors.
    Msi {
        /// MSI is on.
        enabled: bool,
        /// Vectors that software lets the function use.
        n_vectors: u16,
    },
    /// MSI-X was turned on or off, or all vectors were masked or unmasked.
    Msix {
        /// MSI-X is on.
        enabled: bool,
        /// All vectors are masked.
        masked: bool,
    },
    /// A BAR got another address.
    BarWritten {
        /// The BAR.
        index: u8,
        /// Its address.
        address: u64,
    },
    /// Payload or read request size changed.
    TransferLimits(TransferLimits),
    /// A function-level reset was asked for; configuration space has done its part, and no
    /// other effect is told with it.
    FunctionLevelReset,
    /// The function came back from D3hot and does not keep its registers then; configuration space
    /// has done its part, and no other effect is told with it.
    PowerReset,
}
