//! [`Function`] and its parts: what was found on the bus.

use alloc::vec::Vec;

use super::RequesterId;
use crate::memory::GuestPhysAddr;

/// One base address register as it was sized and assigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Index of its (first) register, 0 to 5.
    pub index: u8,
    /// What it decodes.
    pub kind: BarKind,
    /// Where; `None` if there was no room.
    pub address: Option<GuestPhysAddr>,
    /// Length, a power of two.
    pub len_bytes: u64,
}

impl Bar {
    /// Whether it decodes memory, as opposed to ports.
    #[must_use]
    pub const fn is_memory(&self) -> bool {
        !matches!(self.kind, BarKind::Io)
    }
}

/// What a BAR decodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarKind {
    /// I/O ports.
    Io,
    /// Memory below 4 GiB.
    Memory32 {
        /// Reads have no side effect.
        is_prefetchable: bool,
    },
    /// Memory anywhere; takes two registers.
    Memory64 {
        /// Reads have no side effect.
        is_prefetchable: bool,
    },
}

/// One function found on the bus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Bus, device, function.
    pub id: RequesterId,
    /// Vendor ID.
    pub vendor_id: u16,
    /// Device ID.
    pub device_id: u16,
    /// Revision.
    pub revision: u8,
    /// Class, subclass, programming interface in the lower 24 bits.
    pub class: u32,
    /// Subsystem vendor ID.
    pub subsystem_vendor_id: u16,
    /// Subsystem ID.
    pub subsystem_id: u16,
    /// The BARs it has.
    pub bars: Vec<Bar>,
    /// The line interrupt's pin (1 = INTA), if it has one, and the I/O APIC input it reaches.
    pub line: Option<LineInterrupt>,
}

/// A line interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineInterrupt {
    /// 1 = INTA to 4 = INTD.
    pub pin: u8,
    /// Input of the I/O APIC.
    pub gsi: u32,
}

/// Message-signaled vectors programmed into a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Messages {
    /// What the function writes to, for each message.
    pub address: u64,
    /// Data and CPU vector of each message.
    pub vectors: Vec<u8>,
}

/// Why a function could not be set up as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PciError {
    /// There is no such function.
    NoFunction,
    /// The function has no such capability.
    NoCapability,
    /// A table lies outside the BARs, or in one that is not assigned.
    BadTable,
    /// No vectors, addresses or mappings left.
    Exhausted,
}
