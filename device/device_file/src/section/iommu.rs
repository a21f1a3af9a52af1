//! `[iommu]`: a remapping unit of the device's own, off until somebody turns it on.

use std::num::NonZeroU32;

use dmarig_abi::RequesterId;
use iommu::vtd::{InvalidationMode, UnitConfig, window_bytes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::behavior::Window;
use crate::key_path::KeyPath;
use crate::problem::Problems;

/// Offsets of a register window are multiples of this.
const WINDOW_ALIGNMENT: u64 = 0x1000;

/// When an invalidation takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum IommuInvalidation {
    /// When it is ordered.
    #[default]
    Immediate,
    /// After `invalidation_ticks`, or when software has looked whether it is done.
    Deferred,
}

/// Sizes of leaves beside 4 KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum LargePage {
    /// 2 MiB.
    #[serde(rename = "2M")]
    TwoMib,
    /// 1 GiB.
    #[serde(rename = "1G")]
    OneGib,
}

/// A remapping unit of the device's own, as docs/iommu.md has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Iommu {
    /// Under which number its tables have the function, as `lspci` prints it.
    pub requester: String,
    /// Bits of a guest physical address, 36 to 52.
    #[schemars(range(min = 36, max = 52))]
    pub host_address_width: u8,
    /// Bits of an IOVA, 30 to 48.
    #[schemars(range(min = 30, max = 48))]
    pub guest_address_width: u8,
    /// Levels that tables may have: 3 (39 bits), 4 (48 bits).
    pub levels: Vec<u8>,
    /// Leaves larger than 4 KiB that there are.
    pub large_pages: Vec<LargePage>,
    /// Context entries may let requests pass untranslated.
    pub pass_through: bool,
    /// Entries of the context cache: 0, or a power of two up to 65536.
    pub context_entries: usize,
    /// Entries of the IOTLB: 0, or a power of two up to 65536.
    pub iotlb_entries: usize,
    /// When an invalidation takes effect.
    pub invalidation: IommuInvalidation,
    /// Translations, and looks at the command, that a deferred invalidation waits for; 0 for one look.
    pub invalidation_ticks: u32,
    /// Fault recording registers, 1 to 256.
    #[schemars(range(min = 1, max = 256))]
    pub fault_records: usize,
    /// Further faults of a requester are dropped while one of its records is pending.
    pub compress_faults: bool,
    /// BAR with the unit's registers. Left out: there are none, and the control socket turns it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub register_bar: Option<u8>,
    /// Where they begin in that BAR, a multiple of 0x1000.
    pub register_offset: u64,
}

impl Default for Iommu {
    fn default() -> Self {
        let unit = UnitConfig::default();
        Self {
            requester: RequesterId::default().to_string(),
            host_address_width: unit.host_address_bits,
            guest_address_width: unit.guest_address_bits,
            levels: vec![3, 4],
            large_pages: vec![LargePage::TwoMib, LargePage::OneGib],
            pass_through: unit.has_pass_through,
            context_entries: unit.context_entries,
            iotlb_entries: unit.iotlb_entries,
            invalidation: IommuInvalidation::default(),
            invalidation_ticks: 0,
            fault_records: unit.fault_records,
            compress_faults: unit.compresses_faults,
            register_bar: None,
            register_offset: 0,
        }
    }
}

impl Iommu {
    /// The number of the function; `None` if the text is none.
    #[must_use]
    pub fn requester(&self) -> Option<RequesterId> {
        let number = |digits: &str, len: usize| {
            let is_plain = digits.len() == len && digits.bytes().all(|b| b.is_ascii_hexdigit());
            u8::from_str_radix(digits, 16).ok().filter(|_| is_plain)
        };
        let (bus, rest) = self.requester.split_once(':')?;
        let (device, function) = rest.split_once('.')?;
        RequesterId::try_new(number(bus, 2)?, number(device, 2)?, number(function, 1)?)
    }

    /// What the unit can do.
    #[must_use]
    pub fn unit_config(&self) -> UnitConfig {
        UnitConfig {
            host_address_bits: self.host_address_width,
            guest_address_bits: self.guest_address_width,
            has_3_levels: self.levels.contains(&3),
            has_4_levels: self.levels.contains(&4),
            has_2_mib_leaves: self.large_pages.contains(&LargePage::TwoMib),
            has_1_gib_leaves: self.large_pages.contains(&LargePage::OneGib),
            has_pass_through: self.pass_through,
            context_entries: self.context_entries,
            iotlb_entries: self.iotlb_entries,
            invalidation: match self.invalidation {
                IommuInvalidation::Immediate => InvalidationMode::Immediate,
                IommuInvalidation::Deferred => InvalidationMode::Deferred {
                    ticks: NonZeroU32::new(self.invalidation_ticks),
                },
            },
            fault_records: self.fault_records,
            compresses_faults: self.compress_faults,
            ..UnitConfig::default()
        }
    }

    /// Where the registers lie, if there are any.
    pub(crate) fn window(&self) -> Option<Window> {
        self.register_bar.map(|bar| Window {
            bar,
            start: self.register_offset,
            len_bytes: window_bytes(&self.unit_config()),
        })
    }

    /// Notes what is wrong with the unit, and with the place of its registers among `bars`, what QEMU
    /// keeps for itself (`reserved`), and what QEMU maps (`mappable`).
    pub(crate) fn check(
        &self,
        at: &KeyPath,
        bars: &[Window],
        reserved: &[Window],
        mappable: &[u8],
        problems: &mut Problems,
    ) {
        if self.requester().is_none() {
            let what = format!("is {:?}, which is no function", self.requester);
            let help = "bus, device and function as lspci prints them, like \"01:00.0\"";
            problems.note(&at.key("requester"), what, help);
        }
        self.check_unit(at, problems);
        let Some(window) = self.window() else {
            if self.register_offset != 0 {
                let what = "means nothing without register_bar";
                problems.note(&at.key("register_offset"), what, "name the BAR, too");
            }
            return;
        };
        let place = at.key("register_bar");
        let Some(bar) = bars.iter().find(|bar| bar.bar == window.bar) else {
            let what = format!("is {}, and there is no such BAR", window.bar);
            return problems.note(&place, what, "describe it as a [[bar]]");
        };
        if mappable.contains(&window.bar) {
            let what = format!("is {}, which QEMU maps", window.bar);
            return problems.note(
                &place,
                what,
                "no access to a mappable BAR reaches the device",
            );
        }
        let place = at.key("register_offset");
        let (start, len) = (window.start, window.len_bytes);
        if !start.is_multiple_of(WINDOW_ALIGNMENT) {
            let help = format!("a multiple of {WINDOW_ALIGNMENT:#x}");
            problems.note(&place, format!("is {start:#x}"), help);
        } else if window.end() > bar.end() {
            let what = format!(
                "is {start:#x}: {len:#x} bytes do not fit into BAR {}",
                bar.bar
            );
            problems.note(
                &place,
                what,
                "a larger BAR, a lower offset or fewer fault_records",
            );
        } else if reserved.iter().any(|other| other.overlaps(&window)) {
            let what = format!("is {start:#x}: {len:#x} bytes there overlap the MSI-X vectors");
            problems.note(&place, what, "another offset, or another BAR");
        }
    }

    fn check_unit(&self, at: &KeyPath, problems: &mut Problems) {
        problems.range(
            &at.key("host_address_width"),
            self.host_address_width,
            36..=52,
        );
        problems.range(
            &at.key("guest_address_width"),
            self.guest_address_width,
            30..=48,
        );
        problems.range(&at.key("fault_records"), self.fault_records, 1..=256);
        for (key, entries) in [
            ("context_entries", self.context_entries),
            ("iotlb_entries", self.iotlb_entries),
        ] {
            if entries != 0 && !(entries.is_power_of_two() && entries <= 1 << 16) {
                let help = "0 for none, or a power of two up to 65536";
                problems.note(&at.key(key), format!("is {entries}"), help);
            }
        }
        let levels = at.key("levels");
        if self.levels.is_empty() || self.levels.iter().any(|level| !matches!(level, 3 | 4)) {
            let what = format!("is {:?}", self.levels);
            problems.note(&levels, what, "[3], [4] or [3, 4]");
        } else if self.guest_address_width > 39 && !self.levels.contains(&4) {
            let what = format!("is {:?}: 3 levels are 39 bits", self.levels);
            problems.note(&levels, what, "4 levels, or guest_address_width = 39");
        }
        if self.invalidation_ticks != 0 && self.invalidation == IommuInvalidation::Immediate {
            let what = "means nothing where an invalidation is immediate";
            problems.note(
                &at.key("invalidation_ticks"),
                what,
                "invalidation = \"deferred\"",
            );
        }
        if problems.is_empty()
            && let Err(error) = self.unit_config().check()
        {
            problems.error(at, &error);
        }
    }
}
