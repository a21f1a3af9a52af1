//! Base address registers of memory BARs. Section 7.5.1.2.1.

use thiserror::Error;

use crate::registers::{Behavior, Registers};

/// Number of base address registers of an endpoint.
pub const BAR_COUNT: u8 = 6;
/// Offset of the first base address register.
const FIRST_BAR: usize = 0x10;
/// Least size of a memory BAR: one page, so that a guest can map it alone.
const MIN_SIZE: u64 = 0x1000;
/// Type bits of a 64-bit BAR.
const TYPE_64: u32 = 0x4;
/// Bit of a prefetchable BAR.
const PREFETCHABLE: u32 = 0x8;

/// How wide a BAR's address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarWidth {
    /// One register; at most 2 GiB.
    Bits32,
    /// This register and the next.
    Bits64,
}

/// One memory BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BarDefinition {
    /// Number of its first register, 0 to 5.
    pub index: u8,
    /// Length in bytes: a power of two, at least 4 KiB.
    pub size: u64,
    /// How wide its address is.
    pub width: BarWidth,
    /// Reads have no side effects.
    pub prefetchable: bool,
}

/// Why a BAR cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BarError {
    /// The size is no power of two in the range of the width. QEMU aborts on such a BAR.
    #[error(
        "BAR {index}: size {size:#x}\nhelp: a power of two from 0x1000, below 4 GiB if 32 bits wide"
    )]
    Size {
        /// The BAR.
        index: u8,
        /// Its size.
        size: u64,
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

impl BarDefinition {
    fn n_registers(&self) -> u8 {
        match self.width {
            BarWidth::Bits32 => 1,
            BarWidth::Bits64 => 2,
        }
    }

    fn check(&self) -> Result<(), BarError> {
        let index = self.index;
        if index >= BAR_COUNT || index + self.n_registers() > BAR_COUNT {
            return Err(BarError::Index { index });
        }
        let fits = match self.width {
            BarWidth::Bits32 => u32::try_from(self.size).is_ok(),
            BarWidth::Bits64 => true,
        };
        if !self.size.is_power_of_two() || self.size < MIN_SIZE || !fits {
            return Err(BarError::Size {
                index,
                size: self.size,
            });
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

    /// Returns the size of a BAR; 0 if there is none of that number.
    pub(crate) fn size(&self, index: u8) -> u64 {
        self.definitions
            .iter()
            .find(|bar| bar.index == index)
            .map_or(0, |bar| bar.size)
    }

    /// Returns number and address of every BAR, as the guest has set them.
    pub(crate) fn addresses(&self, registers: &Registers) -> Vec<(u8, u64)> {
        let address = |bar: &BarDefinition| {
            let offset = offset_of(bar.index);
            let low = u64::from(registers.get_u32(offset)) & !0xf;
            let high = match bar.width {
                BarWidth::Bits32 => 0,
                BarWidth::Bits64 => u64::from(registers.get_u32(offset + 4)) << 32,
            };
            (bar.index, high | low)
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
    match bar.width {
        BarWidth::Bits32 => registers.define_u32(offset, prefetchable, Behavior::writable(low)),
        BarWidth::Bits64 => {
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
