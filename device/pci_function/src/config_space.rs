//! [`ConfigSpace`]: the 4096 bytes of a function, and what writes to them mean.
//!
//! Any offset and length is taken. After a write the named states (bus master, power, MSI-X,
//! BARs and so on) are compared with those before it: that finds every effect, however oddly a
//! guest cuts or joins its writes.

use crate::bar::Bars;
use crate::capability::CapabilityList;
use crate::capability::aer::{AerCapability, CorrectableError, Severity, UncorrectableError};
use crate::capability::msix::{MsixCapability, MsixState};
use crate::capability::pcie::{DetectedError, PcieCapability, TransferLimits};
use crate::capability::power::{PowerCapability, PowerState};
use crate::effect::ConfigEffect;
use crate::function_config::{FunctionConfig, FunctionConfigError, IdentityConfig, InterruptPin};
use crate::registers::{Behavior, Registers};

/// Size of configuration space in bytes.
pub const CONFIG_SPACE_SIZE: usize = 4096;

const COMMAND: usize = 0x04;
const MEMORY_ENABLE: u16 = 1 << 1;
const BUS_MASTER: u16 = 1 << 2;
const PARITY_ERROR_RESPONSE: u16 = 1 << 6;
const SERR_ENABLE: u16 = 1 << 8;
const INTERRUPT_DISABLE: u16 = 1 << 10;
const COMMAND_WRITABLE: u16 =
    MEMORY_ENABLE | BUS_MASTER | PARITY_ERROR_RESPONSE | SERR_ENABLE | INTERRUPT_DISABLE;

const STATUS: usize = 0x06;
const INTERRUPT_STATUS: u16 = 1 << 3;
const CAPABILITIES_LIST: u16 = 1 << 4;
/// Master data parity, signaled and received aborts, system error, parity error.
const STATUS_ERRORS: u16 = 0xf900;

/// What resets the function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetKind {
    /// Power-on, or a reset of the bus: nothing is left.
    Conventional,
    /// Of this function alone: error logs and what belongs to the link stay (section 6.6.2).
    FunctionLevel,
}

/// What effects are found by.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    command: u16,
    power: PowerState,
    msix: MsixState,
    limits: TransferLimits,
    bars: Vec<(u8, u64)>,
}

/// Configuration space of one function.
#[derive(Clone, Debug)]
pub struct ConfigSpace {
    registers: Registers,
    bars: Bars,
    power: PowerCapability,
    pcie: PcieCapability,
    msix: Option<MsixCapability>,
    aer: AerCapability,
    state: State,
}

impl ConfigSpace {
    /// Lays out the registers.
    ///
    /// # Errors
    /// [`FunctionConfigError`] names the part that cannot be.
    pub fn new(config: &FunctionConfig) -> Result<Self, FunctionConfigError> {
        let mut registers = Registers::new();
        define_header(&mut registers, &config.identity, config.interrupt_pin)?;
        let bars = Bars::install(&mut registers, &config.bars)?;
        let mut list = CapabilityList::new();
        let power = PowerCapability::install(&mut registers, &mut list);
        let pcie = PcieCapability::install(&mut registers, &mut list);
        let install_msix =
            |msix| MsixCapability::install(&mut registers, &mut list, msix, |bar| bars.size(bar));
        let msix = config.msix.as_ref().map(install_msix).transpose()?;
        let aer = AerCapability::install(&mut registers);
        let state = State {
            command: 0,
            power: PowerState::D0,
            msix: MsixState::default(),
            limits: pcie.transfer_limits(&registers),
            bars: bars.addresses(&registers),
        };
        Ok(Self {
            registers,
            bars,
            power,
            pcie,
            msix,
            aer,
            state,
        })
    }

    /// Reads as a guest does. Bytes beyond the end are all ones.
    pub fn read(&self, offset: u64, data: &mut [u8]) {
        self.registers.read(offset, data);
    }

    /// Writes as a guest does and tells what changed. Bytes beyond the end are dropped.
    ///
    /// A function-level reset is carried out here; the caller resets the rest of the device.
    #[must_use = "effects change the rest of the device"]
    pub fn write(&mut self, offset: u64, data: &[u8]) -> Vec<ConfigEffect> {
        if self.pcie.asks_for_reset(offset, data) {
            self.reset(ResetKind::FunctionLevel);
            return vec![ConfigEffect::FunctionLevelReset];
        }
        self.registers.write(offset, data);
        self.power.settle(&mut self.registers, self.state.power);
        let state = self.observe();
        let effects = differences(&self.state, &state);
        self.state = state;
        effects
    }

    /// Sets the registers to their initial values, as far as the kind of reset does.
    pub fn reset(&mut self, kind: ResetKind) {
        match kind {
            ResetKind::Conventional => self.registers.reset_all(),
            ResetKind::FunctionLevel => self.registers.reset_all_but_sticky(),
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

    /// Returns the sizes set for the function's requests.
    pub fn transfer_limits(&self) -> TransferLimits {
        self.state.limits
    }

    /// Returns the address of a BAR as the guest has set it; `None` if there is none.
    pub fn bar_address(&self, index: u8) -> Option<u64> {
        let bar = self.state.bars.iter().find(|(bar, _)| *bar == index);
        bar.map(|(_, address)| *address)
    }

    /// Returns the size of a BAR; 0 if there is none.
    pub fn bar_size(&self, index: u8) -> u64 {
        self.bars.size(index)
    }

    /// Shows whether the function wants its interrupt pin. Without it a guest disowns the
    /// interrupt.
    pub fn set_interrupt_status(&mut self, is_asserted: bool) {
        let others = self.registers.get_u16(STATUS) & !INTERRUPT_STATUS;
        let bit = if is_asserted { INTERRUPT_STATUS } else { 0 };
        self.registers.set_u16(STATUS, others | bit);
    }

    /// Shows whether requests of the function are under way; software waits for that to end
    /// before a function-level reset.
    pub fn set_transactions_pending(&mut self, is_pending: bool) {
        self.pcie
            .set_transactions_pending(&mut self.registers, is_pending);
    }

    /// Records an uncorrectable error with the header of the TLP that it is about.
    pub fn record_uncorrectable(&mut self, error: UncorrectableError, tlp_header: [u32; 4]) {
        let severity = self
            .aer
            .record_uncorrectable(&mut self.registers, error, tlp_header);
        let detected = match severity {
            Severity::NonFatal => DetectedError::NonFatal,
            Severity::Fatal => DetectedError::Fatal,
        };
        self.pcie.record(&mut self.registers, detected);
        if error == UncorrectableError::UnsupportedRequest {
            self.pcie.record_unsupported_request(&mut self.registers);
        }
    }

    /// Records a correctable error.
    pub fn record_correctable(&mut self, error: CorrectableError) {
        self.aer.record_correctable(&mut self.registers, error);
        self.pcie
            .record(&mut self.registers, DetectedError::Correctable);
    }

    fn observe(&self) -> State {
        State {
            command: self.registers.get_u16(COMMAND),
            power: self.power.state(&self.registers),
            msix: self
                .msix
                .map_or(MsixState::default(), |msix| msix.state(&self.registers)),
            limits: self.pcie.transfer_limits(&self.registers),
            bars: self.bars.addresses(&self.registers),
        }
    }
}

/// Defines the type 0 header up to the BARs and behind them. Section 7.5.1.
fn define_header(
    registers: &mut Registers,
    identity: &IdentityConfig,
    pin: InterruptPin,
) -> Result<(), FunctionConfigError> {
    let class = identity.class;
    if class > 0x00ff_ffff {
        return Err(FunctionConfigError::Class { class });
    }
    if identity.vendor_id == 0xffff {
        return Err(FunctionConfigError::Vendor);
    }
    let read_only = Behavior::READ_ONLY;
    registers.define_u16(0x00, identity.vendor_id, read_only);
    registers.define_u16(0x02, identity.device_id, read_only);
    registers.define_u16(COMMAND, 0, Behavior::writable(COMMAND_WRITABLE.into()));
    let status = Behavior {
        write_one_clears: STATUS_ERRORS.into(),
        ..read_only
    };
    registers.define_u16(STATUS, CAPABILITIES_LIST, status);
    registers.define_u32(0x08, class << 8 | u32::from(identity.revision), read_only);
    let cache_line_size = Behavior::writable(0xff);
    registers.define_u8(0x0c, 0, cache_line_size);
    registers.define_u16(0x2c, identity.subsystem_vendor_id, read_only);
    registers.define_u16(0x2e, identity.subsystem_id, read_only);
    let interrupt_line = Behavior::writable(0xff);
    registers.define_u8(0x3c, 0, interrupt_line);
    let pin = match pin {
        InterruptPin::None => 0,
        InterruptPin::A => 1,
    };
    registers.define_u8(0x3d, pin, read_only);
    Ok(())
}

fn differences(before: &State, after: &State) -> Vec<ConfigEffect> {
    let mut effects = Vec::new();
    let changed = before.command ^ after.command;
    for (bit, effect) in [
        (BUS_MASTER, ConfigEffect::BusMaster as fn(bool) -> _),
        (MEMORY_ENABLE, ConfigEffect::MemoryEnable),
        (INTERRUPT_DISABLE, ConfigEffect::InterruptDisable),
    ] {
        if changed & bit != 0 {
            effects.push(effect(after.command & bit != 0));
        }
    }
    if before.power != after.power {
        effects.push(ConfigEffect::PowerState(after.power));
    }
    if before.msix != after.msix {
        let MsixState { enabled, masked } = after.msix;
        effects.push(ConfigEffect::Msix { enabled, masked });
    }
    if before.limits != after.limits {
        effects.push(ConfigEffect::TransferLimits(after.limits));
    }
    let moved = before.bars.iter().zip(&after.bars);
    effects.extend(
        moved
            .filter(|(old, new)| old != new)
            .map(|(_, (index, address))| ConfigEffect::BarWritten {
                index: *index,
                address: *address,
            }),
    );
    effects
}
