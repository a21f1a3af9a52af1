//! From a description to the PCI function that it means.

use dmarig_abi::registers::{
    DUT_MSIX_BAR, DUT_REGISTER_BAR, DUT_REGISTER_BAR_SIZE_BYTES, MSIX_BAR_SIZE_BYTES,
};
use pci_function::{
    BarDefinition, ConfigSpace, ExtendedError, FunctionConfig, FunctionConfigError, IdentityConfig,
    MsixConfig,
};

use crate::description::DeviceDescription;
use crate::key_path::KeyPath;
use crate::problem::Problems;
use crate::section::bar::{Bar, Space};

impl DeviceDescription {
    /// The BARs: the file's, or those of the built-in device.
    #[must_use]
    pub fn effective_bars(&self) -> Vec<Bar> {
        if !self.bars.is_empty() {
            return self.bars.clone();
        }
        let registers = built_in_bar(DUT_REGISTER_BAR, DUT_REGISTER_BAR_SIZE_BYTES);
        let vectors = self.interrupts.msix().map(|msix| {
            let size = vectors_end(&msix).max(MSIX_BAR_SIZE_BYTES);
            built_in_bar(DUT_MSIX_BAR, size.next_power_of_two())
        });
        std::iter::once(registers).chain(vectors).collect()
    }

    /// The PCI function.
    #[must_use]
    pub fn function_config(&self) -> FunctionConfig {
        let identity = &self.identity;
        let bars = self.effective_bars();
        let pcie = self.pcie.config();
        FunctionConfig {
            identity: IdentityConfig {
                vendor_id: identity.vendor_id,
                device_id: identity.device_id,
                revision: identity.revision,
                class: identity.class,
                subsystem_vendor_id: identity.subsystem_vendor_id,
                subsystem_id: identity.subsystem_id,
            },
            bars: bars.iter().map(Bar::definition).collect(),
            interrupt_pin: self.interrupts.interrupt_pin(),
            power: self.power.config(),
            msi: self.interrupts.msi(),
            msix: self.interrupts.msix(),
            vendor_specific: self.capabilities.vendor_specific.clone(),
            aer: self.capabilities.aer.unwrap_or(pcie.is_some()),
            serial_number: self.capabilities.serial_number(),
            ats: self.capabilities.ats(),
            pasid: self.capabilities.pasid(),
            pcie,
        }
    }

    /// Notes what goes for each section and not for all together.
    pub(crate) fn check_function(&self, problems: &mut Problems) {
        let Err(error) = ConfigSpace::new(&self.function_config()) else {
            return;
        };
        let at = KeyPath::root().key("capabilities");
        let at = match error {
            FunctionConfigError::Extended(ExtendedError::NeedsPcie { capability }) => {
                at.key(match capability {
                    "AER" => "aer",
                    "ATS" => "ats",
                    "PASID" => "pasid",
                    _ => "serial_number",
                })
            }
            FunctionConfigError::Capability(_) => at.key("vendor_specific"),
            _ => at,
        };
        problems.error(&at, &error);
    }
}

/// Where table and pending bits of the built-in device end.
fn vectors_end(msix: &MsixConfig) -> u64 {
    let table = u64::from(msix.table_offset) + msix.table_size();
    let pending_bits = u64::from(msix.pba_offset) + msix.pba_size();
    table.max(pending_bits)
}

/// All BARs of the built-in device are 64 bits wide, as the ABI's numbers with their gaps of two allow.
fn built_in_bar(index: u32, size: u64) -> Bar {
    Bar {
        index: u8::try_from(index).expect("the ABI's BAR numbers are below 6"),
        size,
        space: Space::Memory64,
        prefetchable: false,
        mappable: false,
    }
}

impl DeviceDescription {
    /// The BARs as configuration space wants them.
    pub(crate) fn bar_definitions(&self) -> Vec<BarDefinition> {
        self.effective_bars().iter().map(Bar::definition).collect()
    }
}
