//! Base address registers, of memory and of I/O space. Section 7.5.1.2.1.

use std::fmt;

use thiserror::Error;

use crate::registers::{Behavior, Registers};

/// Number of base address registers of an endpoint.
pub const BAR_COUNT: u8 = 6;
/// Offset of the first base address register.
const FIRST_BAR: usize = 0x10;
/// Least size of a memory BAR: its low four bits say what it is.
const MIN_MEMORY_SIZE: u64 = 0x10;
/// Greatest size of a 32-bit memory BAR: a mask of one bit.
const MAX_MEMORY32_SIZE: u64 = 1 << 31;
/// Least size of an I/O BAR.
const MIN_IO_SIZE: u64 = 4;
/// Greatest size of an I/O BAR that the specification of conventional PCI lets a device ask for.
const MAX_IO_SIZE: u64 = 0x100;
/// Type bit of an I/O BAR.
const TYPE_IO: u32 = 0x1;
/// Type bits of a 64-bit BAR.
const TYPE_64: u32 = 0x4;
/// Bit of a prefetchable BAR.
const PREFETCHABLE: u32 = 0x8;

/// Which space a BAR lies in, and how wide its address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarKind {
    /// I/O space; at most 256 bytes.
    Io,
    /// Memory below 4 GiB; at most 2 GiB.
    Memory32,
    /// Memory anywhere; takes this register and the next.
    Memory64,
}

/// One BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarDefinition {
    /// Number of its first register, 0 to 5.
    pub index: u8,
    /// Length in bytes: a power of two, at least 16, in I/O space 4.
    pub size: u64,
    /// Its space and width.
    pub kind: BarKind,
    /// Reads have no side effects; memory only.
    pub prefetchable: bool,
}

/// Why a BAR cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BarError {
    /// The size is no power of two in the range of the kind. QEMU aborts on such a BAR.
    #[error(
        "BAR {index}: size {size:#x} of a {kind} BAR\nhelp: a power of two from {MIN_MEMORY_SIZE:#x}, \
         at most 2 GiB if 32 bits wide; in I/O space from {MIN_IO_SIZE} to {MAX_IO_SIZE:#x}"
    )]
    Size {
        /// The BAR.
        index: u8,
        /// Its size.
        size: u64,
        /// Its kind.
        kind: BarKind,
    },
    /// I/O space is never prefetchable.
    #[error("BAR {index}: I/O space is not prefetchable\nhelp: leave prefetchable out")]
    PrefetchableIo {
        /// The BAR.
        index: u8,
    },
    /// There are only six registers, and a 64-bit BAR takes two.
    #[error("BAR {index}: there are {BAR_COUNT} registers, of which a 64-bit BAR takes two")]
    Index {
        /// The BAR.
        index: u8,
    },
    /// The register is taken.
    #[error("BAR {index}: register taken by another BAR")]
    Overlap {
        /// The BAR.
        index: u8,
    },
}

impl fmt::Display for BarKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Io => "I/O",
            Self::Memory32 => "32-bit memory",
            Self::Memory64 => "64-bit memory",
        })
    }
}

impl BarDefinition {
    /// Registers that the BAR takes.
    #[must_use]
    pub const fn n_registers(&self) -> u8 {
        match self.kind {
            BarKind::Io | BarKind::Memory32 => 1,
            BarKind::Memory64 => 2,
        }
    }

    /// Tells whether the BAR can be, by itself.
    ///
    /// # Errors
    /// [`BarError`]; never `Overlap`, which takes two.
    pub fn check(&self) -> Result<(), BarError> {
        let Self {
            index, size, kind, ..
        } = *self;
        if index >= BAR_COUNT || index + self.n_registers() > BAR_COUNT {
            return Err(BarError::Index { index });
        }
        let sizes = match kind {
            BarKind::Io => MIN_IO_SIZE..=MAX_IO_SIZE,
            BarKind::Memory32 => MIN_MEMORY_SIZE..=MAX_MEMORY32_SIZE,
            BarKind::Memory64 => MIN_MEMORY_SIZE..=u64::MAX,
        };
        if !size.is_power_of_two() || !sizes.contains(&size) {
            return Err(BarError::Size { index, size, kind });
        }
        if self.prefetchable && kind == BarKind::Io {
            return Err(BarError::PrefetchableIo { index });
        }
        Ok(())
    }
}

/// The BARs of a function.
#[derive(Clone, Debug)]
pub(crate) struct Bars {
    definitions: Vec<BarDefinition>,
}

impl Bars {
    pub(crate) fn install(
        registers: &mut Registers,
        definitions: &[BarDefinition],
    ) -> Result<Self, BarError> {
        let mut taken = [false; BAR_COUNT as usize];
        for bar in definitions {
            bar.check()?;
            for index in bar.index..bar.index + bar.n_registers() {
                if std::mem::replace(&mut taken[usize::from(index)], true) {
                    return Err(BarError::Overlap { index: bar.index });
                }
            }
            define(registers, bar);
        }
        Ok(Self {
            definitions: definitions.to_vec(),
        })
    }

    /// Returns the BAR of a number, if there is one.
    pub(crate) fn get(&self, index: u8) -> Option<&BarDefinition> {
        self.definitions.iter().find(|bar| bar.index == index)
    }

    /// Tells whether a BAR lies in I/O space.
    pub(crate) fn has_io(&self) -> bool {
        self.definitions.iter().any(|bar| bar.kind == BarKind::Io)
    }

    /// Returns number and address of every BAR, as the guest has set them.
    pub(crate) fn addresses(&self, registers: &Registers) -> Vec<(u8, u64)> {
        let address = |bar: &BarDefinition| {
            let offset = offset_of(bar.index);
            let low = u64::from(registers.get_u32(offset));
            let address = match bar.kind {
                BarKind::Io => low & !0x3,
                BarKind::Memory32 => low & !0xf,
                BarKind::Memory64 => u64::from(registers.get_u32(offset + 4)) << 32 | (low & !0xf),
            };
            (bar.index, address)
        };
        self.definitions.iter().map(address).collect()
    }
}

/// The address bits above the size can be written; the others are what a guest sizes a BAR by.
fn define(registers: &mut Registers, bar: &BarDefinition) {
    let mask = !(bar.size - 1);
    let [low, high] = [mask, mask >> 32].map(low_half);
    let offset = offset_of(bar.index);
    let prefetchable = if bar.prefetchable { PREFETCHABLE } else { 0 };
    match bar.kind {
        BarKind::Io => registers.define_u32(offset, TYPE_IO, Behavior::writable(low)),
        BarKind::Memory32 => registers.define_u32(offset, prefetchable, Behavior::writable(low)),
        BarKind::Memory64 => {
            registers.define_u32(offset, TYPE_64 | prefetchable, Behavior::writable(low));
            registers.define_u32(offset + 4, 0, Behavior::writable(high));
        }
    }
}

fn low_half(mask: u64) -> u32 {
    u32::try_from(mask & u64::from(u32::MAX)).expect("32 bits are left")
}

fn offset_of(index: u8) -> usize {
    FIRST_BAR + 4 * usize::from(index)
}
