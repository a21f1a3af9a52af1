//! [`DeviceDescription`]: the whole file. A new section is a field here and a module of its own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key_path::KeyPath;
use crate::problem::Problems;
use crate::section::action::Action;
use crate::section::bar::{self, Bar};
use crate::section::behavior::{Behavior, Window};
use crate::section::capabilities::Capabilities;
use crate::section::dma::Dma;
use crate::section::identity::Identity;
use crate::section::interrupts::Interrupts;
use crate::section::iommu::Iommu;
use crate::section::pcie::Pcie;
use crate::section::power::Power;
use crate::section::register::Register;
use crate::section::ring::Ring;

/// A device under test. What is left out is as in the built-in device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceDescription {
    /// Numbers by which an operating system finds a driver.
    pub identity: Identity,
    /// BARs; none here means those of the built-in device.
    #[serde(rename = "bar", skip_serializing_if = "Vec::is_empty")]
    pub bars: Vec<Bar>,
    /// Interrupts.
    pub interrupts: Interrupts,
    /// Power management.
    pub power: Power,
    /// PCI Express.
    pub pcie: Pcie,
    /// What else stands in configuration space.
    pub capabilities: Capabilities,
    /// What the device can do on the bus.
    pub dma: Dma,
    /// A remapping unit of the device's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub iommu: Option<Iommu>,
    /// Registers; none here means the DMA engine with its own.
    #[serde(rename = "register", skip_serializing_if = "Vec::is_empty")]
    pub registers: Vec<Register>,
    /// What writes to registers set off.
    #[serde(rename = "action", skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
    /// Descriptor rings.
    #[serde(rename = "ring", skip_serializing_if = "Vec::is_empty")]
    pub rings: Vec<Ring>,
}

impl DeviceDescription {
    /// Notes everything that the types alone do not rule out.
    pub(crate) fn check(&self, problems: &mut Problems) {
        let root = KeyPath::root();
        self.identity.check(&root.key("identity"), problems);
        bar::check(&self.bars, &root.key("bar"), problems);
        self.interrupts.check(
            &root.key("interrupts"),
            &self.bar_definitions(),
            !self.bars.is_empty(),
            problems,
        );
        self.pcie.check(&root.key("pcie"), problems);
        self.capabilities.check(&root.key("capabilities"), problems);
        self.dma.check(&root.key("dma"), problems);
        self.check_windows(problems);
        if problems.is_empty() {
            self.check_function(problems);
        }
    }

    fn check_windows(&self, problems: &mut Problems) {
        let bars = self.bar_definitions();
        let windows = bars.iter().map(|bar| Window {
            bar: bar.index,
            start: 0,
            len_bytes: bar.size,
        });
        let msix = self.interrupts.msix();
        let reserved = msix.map(|msix| {
            let window = |bar, offset: u32, len_bytes| Window {
                bar,
                start: offset.into(),
                len_bytes,
            };
            [
                window(msix.table_bar, msix.table_offset, msix.table_size()),
                window(msix.pba_bar, msix.pba_offset, msix.pba_size()),
            ]
        });
        let bars = self.effective_bars();
        let mappable = bars.iter().filter(|bar| bar.mappable);
        let mappable: Vec<_> = mappable.map(|bar| bar.index).collect();
        let windows: Vec<_> = windows.collect();
        let reserved = reserved.as_ref().map_or(&[][..], <[_; 2]>::as_slice);
        if let Some(iommu) = &self.iommu {
            let at = KeyPath::root().key("iommu");
            iommu.check(&at, &windows, reserved, &mappable, problems);
        }
        let unit = self.iommu.as_ref().and_then(Iommu::window);
        let reserved: Vec<_> = reserved.iter().copied().chain(unit).collect();
        let vectors = [self.interrupts.msi_vectors, self.interrupts.msix_vectors];
        let behavior = Behavior {
            registers: &self.registers,
            actions: &self.actions,
            rings: &self.rings,
            bars: &windows,
            reserved: &reserved,
            mappable: &mappable,
            vector_count: vectors.into_iter().max().unwrap_or(0),
        };
        behavior.check(problems);
    }
}
