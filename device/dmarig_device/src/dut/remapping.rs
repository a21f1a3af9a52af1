//! [`Remapping`]: a remapping unit of the DUT's own, in front of the platform's mappings.
//!
//! Its tables lie in what the platform maps: with translation off in the guest that is guest physical
//! memory, so anybody who can write guest memory can build them. A request that the unit refuses never
//! reaches the platform, by neither path, and leaves one record, whichever ways the engine tries.

use std::cell::RefCell;

use dmarig_abi::{GuestPhysAddr, Iova, RequesterId};
use endpoint::{BusFault, BusFaultKind, Direction};
use guest_memory::GuestMemory;
use iommu::vtd::{
    ConfigError, FaultFate, FaultRecord, FaultRecording, GuestPhysical, PhysicalMemory,
    RegisterFile, RemappingUnit, UnitConfig,
};
use iommu::{Access, Fault, FaultKind, MappingTable, Segment};

use super::memory::Backing;
use super::tape::Tape;

/// The unit, and whose requests it sees.
#[derive(Debug)]
pub(crate) struct Remapping {
    registers: RegisterFile,
    requester: RequesterId,
    /// The access whose refusal was recorded last, until the engine has tried the other path.
    refused: Option<(Iova, Direction)>,
}

/// What the platform maps, as memory that tables lie in.
#[derive(Clone, Copy)]
pub(super) struct Platform<'a> {
    pub(super) table: &'a MappingTable<Backing>,
    pub(super) guest: &'a GuestMemory,
    pub(super) tape: &'a RefCell<Tape>,
}

impl PhysicalMemory for Platform<'_> {
    fn read_u64(&self, address: GuestPhysAddr) -> Option<u64> {
        let address = Iova::new(address.raw());
        let segment = self.table.translate_first(address, 8, Access::Read).ok()?;
        let region = segment.backing?;
        let mut bytes = [0; 8];
        let mut tape = self.tape.borrow_mut();
        if !tape.is_replaying() {
            let range = self.guest.range(region, segment.offset_bytes, bytes.len());
            range.ok()?.read_into(&mut bytes);
        }
        tape.exchange(address, &mut bytes);
        Some(u64::from_le_bytes(bytes))
    }
}

impl Remapping {
    /// A unit that takes the DUT for `requester`, off and with empty caches.
    ///
    /// # Errors
    /// A setting that no unit can have.
    pub(crate) fn try_new(config: UnitConfig, requester: RequesterId) -> Result<Self, ConfigError> {
        let unit = RemappingUnit::try_new(config, GuestPhysAddr::new(0))?;
        Ok(Self {
            registers: RegisterFile::new(unit),
            requester,
            refused: None,
        })
    }

    pub(crate) const fn requester(&self) -> RequesterId {
        self.requester
    }

    pub(crate) const fn registers_mut(&mut self) -> &mut RegisterFile {
        &mut self.registers
    }

    pub(crate) const fn unit_mut(&mut self) -> &mut RemappingUnit {
        self.registers.unit_mut()
    }

    /// Whether requests are translated.
    pub(super) const fn is_enabled(&self) -> bool {
        self.registers.is_enabled()
    }

    /// The fault that has come of the last access, once.
    pub(super) const fn take_fault(&mut self) -> Option<(FaultRecord, FaultFate)> {
        self.registers.unit_mut().take_last_fault()
    }

    /// Translates a piece of a mapped access; a tick of the unit passes. The refusal of a piece behind the
    /// first is left unrecorded: the engine moves what lies before it, and asks again.
    pub(super) fn translate_mapped(
        &mut self,
        platform: Platform<'_>,
        iova: Iova,
        len_bytes: u64,
        direction: Direction,
        recording: FaultRecording,
    ) -> Result<Segment<GuestPhysical>, BusFault> {
        let found = self.translate(platform, iova, len_bytes, direction, recording);
        if recording == FaultRecording::Record {
            self.refused = found.is_err().then_some((iova, direction));
        }
        found.map_err(bus_fault)
    }

    /// Where a message goes; `None` if the unit refuses it. That is recorded unless the access has just been
    /// refused on the mapped path. The caller has cut it to what [`Self::message_reach`] said.
    pub(super) fn message_target(
        &mut self,
        platform: Platform<'_>,
        iova: Iova,
        len_bytes: u64,
        direction: Direction,
    ) -> Option<Iova> {
        if self.refused.take() == Some((iova, direction)) {
            return None;
        }
        let recording = FaultRecording::Record;
        let first = self.translate(platform, iova, len_bytes, direction, recording);
        let target = first.ok()?.offset_bytes;
        let reach = self.message_reach(platform, iova, len_bytes, direction);
        // The tables may have changed since it was cut.
        (reach == len_bytes).then_some(Iova::new(target))
    }

    /// How many bytes lie together, by the pieces that the unit gives.
    pub(super) fn message_reach(
        &self,
        platform: Platform<'_>,
        iova: Iova,
        len_bytes: u64,
        direction: Direction,
    ) -> u64 {
        let mut reach = 0;
        let mut end = None;
        while reach < len_bytes {
            let Some(at) = iova.checked_add(reach) else {
                break;
            };
            let Ok(segment) = self.peek(platform, at, len_bytes - reach, direction) else {
                break;
            };
            if end.is_some_and(|end| end != segment.offset_bytes) {
                break;
            }
            reach += segment.len_bytes;
            end = segment.offset_bytes.checked_add(segment.len_bytes);
        }
        reach.max(1)
    }

    /// What a translation would give, without a trace.
    pub(super) fn peek(
        &self,
        platform: Platform<'_>,
        iova: Iova,
        len_bytes: u64,
        direction: Direction,
    ) -> Result<Segment<GuestPhysical>, BusFault> {
        let access = access(direction);
        self.registers
            .unit()
            .peek(&platform, self.requester, iova, len_bytes, access)
            .map_err(bus_fault)
    }

    fn translate(
        &mut self,
        platform: Platform<'_>,
        iova: Iova,
        len_bytes: u64,
        direction: Direction,
        recording: FaultRecording,
    ) -> Result<Segment<GuestPhysical>, Fault> {
        let unit = self.registers.unit_mut();
        unit.tick();
        unit.translate_with(
            &platform,
            self.requester,
            iova,
            len_bytes,
            access(direction),
            recording,
        )
    }
}

pub(super) const fn access(direction: Direction) -> Access {
    match direction {
        Direction::Read => Access::Read,
        Direction::Write => Access::Write,
    }
}

pub(super) const fn bus_fault(fault: Fault) -> BusFault {
    BusFault {
        iova: fault.iova,
        kind: match fault.kind {
            FaultKind::Permission => BusFaultKind::Permission,
            FaultKind::Unmapped | FaultKind::Wrap => BusFaultKind::Unmapped,
        },
    }
}
