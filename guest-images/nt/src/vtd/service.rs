//! The machine's one remapping unit, as the rest of the kernel uses it.

use alloc::vec::Vec;

use super::registers::BLOCK_BYTES;
use super::tables::ContextTables;
use super::unit::{PageRun, TableMemory, Unit};
use super::{DomainError, Fault, Iova, Permissions, RequesterId, VtdError};
use crate::acpi::RemappingUnit;
use crate::arch::apic::MESSAGE_ADDRESS;
use crate::arch::dispatch::{self, FAULT_VECTOR};
use crate::arch::guarded::Guarded;
use crate::arch::mmio::Registers;
use crate::console::Event;
use crate::memory::low_resources::ScarceFrames;
use crate::memory::{self, GuestPhysAddr};

/// Lock order: this, then the memory's.
static UNIT: Guarded<Option<Unit<Registers>>> = Guarded::new(None);
static HANDLER: Guarded<Option<fn(&Fault)>> = Guarded::new(None);

/// Turns translation on, with no requester attached. Called once, after memory came up and before anything
/// else; never called when remapping is to be off.
///
/// # Errors
/// [`VtdError`]: the environment lacks what remapping needs.
pub fn initialize(units: &[RemappingUnit]) -> Result<(), VtdError> {
    let unit = unit_of_all_devices(units).ok_or(VtdError::NoUnit)?;
    let registers = Registers::map(unit.base, BLOCK_BYTES).map_err(|_| VtdError::Exhausted)?;
    // A refusal unmaps the registers, which needs the memory's lock: no table memory is held here.
    let contexts = with_tables(|memory| ContextTables::new(memory.frames));
    let mut unit = Unit::enable(registers, contexts.ok_or(VtdError::Exhausted)?)?;
    let address = u32::try_from(MESSAGE_ADDRESS).expect("messages to a local APIC lie below 4 GiB");
    dispatch::set_handler(FAULT_VECTOR, Some(|_| poll()));
    unit.send_faults_to(address, FAULT_VECTOR);
    UNIT.with(|slot| *slot = Some(unit));
    Ok(())
}

/// The unit of every function: the one that says so, or the only one. QEMU's does not say so; it lists the
/// functions of bus 0 and all bridges, which comes to the same.
fn unit_of_all_devices(units: &[RemappingUnit]) -> Option<&RemappingUnit> {
    match units {
        [only] if only.segment == 0 => Some(only),
        several => several
            .iter()
            .find(|unit| unit.segment == 0 && unit.covers_all),
    }
}

/// The translation of one requester. Dropping it takes everything down.
#[derive(Debug)]
pub struct Domain {
    requester: RequesterId,
}

impl Domain {
    /// Attaches an empty domain to a requester.
    ///
    /// # Errors
    /// [`DomainError::Exhausted`], or [`DomainError::AlreadyMapped`] if it has one.
    ///
    /// # Panics
    /// If remapping is off ([`is_enabled`]), as all methods here.
    pub fn attach(requester: RequesterId) -> Result<Self, DomainError> {
        with_unit(|unit| with_tables(|memory| unit.attach(memory, requester)))?;
        Ok(Self { requester })
    }

    /// The requester.
    #[must_use]
    pub fn requester(&self) -> RequesterId {
        self.requester
    }

    /// One past the highest IOVA.
    #[must_use]
    pub fn address_limit(&self) -> u64 {
        with_unit(|unit| unit.address_limit())
    }

    /// Maps pages from `iova` on to the given page starts and flushes. All or nothing.
    ///
    /// # Errors
    /// [`DomainError`].
    pub fn map(
        &mut self,
        iova: Iova,
        pages: &[GuestPhysAddr],
        permissions: Permissions,
    ) -> Result<(), DomainError> {
        let requester = self.requester;
        with_unit(|unit| {
            with_tables(|memory| {
                let scarce = TableMemory {
                    map: memory.map,
                    frames: &mut ScarceFrames(memory.frames),
                };
                unit.map(scarce, requester, iova, pages, permissions)
            })
        })
    }

    /// Unmaps `pages` pages and flushes page by page: after it the device has lost them.
    ///
    /// # Errors
    /// [`DomainError::NotMapped`] names a hole; nothing has changed then.
    pub fn unmap(&mut self, iova: Iova, pages: u64) -> Result<(), DomainError> {
        let run = PageRun { iova, pages };
        with_unit(|unit| with_tables(|memory| unit.unmap(memory.map, self.requester, run)))
    }

    /// What the tables yield for an address.
    #[must_use]
    pub fn translate(&self, iova: Iova) -> Option<(GuestPhysAddr, Permissions)> {
        with_unit(|unit| with_tables(|memory| unit.translate(memory.map, self.requester, iova)))
    }
}

impl Drop for Domain {
    fn drop(&mut self) {
        with_unit(|unit| with_tables(|memory| unit.detach(memory, self.requester)));
    }
}

/// Whether DMA remapping is on.
#[must_use]
pub fn is_enabled() -> bool {
    UNIT.with(|slot| slot.is_some())
}

/// Faults since boot.
#[must_use]
pub fn fault_count() -> u64 {
    UNIT.with(|slot| slot.as_ref().map_or(0, |unit| unit.log().total()))
}

/// The latest faults, oldest first (bounded).
#[must_use]
pub fn faults() -> Vec<Fault> {
    UNIT.with(|slot| {
        slot.as_ref()
            .map_or_else(Vec::new, |unit| unit.log().latest())
    })
}

/// Registers who is told of each fault, after its event was written. Called at device IRQL.
pub fn set_fault_handler(handler: fn(&Fault)) {
    HANDLER.with(|slot| *slot = Some(handler));
}

/// Takes the faults that are recorded and reports each. The unit's interrupt does it, too; this is for
/// those who must not wait for the interrupt.
pub fn poll() {
    let faults = UNIT.with(|slot| slot.as_mut().map_or_else(Vec::new, Unit::take_faults));
    for fault in &faults {
        Event::new("vtd-fault")
            .hex("reason", u64::from(fault.reason))
            .display("requester", &fault.requester)
            .hex("iova", fault.iova.raw())
            .text("access", if fault.is_write { "write" } else { "read" })
            .send();
        if let Some(handler) = HANDLER.with(|slot| *slot) {
            handler(fault);
        }
    }
}

fn with_unit<R>(body: impl FnOnce(&mut Unit<Registers>) -> R) -> R {
    UNIT.with(|slot| {
        body(
            slot.as_mut()
                .expect("domains exist only where remapping is on"),
        )
    })
}

fn with_tables<R>(body: impl FnOnce(TableMemory<'_>) -> R) -> R {
    memory::with_tables(|map, frames| body(TableMemory { map, frames }))
}
