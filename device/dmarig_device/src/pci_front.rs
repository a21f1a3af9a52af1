//! [`PciFront`]: what all functions are have in front: configuration space, BARs, interrupt lines.
//!
//! The MSI-X table lives in QEMU. Of its BAR only the pending bits are asked of us, and as we do not
//! know the mask bits they read zero.

use device_file::{DeviceDescription, Identity};
use dmarig_abi::mailbox::MAILBOX_SIZE_BYTES;
use dmarig_abi::registers::{
    CONTROL_MAILBOX_BAR, CONTROL_MSIX_BAR, CONTROL_MSIX_VECTORS, CONTROL_REGISTER_BAR,
    CONTROL_REGISTER_BAR_SIZE_BYTES, DUT_MSIX_BAR, DUT_REGISTER_BAR, DUT_REGISTER_BAR_SIZE_BYTES,
    MSIX_BAR_SIZE_BYTES, MSIX_PBA_OFFSET, MSIX_TABLE_OFFSET, PCI_DEVICE_ID_CONTROL,
};
use pci_function::{
    BarDefinition, BarWidth, CONFIG_SPACE_SIZE, ConfigEffect, ConfigSpace, FunctionConfig,
    IdentityConfig, InterruptPin, MsixConfig, PowerState, ResetKind,
};
use vfio_user::{
    Errno, InterruptCounters, InterruptLines, IrqIndex, IrqInfo, IrqSet, RegionIndex, RegionInfo,
};

/// Whether a write to configuration space asked for a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upset {
    None,
    FunctionLevelReset,
}

/// Configuration space and interrupts of one function.
#[derive(Debug)]
pub struct PciFront {
    config: ConfigSpace,
    lines: InterruptLines,
    n_vectors: u16,
    msix_bar: Option<u8>,
}

impl PciFront {
    /// The device under test of a device file.
    ///
    /// # Panics
    /// Never for a checked description.
    #[must_use]
    pub(crate) fn dut(description: &DeviceDescription) -> Self {
        let vectors = description.interrupts.msix_vectors;
        let mut bars = vec![bar(DUT_REGISTER_BAR, DUT_REGISTER_BAR_SIZE_BYTES)];
        if vectors > 0 {
            bars.push(bar(DUT_MSIX_BAR, MSIX_BAR_SIZE_BYTES));
        }
        Self::new(&FunctionConfig {
            identity: identity(&description.identity),
            bars,
            interrupt_pin: InterruptPin::A,
            msix: (vectors > 0).then(|| msix(vectors, DUT_MSIX_BAR)),
        })
    }

    /// The control function. It has no interrupt pin: the first interrupt by pin would end the direct
    /// mapping of its mailbox.
    #[must_use]
    pub(crate) fn control() -> Self {
        Self::new(&FunctionConfig {
            identity: identity(&Identity {
                device_id: PCI_DEVICE_ID_CONTROL,
                subsystem_id: PCI_DEVICE_ID_CONTROL,
                ..Identity::default()
            }),
            bars: vec![
                bar(CONTROL_MAILBOX_BAR, MAILBOX_SIZE_BYTES),
                bar(CONTROL_REGISTER_BAR, CONTROL_REGISTER_BAR_SIZE_BYTES),
                bar(CONTROL_MSIX_BAR, MSIX_BAR_SIZE_BYTES),
            ],
            interrupt_pin: InterruptPin::None,
            msix: Some(msix(CONTROL_MSIX_VECTORS, CONTROL_MSIX_BAR)),
        })
    }

    fn new(function: &FunctionConfig) -> Self {
        let n_vectors = function.msix.map_or(0, |msix| msix.n_vectors);
        let n_pins = match function.interrupt_pin {
            InterruptPin::None => 0,
            InterruptPin::A => 1,
        };
        Self {
            config: ConfigSpace::new(function)
                .expect("the ABI's BARs and a checked device file make a function"),
            lines: InterruptLines::new([n_pins, 0, n_vectors.into(), 0, 0]),
            n_vectors,
            msix_bar: function.msix.map(|msix| msix.table_bar),
        }
    }

    pub(crate) fn region_info(&self, region: RegionIndex) -> RegionInfo<'_> {
        let size = match region.bar() {
            Some(bar) => self.config.bar_size(bar),
            None if region == RegionIndex::CONFIG => CONFIG_SPACE_SIZE as u64,
            None => 0,
        };
        if size == 0 {
            return RegionInfo::default();
        }
        RegionInfo::read_write(size)
    }

    pub(crate) fn irq_info(&self, index: IrqIndex) -> IrqInfo {
        self.lines.info(index)
    }

    /// The number of a BAR whose accesses are the endpoint's; `None` for configuration space, the MSI-X
    /// BAR and what is no BAR.
    pub(crate) fn endpoint_bar(&self, region: RegionIndex) -> Option<u8> {
        region.bar().filter(|bar| Some(*bar) != self.msix_bar)
    }

    /// Reads configuration space, or the MSI-X BAR.
    pub(crate) fn read_region(
        &mut self,
        region: RegionIndex,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), Errno> {
        if region == RegionIndex::CONFIG {
            self.config.read(offset, data);
        } else {
            data.fill(0);
        }
        Ok(())
    }

    /// Writes configuration space; the MSI-X BAR drops what reaches us.
    pub(crate) fn write_region(
        &mut self,
        region: RegionIndex,
        offset: u64,
        data: &[u8],
    ) -> Result<Upset, Errno> {
        if region != RegionIndex::CONFIG {
            return Ok(Upset::None);
        }
        let effects = self.config.write(offset, data);
        if effects.contains(&ConfigEffect::FunctionLevelReset) {
            return Ok(Upset::FunctionLevelReset);
        }
        Ok(Upset::None)
    }

    pub(crate) fn set_irqs(&mut self, set: IrqSet) -> Result<(), Errno> {
        self.lines.apply(set)
    }

    /// Raises a vector. One beyond the last shares the last.
    pub(crate) fn raise_msix(&mut self, vector: u16) {
        let Some(last) = self.n_vectors.checked_sub(1) else {
            return;
        };
        if self.config.is_msix_enabled() {
            self.lines.signal_msix(vector.min(last));
        }
    }

    /// Sets the level that the function wants on its interrupt pin.
    pub(crate) fn set_intx(&mut self, is_asserted: bool) {
        self.config.set_interrupt_status(is_asserted);
        let drives_pin =
            is_asserted && !self.config.is_msix_enabled() && !self.config.is_interrupt_disabled();
        match (drives_pin, self.lines.is_intx_asserted()) {
            (true, false) => {
                self.lines.assert_intx();
            }
            (false, true) => self.lines.deassert_intx(),
            _ => {}
        }
    }

    /// Whether the interrupt pin is up.
    pub(crate) fn is_intx_asserted(&self) -> bool {
        self.lines.is_intx_asserted()
    }

    /// Brings configuration space to its state after a bus reset.
    pub(crate) fn reset(&mut self, kind: ResetKind) {
        self.config.reset(kind);
        self.lines.deassert_intx();
    }

    /// Closes every eventfd.
    pub(crate) fn disconnect(&mut self) {
        self.reset(ResetKind::Conventional);
        self.lines.unbind_all();
    }

    /// Whether the command register allows DMA.
    #[must_use]
    pub fn is_bus_master(&self) -> bool {
        self.config.is_bus_master()
    }

    /// 0 for D0, 3 for D3hot.
    #[must_use]
    pub fn power_state(&self) -> u8 {
        match self.config.power_state() {
            PowerState::D0 => 0,
            PowerState::D3Hot => 3,
        }
    }

    /// MSI-X vectors that have an eventfd.
    #[must_use]
    pub fn bound_vectors(&self) -> u32 {
        u32::try_from(self.lines.bound_count(IrqIndex::MSIX)).unwrap_or(u32::MAX)
    }

    /// Totals of interrupts.
    #[must_use]
    pub fn interrupt_counters(&self) -> InterruptCounters {
        self.lines.counters()
    }
}

fn identity(identity: &Identity) -> IdentityConfig {
    IdentityConfig {
        vendor_id: identity.vendor_id,
        device_id: identity.device_id,
        revision: identity.revision,
        class: identity.class,
        subsystem_vendor_id: identity.subsystem_vendor_id,
        subsystem_id: identity.subsystem_id,
    }
}

/// All BARs are 64 bits wide, as the ABI's numbers with their gaps of two allow.
fn bar(index: u32, size: u64) -> BarDefinition {
    BarDefinition {
        index: bar_number(index),
        size,
        width: BarWidth::Bits64,
        prefetchable: false,
    }
}

fn msix(n_vectors: u16, bar: u32) -> MsixConfig {
    MsixConfig {
        n_vectors,
        table_bar: bar_number(bar),
        table_offset: MSIX_TABLE_OFFSET,
        pba_bar: bar_number(bar),
        pba_offset: MSIX_PBA_OFFSET,
    }
}

fn bar_number(index: u32) -> u8 {
    u8::try_from(index).expect("the ABI's BAR numbers are below 6")
}
