//! [`CapabilitySet`]: the capabilities of one function, laid out and checked.

use std::time::Duration;

use super::aer::AerCapability;
use super::extended::{self, ExtendedError, ExtendedList};
use super::msi::{MsiCapability, MsiState};
use super::msix::{MsixCapability, MsixState};
use super::pcie::{COMPLETION_TIMEOUT_DEFAULT, PcieCapability, TransferLimits};
use super::power::{PowerCapability, PowerState};
use super::{CapabilityList, vendor};
use crate::bar::Bars;
use crate::function_config::{FunctionConfig, FunctionConfigError};
use crate::registers::Registers;

#[derive(Clone, Debug)]
pub(crate) struct CapabilitySet {
    pub(crate) power: Option<PowerCapability>,
    pub(crate) pcie: Option<PcieCapability>,
    pub(crate) aer: Option<AerCapability>,
    msi: Option<MsiCapability>,
    msix: Option<MsixCapability>,
    is_empty: bool,
}

impl CapabilitySet {
    /// Lays the capabilities out: power, PCI Express, MSI-X, MSI, the vendor's; error reporting, serial
    /// number, ATS, PASID.
    pub(crate) fn install(
        registers: &mut Registers,
        config: &FunctionConfig,
        bars: &Bars,
    ) -> Result<Self, FunctionConfigError> {
        let mut list = CapabilityList::new();
        let power = config
            .power
            .map(|power| PowerCapability::install(registers, &mut list, power))
            .transpose()?;
        if let Some(pcie) = &config.pcie {
            pcie.check()?;
        }
        let pcie = config
            .pcie
            .map(|pcie| PcieCapability::install(registers, &mut list, &pcie))
            .transpose()?;
        if let Some(msix) = &config.msix {
            msix.check(|bar| bars.get(bar).copied())?;
        }
        let msix = config
            .msix
            .map(|msix| MsixCapability::install(registers, &mut list, &msix))
            .transpose()?;
        if let Some(msi) = &config.msi {
            msi.check()?;
        }
        let msi = config
            .msi
            .map(|msi| MsiCapability::install(registers, &mut list, &msi))
            .transpose()?;
        for data in &config.vendor_specific {
            vendor::install(registers, &mut list, data)?;
        }
        let is_empty = list.is_empty();
        let aer = install_extended(registers, config)?;
        Ok(Self {
            power,
            pcie,
            aer,
            msi,
            msix,
            is_empty,
        })
    }

    /// Tells whether there is no conventional capability.
    pub(crate) const fn is_empty(&self) -> bool {
        self.is_empty
    }

    pub(crate) fn power_state(&self, registers: &Registers) -> PowerState {
        self.power
            .map_or(PowerState::D0, |power| power.state(registers))
    }

    pub(crate) fn msi_state(&self, registers: &Registers) -> MsiState {
        self.msi
            .map_or_else(MsiState::default, |msi| msi.state(registers))
    }

    pub(crate) fn msix_state(&self, registers: &Registers) -> MsixState {
        self.msix
            .map_or_else(MsixState::default, |msix| msix.state(registers))
    }

    pub(crate) fn completion_timeout(&self, registers: &Registers) -> Option<Duration> {
        match &self.pcie {
            Some(pcie) => pcie.completion_timeout(registers),
            None => Some(COMPLETION_TIMEOUT_DEFAULT),
        }
    }

    pub(crate) fn transfer_limits(&self, registers: &Registers) -> TransferLimits {
        self.pcie.map_or(TransferLimits::CONVENTIONAL, |pcie| {
            pcie.transfer_limits(registers)
        })
    }
}

fn install_extended(
    registers: &mut Registers,
    config: &FunctionConfig,
) -> Result<Option<AerCapability>, FunctionConfigError> {
    if config.pcie.is_none() {
        let asked_for = [
            (config.aer, "AER"),
            (config.serial_number.is_some(), "serial number"),
            (config.ats.is_some(), "ATS"),
            (config.pasid.is_some(), "PASID"),
        ];
        let needing = asked_for.into_iter().find(|(is_asked, _)| *is_asked);
        return needing.map_or(Ok(None), |(_, capability)| {
            Err(ExtendedError::NeedsPcie { capability }.into())
        });
    }
    let list = &mut ExtendedList::new();
    let aer = config.aer.then(|| AerCapability::install(registers, list));
    if let Some(number) = config.serial_number {
        extended::install_serial_number(registers, list, number);
    }
    if let Some(ats) = config.ats {
        ats.check()?;
        extended::install_ats(registers, list, ats);
    }
    if let Some(pasid) = config.pasid {
        pasid.check()?;
        extended::install_pasid(registers, list, pasid);
    }
    Ok(aer)
}
