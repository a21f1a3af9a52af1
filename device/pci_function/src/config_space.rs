//! [`ConfigSpace`]: the 4096 bytes of a function, and what writes to them mean.
//!
//! Any offset and length is taken. After a write the named states (bus master, power, MSI-X,
//! BARs and so on) are compared with those before it: that finds every effect, however oddly a
//! guest cuts or joins its writes.

use std::time::Duration;

use crate::bar::Bars;
use crate::capability::CapabilitySet;
use crate::capability::aer::{CorrectableError, Severity, UncorrectableError};
use crate::capability::link::LinkState;
use crate::capability::pcie::{DetectedError, TransferLimits};
use crate::capability::power::PowerState;
use crate::effect::ConfigEffect;
use crate::function_config::{FunctionConfig, FunctionConfigError};
use crate::header::{self, BUS_MASTER, INTERRUPT_DISABLE, IO_ENABLE, MEMORY_ENABLE, ReceivedError};
use crate::registers::Registers;
use crate::state::State;

/// Size of configuration space in bytes, that of a conventional function apart.
pub const CONFIG_SPACE_SIZE: usize = 4096;
/// Size of configuration space without PCI Express.
const CONVENTIONAL_SIZE: usize = 256;

/// What resets the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetKind {
    /// Power-on, or a reset of the bus: nothing is left.
    Conventional,
    /// Of this function alone: error logs and what belongs to the link stay (section 6.6.2).
    FunctionLevel,
    /// The way back from D3hot of a function without No_Soft_Reset: as the former (section 5.3.1.4).
    PowerManagement,
}

/// Configuration space of one function.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    registers: Registers,
    size: usize,
    bars: Bars,
    capabilities: CapabilitySet,
    state: State,
}

impl ConfigSpace {
    /// Lays out the registers.
    ///
    /// # Errors
    /// [`FunctionConfigError`] names the part that cannot be.
    pub fn new(config: &FunctionConfig) -> Result<Self, FunctionConfigError> {
        let mut registers = Registers::new();
        header::define(&mut registers, &config.identity, config.interrupt_pin)?;
        let bars = Bars::install(&mut registers, &config.bars)?;
        let capabilities = CapabilitySet::install(&mut registers, config, &bars)?;
        header::define_command(&mut registers, bars.has_io(), !capabilities.is_empty());
        let state = State::observe(&registers, &bars, &capabilities);
        let size = match config.pcie {
            Some(_) => CONFIG_SPACE_SIZE,
            None => CONVENTIONAL_SIZE,
        };
        Ok(Self {
            registers,
            size,
            bars,
            capabilities,
            state,
        })
    }

    /// Length in bytes: 4096 of a PCI Express function, 256 of a conventional one.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Reads as a guest does. Bytes beyond the end are all ones.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        self.registers.read(offset, data);
        let inside = (self.size as u64).saturating_sub(offset);
        let inside = usize::try_from(inside).unwrap_or(usize::MAX);
        data.iter_mut().skip(inside).for_each(|byte| *byte = 0xff);
    }

    /// Writes as a guest does and tells what changed. Bytes beyond the end are dropped.
    ///
    /// A function-level reset, and a return from D3hot that loses the registers, are carried out here;
    /// the caller resets the rest of the device.
    #[must_use = "effects change the rest of the device"]
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Vec<ConfigEffect> {
        let asks_for_reset = self
            .capabilities
            .pcie
            .is_some_and(|pcie| pcie.asks_for_reset(offset, data));
        if asks_for_reset {
            self.reset(ResetKind::FunctionLevel);
            return vec![ConfigEffect::FunctionLevelReset];
        }
        self.registers.write(offset, data);
        if let Some(power) = self.capabilities.power {
            let before = self.state.power;
            power.settle(&mut self.registers, before);
            if power.loses_registers(before, power.state(&self.registers)) {
                self.reset(ResetKind::PowerManagement);
                return vec![ConfigEffect::PowerReset];
            }
        }
        let state = self.observe();
        let effects = state.differences(&self.state);
        self.state = state;
        effects
    }

    /// Sets the registers to their initial values, as far as the kind of reset does.
    pub fn reset(&mut self, kind: ResetKind) {
        match kind {
            ResetKind::Conventional => self.registers.reset_all(),
            ResetKind::FunctionLevel | ResetKind::PowerManagement => {
                self.registers.reset_all_but_sticky();
            }
        }
        self.state = self.observe();
    }

    /// Tells whether the function may use the bus.
    pub fn is_bus_master(&self) -> bool {
        self.state.command & BUS_MASTER != 0
    }

    /// Tells whether the function answers at its memory BARs.
    pub fn is_memory_enabled(&self) -> bool {
        self.state.command & MEMORY_ENABLE != 0
    }

    /// Tells whether the function answers at its I/O BARs.
    pub fn is_io_enabled(&self) -> bool {
        self.state.command & IO_ENABLE != 0
    }

    /// Tells whether the interrupt pin is held low by software.
    pub fn is_interrupt_disabled(&self) -> bool {
        self.state.command & INTERRUPT_DISABLE != 0
    }

    /// Returns the power state.
    pub fn power_state(&self) -> PowerState {
        self.state.power
    }

    /// Tells whether MSI-X is on; the interrupt pin is not used then.
    pub fn is_msix_enabled(&self) -> bool {
        self.state.msix.enabled
    }

    /// Tells whether MSI is on; the interrupt pin is not used then.
    pub fn is_msi_enabled(&self) -> bool {
        self.state.msi.enabled
    }

    /// Returns how many MSI vectors software lets the function use, 0 without MSI.
    pub fn msi_vectors(&self) -> u16 {
        self.state.msi.n_vectors
    }

    /// Returns the sizes set for the function's requests.
    pub fn transfer_limits(&self) -> TransferLimits {
        self.state.limits
    }

    /// Returns how long the function waits for the Completion of a read: what device control 2 says;
    /// `None` if software has disabled the time-out.
    #[must_use]
    pub fn completion_timeout(&self) -> Option<Duration> {
        self.capabilities.completion_timeout(&self.registers)
    }

    /// Shows a link that came up slower or narrower than it can be; the next conventional reset shows
    /// it whole again. The bits of link status that tell of a change are a port's, not an endpoint's.
    pub fn degrade_link(&mut self, to: LinkState) {
        if let Some(pcie) = &self.capabilities.pcie {
            pcie.degrade_link(&mut self.registers, to);
        }
    }

    /// Returns the address of a BAR as the guest has set it; `None` if there is none.
    pub fn bar_address(&self, index: u8) -> Option<u64> {
        let bar = self.state.bars.iter().find(|(bar, _)| *bar == index);
        bar.map(|(_, address)| *address)
    }

    /// Returns the size of a BAR; 0 if there is none.
    pub fn bar_size(&self, index: u8) -> u64 {
        self.bars.get(index).map_or(0, |bar| bar.size)
    }

    /// Shows whether the function wants its interrupt pin. Without it a guest disowns the
    /// interrupt.
    pub fn set_interrupt_status(&mut self, is_asserted: bool) {
        header::set_interrupt_status(&mut self.registers, is_asserted);
    }

    /// Shows whether requests of the function are under way; software waits for that to end
    /// before a function-level reset.
    pub fn set_transactions_pending(&mut self, is_pending: bool) {
        if let Some(pcie) = self.capabilities.pcie {
            pcie.set_transactions_pending(&mut self.registers, is_pending);
        }
    }

    /// Records an uncorrectable error with the header of the TLP that it is about. Without error
    /// reporting only device status tells of it, and all errors but internal ones are non-fatal.
    pub fn record_uncorrectable(&mut self, error: UncorrectableError, tlp_header: [u32; 4]) {
        let registers = &mut self.registers;
        let severity = match self.capabilities.aer {
            Some(aer) => aer.record_uncorrectable(registers, error, tlp_header),
            None if error == UncorrectableError::Internal => Severity::Fatal,
            None => Severity::NonFatal,
        };
        let detected = match severity {
            Severity::NonFatal => DetectedError::NonFatal,
            Severity::Fatal => DetectedError::Fatal,
        };
        if let Some(pcie) = self.capabilities.pcie {
            pcie.record(registers, detected);
            if error == UncorrectableError::UnsupportedRequest {
                pcie.record_unsupported_request(registers);
            }
        }
    }

    /// Records an error that a request of the function met.
    pub fn record_received(&mut self, error: ReceivedError) {
        header::record_received(&mut self.registers, error);
    }

    /// Records a correctable error.
    pub fn record_correctable(&mut self, error: CorrectableError) {
        if let Some(aer) = self.capabilities.aer {
            aer.record_correctable(&mut self.registers, error);
        }
        if let Some(pcie) = self.capabilities.pcie {
            pcie.record(&mut self.registers, DetectedError::Correctable);
        }
    }

    fn observe(&self) -> State {
        State::observe(&self.registers, &self.bars, &self.capabilities)
    }
}
