//! The machine's one PCI bus, as the rest of the kernel uses it.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::bus::Bus;
use super::config::{self, ConfigAccess, command, offset};
use super::ecam::Ecam;
use super::line::Lines;
use super::msi::Msi;
use super::msix::{MESSAGE_ADDRESS, Msix};
use super::slot::{Slot, SlotPower, SlotStatus};
use super::{Bar, Function, LineInterrupt, Messages, PciError, RequesterId};
use crate::acpi::EcamSegment;
use crate::arch::apic;
use crate::arch::guarded::Guarded;
use crate::arch::mmio::Registers;
use crate::ke::interrupt::{allocate_block, allocate_vector, allocate_vectors, free_vector};
use crate::memory::GuestPhysAddr;

/// What devices get: above q35's config space, below the I/O APIC. RAM never reaches that far up here.
const DEVICE_MEMORY: Range<u64> = 0xC000_0000..0xFEC0_0000;
const BYTES_PER_BUS: u64 = 1 << 20;

struct Pci {
    bus: Bus<Ecam>,
    lines: Lines,
    /// Functions with messages, and their vectors.
    messages: BTreeMap<RequesterId, (MessageCapability, Vec<u8>)>,
}

/// How a function makes messages.
#[derive(Clone, Copy)]
enum MessageCapability {
    Msix(Msix),
    Msi(Msi),
}

static PCI: Guarded<Option<Pci>> = Guarded::new(None);

/// Why there is no PCI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PciStartError {
    /// The firmware describes no config space for segment 0.
    NoConfigSpace,
    /// The config space lies where devices go.
    MisplacedConfigSpace {
        /// Where it lies.
        base: GuestPhysAddr,
    },
}

impl fmt::Display for PciStartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoConfigSpace => write!(
                f,
                "ACPI describes no PCI Express config space; the machine must be q35"
            ),
            Self::MisplacedConfigSpace { base } => write!(
                f,
                "PCI Express config space at {base} overlaps the memory of devices, {:#x} to {:#x}",
                DEVICE_MEMORY.start, DEVICE_MEMORY.end
            ),
        }
    }
}

/// Finds all functions and gives them addresses; memory decoding is on afterwards, bus mastering is off.
/// Called once, after memory came up and after remapping went on.
///
/// # Errors
/// [`PciStartError`], all kinds.
pub fn initialize(segments: &[EcamSegment]) -> Result<(), PciStartError> {
    let segment = segments
        .iter()
        .find(|segment| segment.segment == 0 && segment.first_bus == 0)
        .ok_or(PciStartError::NoConfigSpace)?;
    let base = segment.base;
    let len_bytes = (u64::from(segment.last_bus) + 1) * BYTES_PER_BUS;
    let is_apart = base
        .checked_add(len_bytes)
        .is_some_and(|end| end.raw() <= DEVICE_MEMORY.start || base.raw() >= DEVICE_MEMORY.end);
    if !is_apart {
        return Err(PciStartError::MisplacedConfigSpace { base });
    }
    let pci = Pci {
        bus: Bus::bring_up(Ecam::new(*segment), DEVICE_MEMORY),
        lines: Lines::default(),
        messages: BTreeMap::new(),
    };
    PCI.with(|slot| *slot = Some(pci));
    Ok(())
}

/// Runs `body` on the bus; `None` where PCI is not up.
fn with<R>(body: impl FnOnce(&mut Pci) -> R) -> Option<R> {
    PCI.with(|slot| slot.as_mut().map(body))
}

/// As [`with`], for what can fail; no bus has no functions.
fn try_with<R>(body: impl FnOnce(&mut Pci) -> Result<R, PciError>) -> Result<R, PciError> {
    with(body).unwrap_or(Err(PciError::NoFunction))
}

/// All functions but bridges, in bus order.
#[must_use]
pub fn devices() -> Vec<Function> {
    with(|pci| pci.bus.devices()).unwrap_or_default()
}

/// Reads config space; `len_bytes` is 1, 2 or 4, aligned. All ones where nothing answers.
#[must_use]
pub fn read_config(id: RequesterId, offset: u16, len_bytes: u8) -> u32 {
    let value = with(|pci| pci.bus.config.read(id, offset, len_bytes));
    value.unwrap_or(u32::MAX)
}

/// Writes config space; `len_bytes` is 1, 2 or 4, aligned.
pub fn write_config(id: RequesterId, offset: u16, len_bytes: u8, value: u32) {
    with(|pci| pci.bus.config.write(id, offset, len_bytes, value));
}

/// Sets and clears bits of the command register.
pub fn update_command(id: RequesterId, set: u16, clear: u16) {
    with(|pci| pci.bus.config.update_command(id, set, clear));
}

/// Offset of a capability in config space.
#[must_use]
pub fn find_capability(id: RequesterId, capability: u8) -> Option<u16> {
    with(|pci| config::find_capability(&mut pci.bus.config, id, capability))?
}

/// Gives the device other addresses, as a rebalance does. Decoding must be off. Returns the new BARs.
///
/// # Errors
/// [`PciError::NoFunction`], [`PciError::Exhausted`].
pub fn reassign(id: RequesterId) -> Result<Vec<Bar>, PciError> {
    try_with(|pci| pci.bus.reassign(id))
}

/// The slots in which functions may come and go, in the order of their ports.
#[must_use]
pub fn slots() -> Vec<Slot> {
    with(|pci| pci.bus.slots()).unwrap_or_default()
}

/// What a slot tells; its events stay.
#[must_use]
pub fn read_slot(slot: Slot) -> SlotStatus {
    with(|pci| slot.read_status(&mut pci.bus.config)).unwrap_or_default()
}

/// Ends the events that a slot has told of.
pub fn clear_slot(slot: Slot, told: SlotStatus) {
    with(|pci| slot.clear_events(&mut pci.bus.config, told));
}

/// Gives a slot's power controller and power indicator a command, and waits until it is carried out.
pub fn set_slot_power(slot: Slot, power: SlotPower) {
    with(|pci| slot.set_power(&mut pci.bus.config, power));
}

/// Takes in function 0 of the device that has come into a slot whose power is on. Memory decoding is on afterwards,
/// bus mastering is off.
///
/// # Errors
/// [`PciError::NoFunction`] where nothing answers, or a bridge; [`PciError::Exhausted`] where the port's window has
/// no room.
pub fn plug(slot: Slot) -> Result<Function, PciError> {
    try_with(|pci| pci.bus.plug(slot))
}

/// Forgets a function that is gone. Its interrupts must be disabled.
pub fn unplug(id: RequesterId) {
    with(|pci| pci.bus.unplug(id));
}

/// Gives the function vectors for up to `count` messages, of `irql` as far as there are: MSI-X, or else MSI; without
/// touching the function yet.
///
/// # Errors
/// [`PciError`], all kinds.
pub fn reserve_messages(id: RequesterId, count: u16, irql: u8) -> Result<Messages, PciError> {
    disable_messages(id);
    let (capability, vectors) = match try_with(|pci| pci.bus.msix(id)) {
        Err(PciError::NoCapability) => {
            let msi = try_with(|pci| pci.bus.msi(id))?;
            (
                MessageCapability::Msi(msi),
                allocate_row(msi.messages(), count, irql),
            )
        }
        Ok(msix) => {
            let count = count.min(msix.entries);
            (MessageCapability::Msix(msix), allocate_vectors(count, irql))
        }
        Err(error) => return Err(error),
    };
    let vectors = vectors.ok_or(PciError::Exhausted)?;
    try_with(|pci| {
        pci.messages.insert(id, (capability, vectors.clone()));
        Ok(Messages {
            address: u64::from(MESSAGE_ADDRESS),
            vectors,
        })
    })
}

/// As many vectors in a row as there are, a power of two of at most `can` and `count`.
fn allocate_row(can: u8, count: u16, irql: u8) -> Option<Vec<u8>> {
    let counts = (0..=can.ilog2()).rev().map(|bits| 1_u8 << bits);
    let mut fitting = counts.filter(|it| u16::from(*it) <= count);
    fitting.find_map(|count| allocate_block(count, irql))
}

/// Programs and enables the messages of [`reserve_messages`]. With MSI-X memory decoding must be on, for the table
/// lies behind a BAR.
///
/// # Errors
/// [`PciError::NoCapability`] if none are reserved, [`PciError::BadTable`], [`PciError::Exhausted`].
pub fn program_messages(id: RequesterId) -> Result<(), PciError> {
    let table = try_with(|pci| {
        let (capability, vectors) = pci.messages.get(&id).ok_or(PciError::NoCapability)?;
        match capability {
            MessageCapability::Msi(msi) => {
                msi.enable(&mut pci.bus.config, vectors);
                Ok(None)
            }
            MessageCapability::Msix(msix) => {
                let decoding = pci.bus.config.read_u16(id, offset::COMMAND);
                if decoding & command::MEMORY == 0 {
                    return Err(PciError::BadTable);
                }
                Ok(Some(*msix))
            }
        }
    })?;
    let Some(msix) = table else {
        return Ok(());
    };
    let mut table =
        Registers::map(msix.table, msix.table_bytes()).map_err(|_| PciError::Exhausted)?;
    try_with(|pci| {
        let (_, vectors) = pci.messages.get(&id).ok_or(PciError::NoCapability)?;
        msix.enable(&mut pci.bus.config, &mut table, vectors);
        Ok(())
    })
}

/// Turns messages off and frees their vectors.
pub fn disable_messages(id: RequesterId) {
    let vectors = with(|pci| {
        let (capability, vectors) = pci.messages.remove(&id)?;
        match capability {
            MessageCapability::Msix(msix) => msix.disable(&mut pci.bus.config),
            MessageCapability::Msi(msi) => msi.disable(&mut pci.bus.config),
        }
        Some(vectors)
    });
    vectors
        .flatten()
        .into_iter()
        .flatten()
        .for_each(free_vector);
}

/// Routes the function's line interrupt to a vector at `irql`; where the line is shared, to the vector that
/// it has.
///
/// # Errors
/// [`PciError::NoFunction`], [`PciError::NoCapability`] if it has no pin, [`PciError::Exhausted`].
pub fn enable_line(id: RequesterId, irql: u8) -> Result<u8, PciError> {
    let (gsi, shared) = try_with(|pci| {
        let gsi = line_of(pci, id)?.gsi;
        Ok((gsi, pci.lines.share(gsi, id)))
    })?;
    if let Some(vector) = shared {
        return Ok(vector);
    }
    let vector = allocate_vector(irql).ok_or(PciError::Exhausted)?;
    if !apic::route_line(gsi, Some(vector)) {
        free_vector(vector);
        return Err(PciError::Exhausted);
    }
    with(|pci| pci.lines.open(gsi, id, vector));
    Ok(vector)
}

/// Undoes [`enable_line`].
pub fn disable_line(id: RequesterId) {
    let freed = try_with(|pci| {
        let gsi = line_of(pci, id)?.gsi;
        Ok((gsi, pci.lines.leave(gsi, id)))
    });
    if let Ok((gsi, Some(vector))) = freed {
        // The input exists, for it was routed.
        let _ = apic::route_line(gsi, None);
        free_vector(vector);
    }
}

fn line_of(pci: &Pci, id: RequesterId) -> Result<LineInterrupt, PciError> {
    pci.bus.function(id)?.line.ok_or(PciError::NoCapability)
}
