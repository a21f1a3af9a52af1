//! [`PciFront`]: what all functions have in front: configuration space, BARs, interrupt lines.
//!
//! The MSI-X table lives in QEMU. The pending bits are asked of us, and as we do not know the mask bits
//! they read zero. A function that sleeps, or whose link is down, answers at no BAR: reads give all
//! ones, writes are dropped. With the link down that goes for configuration space, too.

use std::time::Duration;

use device_file::{DeviceDescription, Identity};
use dmarig_abi::Iova;
use dmarig_abi::mailbox::MAILBOX_SIZE_BYTES;
use dmarig_abi::registers::{
    CONTROL_MAILBOX_BAR, CONTROL_MSIX_BAR, CONTROL_MSIX_VECTORS, CONTROL_REGISTER_BAR,
    CONTROL_REGISTER_BAR_SIZE_BYTES, MSIX_BAR_SIZE_BYTES, MSIX_PBA_OFFSET, MSIX_TABLE_OFFSET,
    PCI_DEVICE_ID_CONTROL,
};
use faulty_bus::BusError;
use guest_memory::SharedMemoryError;
use pci_function::{
    BarDefinition, BarKind, ConfigEffect, ConfigSpace, FunctionConfig, IdentityConfig, LinkState,
    MsixConfig, PowerState, ReceivedError, ResetKind, TransferLimits, UncorrectableError,
};
use serde::{Deserialize, Serialize};
use vfio_user::{
    Errno, InterruptCounters, InterruptLines, IrqIndex, IrqInfo, IrqSet, RegionIndex, RegionInfo,
};

use crate::bar_memory::BarMemories;

/// What a function's link to the rest of the machine does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Link {
    /// It carries everything.
    Up,
    /// It carries nothing, as if the device had been pulled out.
    Down,
}

/// How an interrupt reaches the platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InterruptWay {
    Msix,
    Msi,
    Pin,
}

/// Configuration space and interrupts of one function.
#[derive(Debug)]
pub struct PciFront {
    config: ConfigSpace,
    lines: InterruptLines,
    msix: Option<MsixConfig>,
    memories: BarMemories,
    link: Link,
}

impl PciFront {
    /// The device under test of a device file.
    ///
    /// # Errors
    /// If there is no memory for a mappable BAR.
    ///
    /// # Panics
    /// Never for a checked description.
    pub(crate) fn dut(description: &DeviceDescription) -> Result<Self, SharedMemoryError> {
        let memories = BarMemories::new(&description.effective_bars())?;
        Ok(Self::new(&description.function_config(), memories))
    }

    /// The control function. It has no interrupt pin: the first interrupt by pin would end the direct
    /// mapping of its mailbox.
    #[must_use]
    pub(crate) fn control() -> Self {
        let identity = Identity {
            device_id: PCI_DEVICE_ID_CONTROL,
            subsystem_id: PCI_DEVICE_ID_CONTROL,
            ..Identity::default()
        };
        let config = FunctionConfig {
            bars: vec![
                bar(CONTROL_MAILBOX_BAR, MAILBOX_SIZE_BYTES),
                bar(CONTROL_REGISTER_BAR, CONTROL_REGISTER_BAR_SIZE_BYTES),
                bar(CONTROL_MSIX_BAR, MSIX_BAR_SIZE_BYTES),
            ],
            msix: Some(MsixConfig {
                n_vectors: CONTROL_MSIX_VECTORS,
                table_bar: bar_number(CONTROL_MSIX_BAR),
                table_offset: MSIX_TABLE_OFFSET,
                pba_bar: bar_number(CONTROL_MSIX_BAR),
                pba_offset: MSIX_PBA_OFFSET,
            }),
            ..FunctionConfig::new(IdentityConfig {
                vendor_id: identity.vendor_id,
                device_id: identity.device_id,
                revision: identity.revision,
                class: identity.class,
                subsystem_vendor_id: identity.subsystem_vendor_id,
                subsystem_id: identity.subsystem_id,
            })
        };
        Self::new(&config, BarMemories::default())
    }

    fn new(function: &FunctionConfig, memories: BarMemories) -> Self {
        let n_pins = u32::from(function.interrupt_pin.register() > 0);
        let n_msi = function.msi.map_or(0, |msi| msi.n_vectors);
        let n_msix = function.msix.map_or(0, |msix| msix.n_vectors);
        Self {
            config: ConfigSpace::new(function)
                .expect("the ABI's BARs and a checked device file make a function"),
            lines: InterruptLines::new([n_pins, n_msi.into(), n_msix.into(), 0, 0]),
            msix: function.msix,
            memories,
            link: Link::Up,
        }
    }

    pub(crate) fn region_info(&self, region: RegionIndex) -> RegionInfo<'_> {
        let size = match region.bar() {
            Some(bar) => self.config.bar_size(bar),
            None if region == RegionIndex::CONFIG => self.config.size() as u64,
            None => 0,
        };
        if size == 0 {
            return RegionInfo::default();
        }
        let mappable = region.bar().and_then(|bar| self.memories.mappable(bar));
        RegionInfo {
            mappable,
            ..RegionInfo::read_write(size)
        }
    }

    pub(crate) fn irq_info(&self, index: IrqIndex) -> IrqInfo {
        self.lines.info(index)
    }

    /// The number of a BAR if the access at `offset` is the endpoint's: not in configuration space, MSI-X
    /// table or pending bits, not in memory that QEMU maps, and not while the function is deaf.
    pub(crate) fn endpoint_bar(&self, region: RegionIndex, offset: u64) -> Option<u8> {
        let bar = region.bar()?;
        let is_ours = self.is_deaf() || self.memories.has(bar) || self.is_of_msix(bar, offset);
        (!is_ours).then_some(bar)
    }

    /// Whether a BAR is memory that QEMU maps.
    pub(crate) fn has_memory(&self, bar: u8) -> bool {
        self.memories.has(bar)
    }

    /// Reads what is not the endpoint's.
    pub(crate) fn read_region(
        &mut self,
        region: RegionIndex,
        offset: u64,
        data: &mut [u8],
    ) -> Result<(), Errno> {
        let is_config = region == RegionIndex::CONFIG;
        if self.link == Link::Down || (!is_config && self.is_deaf()) {
            data.fill(0xff);
        } else if is_config {
            self.config.read(offset, data);
        } else if let Some(bar) = region.bar().filter(|bar| self.memories.has(*bar)) {
            self.memories.read(bar, offset, data)?;
        } else {
            data.fill(0);
        }
        Ok(())
    }

    /// Writes what is not the endpoint's, and tells which reset a write to configuration space asked for.
    /// Configuration space has done its part then.
    pub(crate) fn write_region(
        &mut self,
        region: RegionIndex,
        offset: u64,
        data: &[u8],
    ) -> Result<Option<ResetKind>, Errno> {
        if self.link == Link::Down {
            return Ok(None);
        }
        if region != RegionIndex::CONFIG {
            if let Some(bar) = region.bar().filter(|_| !self.is_deaf()) {
                self.memories.write(bar, offset, data)?;
            }
            return Ok(None);
        }
        let effects = self.config.write(offset, data);
        Ok(effects.iter().find_map(|effect| match effect {
            ConfigEffect::FunctionLevelReset => Some(ResetKind::FunctionLevel),
            ConfigEffect::PowerReset => Some(ResetKind::PowerManagement),
            _ => None,
        }))
    }

    pub(crate) fn set_irqs(&mut self, set: IrqSet) -> Result<(), Errno> {
        self.lines.apply(set)
    }

    /// Raises a vector by the way that the guest has enabled: MSI-X, else MSI; one beyond the last shares
    /// the last. With neither on, the interrupt pin is the way: [`Self::set_intx`].
    pub(crate) fn raise(&mut self, vector: u16) {
        if self.is_deaf() {
            return;
        }
        if self.config.is_msix_enabled() {
            let last = self.msix.map_or(0, |msix| msix.n_vectors.saturating_sub(1));
            self.lines.signal_msix(vector.min(last));
        } else if self.config.is_msi_enabled() {
            let last = self.config.msi_vectors().saturating_sub(1);
            self.lines.signal(IrqIndex::MSI, vector.min(last));
        }
    }

    /// By what way an interrupt of the function goes now.
    pub(crate) fn interrupt_way(&self) -> InterruptWay {
        if self.config.is_msix_enabled() {
            InterruptWay::Msix
        } else if self.config.is_msi_enabled() {
            InterruptWay::Msi
        } else {
            InterruptWay::Pin
        }
    }

    /// Logs an error of a request as the function's registers have it: in the status register what came
    /// as a Completion's status, in error reporting what did not come, or came poisoned.
    pub(crate) fn log_bus_error(&mut self, error: BusError, iova: Iova) {
        match error {
            BusError::UnsupportedRequest => {
                self.config.record_received(ReceivedError::MasterAbort);
            }
            BusError::CompleterAbort => self.config.record_received(ReceivedError::TargetAbort),
            BusError::CompletionTimeout => self
                .config
                .record_uncorrectable(UncorrectableError::CompletionTimeout, read_header(iova)),
            BusError::PoisonedTlp => {
                self.config.record_received(ReceivedError::Parity);
                self.config
                    .record_uncorrectable(UncorrectableError::PoisonedTlp, read_header(iova));
            }
        }
    }

    /// Sets the level that the function wants on its interrupt pin.
    pub(crate) fn set_intx(&mut self, is_asserted: bool) {
        let is_asserted = is_asserted && !self.is_deaf();
        self.config.set_interrupt_status(is_asserted);
        let has_messages = self.config.is_msix_enabled() || self.config.is_msi_enabled();
        let drives_pin = is_asserted && !has_messages && !self.config.is_interrupt_disabled();
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

    /// Brings the link up or down; the registers stay as they are.
    pub(crate) const fn set_link(&mut self, link: Link) {
        self.link = link;
    }

    /// Shows a link that came up slower or narrower than it can be.
    pub(crate) fn degrade_link(&mut self, to: LinkState) {
        self.config.degrade_link(to);
    }

    /// Whether the link is up.
    #[must_use]
    pub const fn link(&self) -> Link {
        self.link
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

    /// Whether the function may use the bus: the command register allows it, and the link is up.
    #[must_use]
    pub fn is_bus_master(&self) -> bool {
        self.config.is_bus_master() && self.link == Link::Up
    }

    /// 0 for D0 to 3 for D3hot.
    #[must_use]
    pub fn power_state(&self) -> u8 {
        self.config.power_state().number()
    }

    /// The sizes that the guest has set for the function's requests.
    #[must_use]
    pub fn transfer_limits(&self) -> TransferLimits {
        self.config.transfer_limits()
    }

    /// How long the function waits for a Completion; `None` if the guest has disabled that time-out.
    #[must_use]
    pub fn completion_timeout(&self) -> Option<Duration> {
        self.config.completion_timeout()
    }

    /// Whether the function answers at no BAR, and signals nothing.
    fn is_deaf(&self) -> bool {
        self.link == Link::Down || self.config.power_state() != PowerState::D0
    }

    fn is_of_msix(&self, bar: u8, offset: u64) -> bool {
        self.msix.is_some_and(|msix| {
            let lies_in = |its_bar, start: u32, size| {
                bar == its_bar && offset.checked_sub(start.into()).is_some_and(|at| at < size)
            };
            lies_in(msix.table_bar, msix.table_offset, msix.table_size())
                || lies_in(msix.pba_bar, msix.pba_offset, msix.pba_size())
        })
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

/// The header of a memory read with 64-bit addressing (section 2.2.7), as the header log has it; the
/// requester is not known here and reads 00:00.0.
fn read_header(iova: Iova) -> [u32; 4] {
    let [high, low] = [iova.raw() >> 32, iova.raw() & 0xffff_fffc];
    let word = |bits: u64| u32::try_from(bits).expect("32 bits are left");
    [0x2000_0001, 0x0000_00ff, word(high), word(low)]
}

/// All BARs are 64 bits wide, as the ABI's numbers with their gaps of two allow.
fn bar(index: u32, size: u64) -> BarDefinition {
    BarDefinition {
        index: bar_number(index),
        size,
        kind: BarKind::Memory64,
        prefetchable: false,
    }
}

fn bar_number(index: u32) -> u8 {
    u8::try_from(index).expect("the ABI's BAR numbers are below 6")
}
