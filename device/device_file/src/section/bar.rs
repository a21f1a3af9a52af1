//! `[[bar]]`: the windows that the device answers at.

use pci_function::{BarDefinition, BarKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::key_path::KeyPath;
use crate::problem::Problems;

/// Least size of a mappable BAR: a page, as QEMU maps no less.
const MIN_MAPPABLE_SIZE: u64 = 0x1000;
/// Greatest size of a mappable BAR, which is memory of this machine.
const MAX_MAPPABLE_SIZE: u64 = 1 << 30;
/// Greatest size of any BAR: what a guest with 40-bit physical addresses finds room for.
const MAX_SIZE: u64 = 1 << 38;

/// One BAR. With a first of these, those of the built-in device are gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bar {
    /// Number of its register, 0 to 5; one of 64 bits takes the next as well.
    #[schemars(range(max = 5))]
    pub index: u8,
    /// Length in bytes, a power of two.
    pub size: u64,
    /// Address space and width.
    #[serde(default)]
    pub space: Space,
    /// Reads have no side effects.
    #[serde(default)]
    pub prefetchable: bool,
    /// Plain memory of the device that QEMU maps: no access reaches the device. Otherwise each does.
    #[serde(default)]
    pub mappable: bool,
}

/// Address space and width of a BAR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Space {
    /// Memory below 4 GiB.
    #[default]
    Memory32,
    /// Memory anywhere.
    Memory64,
    /// I/O ports.
    Io,
}

impl Bar {
    /// As the configuration space wants it.
    #[must_use]
    pub const fn definition(&self) -> BarDefinition {
        BarDefinition {
            index: self.index,
            size: self.size,
            kind: match self.space {
                Space::Memory32 => BarKind::Memory32,
                Space::Memory64 => BarKind::Memory64,
                Space::Io => BarKind::Io,
            },
            prefetchable: self.prefetchable,
        }
    }

    fn check(&self, at: &KeyPath, problems: &mut Problems) {
        use pci_function::BarError::{Index, Overlap, PrefetchableIo, Size};
        if let Err(error) = self.definition().check() {
            let key = match error {
                Index { .. } | Overlap { .. } => "index",
                Size { .. } => "size",
                PrefetchableIo { .. } => "prefetchable",
            };
            problems.error(&at.key(key), &error);
        } else if self.size > MAX_SIZE {
            problems.note(
                &at.key("size"),
                format!("is {:#x}: no guest has room for that", self.size),
                format!("at most {MAX_SIZE:#x} (256 GiB)"),
            );
        } else if self.mappable {
            self.check_mappable(at, problems);
        }
    }

    fn check_mappable(&self, at: &KeyPath, problems: &mut Problems) {
        if self.space == Space::Io {
            problems.note(
                &at.key("mappable"),
                "is true, but I/O ports cannot be mapped",
                "leave mappable out, or let the BAR be memory",
            );
        } else if !(MIN_MAPPABLE_SIZE..=MAX_MAPPABLE_SIZE).contains(&self.size) {
            problems.note(
                &at.key("size"),
                format!("is {:#x} of a mappable BAR", self.size),
                format!("{MIN_MAPPABLE_SIZE:#x} to {MAX_MAPPABLE_SIZE:#x} (4 KiB to 1 GiB)"),
            );
        }
    }
}

/// Checks all BARs, and that no two share a register.
pub(crate) fn check(bars: &[Bar], at: &KeyPath, problems: &mut Problems) {
    let mut taken = Vec::new();
    for (position, bar) in bars.iter().enumerate() {
        let at = at.item(position);
        bar.check(&at, problems);
        for register in (bar.index..).take(bar.definition().n_registers().into()) {
            if taken.contains(&register) {
                problems.note(
                    &at.key("index"),
                    format!("needs register {register}, which another BAR has"),
                    "a 64-bit BAR takes its register and the next; give this one a free number",
                );
            }
            taken.push(register);
        }
    }
}
