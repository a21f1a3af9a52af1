//! PCI: enumeration by ECAM, resource assignment, capabilities, MSI-X.

use alloc::vec::Vec;

use crate::memory::GuestPhysAddr;
pub use dmarig_abi::RequesterId;

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

/// All functions but bridges, in bus order.
#[must_use]
pub fn devices() -> Vec<Function> {
    todo!()
}

/// Reads config space; `len_bytes` is 1, 2 or 4, aligned. All ones where nothing answers.
#[must_use]
pub fn read_config(_id: RequesterId, _offset: u16, _len_bytes: u8) -> u32 {
    todo!()
}

/// Writes config space; `len_bytes` is 1, 2 or 4, aligned.
pub fn write_config(_id: RequesterId, _offset: u16, _len_bytes: u8, _value: u32) {
    todo!()
}

/// Bits of the command register.
pub mod command {
    /// Decode I/O.
    pub const IO: u16 = 1;
    /// Decode memory.
    pub const MEMORY: u16 = 2;
    /// Bus mastering.
    pub const BUS_MASTER: u16 = 4;
    /// No line interrupts.
    pub const INTX_DISABLE: u16 = 1 << 10;
}

/// Sets and clears bits of the command register.
pub fn update_command(_id: RequesterId, _set: u16, _clear: u16) {
    todo!()
}

/// Offset of a capability in config space.
#[must_use]
pub fn find_capability(_id: RequesterId, _capability: u8) -> Option<u16> {
    todo!()
}

/// Gives the device other addresses, as a rebalance does. Decoding must be off. Returns the new BARs.
///
/// # Errors
/// [`PciError::NoFunction`], [`PciError::Exhausted`].
pub fn reassign(_id: RequesterId) -> Result<Vec<Bar>, PciError> {
    todo!()
}

/// Programs and enables up to `count` MSI-X messages at `irql` (fewer if the function has fewer), all
/// unmasked.
///
/// # Errors
/// [`PciError`], all kinds.
pub fn enable_msix(_id: RequesterId, _count: u16, _irql: u8) -> Result<Messages, PciError> {
    todo!()
}

/// Turns MSI-X off and frees its vectors.
pub fn disable_msix(_id: RequesterId) {
    todo!()
}

/// Routes the function's line interrupt to a fresh vector at `irql`.
///
/// # Errors
/// [`PciError::NoCapability`] if it has no pin, [`PciError::Exhausted`].
pub fn enable_line(_id: RequesterId, _irql: u8) -> Result<u8, PciError> {
    todo!()
}

/// Undoes [`enable_line`].
pub fn disable_line(_id: RequesterId) {
    todo!()
}
