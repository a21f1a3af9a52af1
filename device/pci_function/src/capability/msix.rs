//! MSI-X. Section 7.7.2.
//!
//! The table and the pending bits lie in a BAR, where QEMU keeps them to itself; what reaches us
//! is the control word.

use std::fmt;

use thiserror::Error;

use super::{CapabilityError, CapabilityList};
use crate::bar::{BarDefinition, BarKind};
use crate::registers::{Behavior, Registers};

const ID: u8 = 0x11;
const LEN: usize = 12;
/// Offset of message control.
const CONTROL: usize = 2;
/// All vectors are masked.
const FUNCTION_MASK: u16 = 1 << 14;
/// MSI-X is on.
const ENABLE: u16 = 1 << 15;
/// Most vectors of a table.
const MAX_VECTORS: u16 = 2048;
/// Bytes of a table entry.
const ENTRY_SIZE: u64 = 16;
/// Table and pending bits begin at multiples of this.
const ALIGNMENT: u32 = 8;

/// Where the vectors are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsixConfig {
    /// Number of vectors, 1 to 2048.
    pub n_vectors: u16,
    /// BAR with the table.
    pub table_bar: u8,
    /// Offset of the table in its BAR.
    pub table_offset: u32,
    /// BAR with the pending bits.
    pub pba_bar: u8,
    /// Offset of the pending bits in their BAR.
    pub pba_offset: u32,
}

/// Which of the two structures of MSI-X.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsixTarget {
    /// The vector table.
    Table,
    /// The pending bits.
    PendingBits,
}

impl fmt::Display for MsixTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Table => "table",
            Self::PendingBits => "pending bits",
        })
    }
}

/// Why MSI-X cannot be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MsixError {
    /// There must be a vector, and at most 2048.
    #[error("MSI-X: {n_vectors} vectors\nhelp: 1 to {MAX_VECTORS}")]
    Count {
        /// Vectors asked for.
        n_vectors: u16,
    },
    /// A structure lies outside its BAR or at an odd place.
    #[error(
        "MSI-X: {target} at {offset:#x} of BAR {bar}, of which {bar_size:#x} bytes are memory\nhelp: a \
         multiple of 8, within a memory BAR"
    )]
    Place {
        /// Which structure.
        target: MsixTarget,
        /// Its BAR.
        bar: u8,
        /// Its offset.
        offset: u32,
        /// Size of the BAR, 0 if there is none or it is no memory.
        bar_size: u64,
    },
    /// Table and pending bits lie over each other.
    #[error("MSI-X: table and pending bits overlap")]
    Overlap,
}

impl MsixConfig {
    /// Bytes of the table.
    #[must_use]
    pub fn table_size(&self) -> u64 {
        u64::from(self.n_vectors) * ENTRY_SIZE
    }

    /// Bytes of the pending bits.
    #[must_use]
    pub fn pba_size(&self) -> u64 {
        u64::from(self.n_vectors).div_ceil(64) * 8
    }

    /// Tells whether MSI-X can be so with these BARs. QEMU refuses a function where it cannot.
    ///
    /// # Errors
    /// [`MsixError`].
    pub fn check(&self, bar: impl Fn(u8) -> Option<BarDefinition>) -> Result<(), MsixError> {
        let memory_size = |index| {
            bar(index)
                .filter(|bar| bar.kind != BarKind::Io)
                .map_or(0, |bar| bar.size)
        };
        let n_vectors = self.n_vectors;
        if n_vectors == 0 || n_vectors > MAX_VECTORS {
            return Err(MsixError::Count { n_vectors });
        }
        for (target, bar, offset, len) in [
            (
                MsixTarget::Table,
                self.table_bar,
                self.table_offset,
                self.table_size(),
            ),
            (
                MsixTarget::PendingBits,
                self.pba_bar,
                self.pba_offset,
                self.pba_size(),
            ),
        ] {
            let bar_size = memory_size(bar);
            if offset % ALIGNMENT != 0 || u64::from(offset) + len > bar_size {
                return Err(MsixError::Place {
                    target,
                    bar,
                    offset,
                    bar_size,
                });
            }
        }
        let (table, pba) = (u64::from(self.table_offset), u64::from(self.pba_offset));
        if self.table_bar == self.pba_bar
            && table < pba + self.pba_size()
            && pba < table + self.table_size()
        {
            return Err(MsixError::Overlap);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct MsixCapability {
    offset: usize,
}

/// Control bits of MSI-X.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MsixState {
    pub(crate) enabled: bool,
    pub(crate) masked: bool,
}

impl MsixCapability {
    /// Defines the registers of a checked configuration.
    pub(super) fn install(
        registers: &mut Registers,
        list: &mut CapabilityList,
        config: &MsixConfig,
    ) -> Result<Self, CapabilityError> {
        let offset = list.add(registers, ID, LEN)?;
        let control = Behavior::writable((FUNCTION_MASK | ENABLE).into());
        registers.define_u16(offset + CONTROL, config.n_vectors - 1, control);
        let table = config.table_offset | u32::from(config.table_bar);
        let pba = config.pba_offset | u32::from(config.pba_bar);
        registers.define_u32(offset + 4, table, Behavior::READ_ONLY);
        registers.define_u32(offset + 8, pba, Behavior::READ_ONLY);
        Ok(Self { offset })
    }

    pub(crate) fn state(&self, registers: &Registers) -> MsixState {
        let control = registers.get_u16(self.offset + CONTROL);
        MsixState {
            enabled: control & ENABLE != 0,
            masked: control & FUNCTION_MASK != 0,
        }
    }
}
