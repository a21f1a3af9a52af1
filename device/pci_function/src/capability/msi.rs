//! MSI. Section 7.7.1.
//!
//! QEMU emulates the capability for the guest and keeps masked and pending bits; what reaches us are
//! the writes.

use thiserror::Error;

use super::{CapabilityError, CapabilityList};
use crate::registers::{Behavior, Registers};

const ID: u8 = 0x05;
/// Offset of message control.
const CONTROL: usize = 2;
/// MSI is on.
const ENABLE: u16 = 1 << 0;
/// Where the codes of vectors that the function has, and may use, lie.
const CAPABLE_SHIFT: u16 = 1;
const ENABLED_SHIFT: u16 = 4;
const CODE_MASK: u16 = 0x7;
/// The address has 64 bits.
const ADDRESS_64: u16 = 1 << 7;
/// Vectors can be masked one by one.
const PER_VECTOR_MASKING: u16 = 1 << 8;
/// Most vectors.
const MAX_VECTORS: u16 = 32;

/// What the function has of MSI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsiConfig {
    /// Number of vectors: 1, 2, 4, 8, 16 or 32.
    pub n_vectors: u16,
    /// The address has 64 bits.
    pub address_64: bool,
    /// Vectors can be masked one by one.
    pub per_vector_masking: bool,
}

/// Why MSI cannot be so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MsiError {
    /// The number of vectors has no code.
    #[error("MSI: {n_vectors} vectors\nhelp: 1, 2, 4, 8, 16 or {MAX_VECTORS}")]
    Count {
        /// Vectors asked for.
        n_vectors: u16,
    },
}

impl MsiConfig {
    /// Tells whether MSI can be so.
    ///
    /// # Errors
    /// [`MsiError`].
    pub const fn check(&self) -> Result<(), MsiError> {
        let n_vectors = self.n_vectors;
        if n_vectors.is_power_of_two() && n_vectors <= MAX_VECTORS {
            Ok(())
        } else {
            Err(MsiError::Count { n_vectors })
        }
    }
}

/// State of MSI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MsiState {
    pub(crate) enabled: bool,
    /// Vectors that software lets the function use, at most those it has.
    pub(crate) n_vectors: u16,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct MsiCapability {
    offset: usize,
    n_vectors: u16,
}

impl MsiCapability {
    /// Defines the registers of a checked configuration.
    pub(super) fn install(
        registers: &mut Registers,
        list: &mut CapabilityList,
        config: &MsiConfig,
    ) -> Result<Self, CapabilityError> {
        let upper = if config.address_64 { 4 } else { 0 };
        let data = 8 + upper;
        // Message data, then mask and pending bits from the next multiple of four on.
        let len = data + if config.per_vector_masking { 12 } else { 2 };
        let offset = list.add(registers, ID, len)?;
        let capable = u16::try_from(config.n_vectors.trailing_zeros()).expect("at most 5");
        let flag = |is_set, bit| if is_set { bit } else { 0 };
        let control = capable << CAPABLE_SHIFT
            | flag(config.address_64, ADDRESS_64)
            | flag(config.per_vector_masking, PER_VECTOR_MASKING);
        let writable = ENABLE | CODE_MASK << ENABLED_SHIFT;
        registers.define_u16(
            offset + CONTROL,
            control,
            Behavior::writable(writable.into()),
        );
        registers.define_u32(offset + 4, 0, Behavior::writable(!0x3));
        if config.address_64 {
            registers.define_u32(offset + 8, 0, Behavior::writable(u32::MAX));
        }
        registers.define_u16(offset + data, 0, Behavior::writable(0xffff));
        if config.per_vector_masking {
            let vectors = u32::MAX >> (32 - u32::from(config.n_vectors));
            registers.define_u32(offset + data + 4, 0, Behavior::writable(vectors));
        }
        Ok(Self {
            offset,
            n_vectors: config.n_vectors,
        })
    }

    pub(crate) fn state(&self, registers: &Registers) -> MsiState {
        let control = registers.get_u16(self.offset + CONTROL);
        let code = (control >> ENABLED_SHIFT) & CODE_MASK;
        MsiState {
            enabled: control & ENABLE != 0,
            // More than there are is undefined; such software gets what there is.
            n_vectors: (1 << code).min(self.n_vectors),
        }
    }
}
